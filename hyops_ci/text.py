"""Text for people: lengths of time, counts, commands to paste, and Markdown blocks that text of others cannot leave."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

HIDDEN: Final = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""What nobody sees, or what ends a line for one reader only: controls but tab and newline, bidi marks, characters of no width, tags."""
_LABELLED: Final = re.compile(r" {0,2}(Not proven|expected|[A-Za-z]+(?: [a-z]+)?\??)(?: {2,}|(?<=Not proven) |(?<=expected) )(\S.*)")
_COMMAND: Final = re.compile(r"(?<![\w-])(?:bao|curl|dig|gh|git|hyops-ci|nc|psql|sudo|vault) \S")
_HEADLINE: Final = re.compile(r"[A-Z]{4,}[A-Z ]*(?![\w=]).*")
"""A line that begins in capitals: how something ended. `PGHOST=x psql` is none."""
_BELOW: Final = 13
"""Where the text of a row begins, below a headline."""
_COLUMNS: Final = re.compile(" {3,}")
"""What sets parts of a headline apart on a terminal."""
_BLANK: Final = frozenset("\u2800\ufe0e\ufe0f")
"""Blank in a line of text, and for that reason spelled out where one is printed; a reviewed file may hold them."""


def span(seconds: float) -> str:
    """Return a length of time as `27m27s`, `1h04m` or `46s`."""
    hours, rest = divmod(int(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{left:02d}s" if minutes else f"{left}s"


def short_span(length: timedelta) -> str:
    """Return a length of time without parts that are zero, and without seconds from an hour on: `18h49m`, `15m`, `2m1s`, `0s`."""
    return short_seconds(int(length.total_seconds()))


def short_seconds(whole: int) -> str:
    """Return `short_span` of seconds, of as many as a document may claim: more than a calendar has."""
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h" * bool(hours) + f"{minutes}m" * bool(minutes) + f"{seconds}s" * (not hours and bool(seconds)) or "0s"


def counted(number: int, what: str) -> str:
    """Return a number with what it counts: `1 probe`, `0 probes`, `3 probes`."""
    return f"{number} {what}{'s' * (number != 1)}"


def shell(command: str, *values: object) -> str:
    """Return a command to paste: `command` with each `{}` filled by one of the values, quoted for a POSIX shell.

    `command` is text of ours, a literal; a place that a person fills stands in it as it is (`<site>`). Every command that is printed
    is made here, so that no name of a branch, file or service can add another one (tests/unit/test_commands_to_paste.py).
    """
    return command.format(*(shlex.quote(str(value)) for value in values))


def heredoc(command: str, mark: str, text: str) -> str:
    """Return a command to paste that reads `text` from its stdin, up to the line `mark`. Raises ValueError for a text with such a line."""
    if mark in text.splitlines():
        raise ValueError(f"the text holds the line {mark}, which would end it")
    return f"{command} <<'{mark}'\n{text}\n{mark}\n"


def visible(text: str, keep: str = "") -> str:
    """Return `text` with every character spelled out that a terminal obeys or a reader does not see; those in `keep` stay.

    Controls, escapes, line ends, bidi marks, zero-width and tag characters, fillers, lone surrogates and unassigned ones.
    """
    if text.isprintable() and (text.isascii() or (_BLANK.isdisjoint(text) and not HIDDEN.search(text))):
        return text
    return "".join(c if c in keep or _is_seen(c) else f"\\u{ord(c):04x}" for c in text)


def _is_seen(character: str) -> bool:
    return character.isprintable() and character not in _BLANK and not HIDDEN.match(character)


def in_code(text: str) -> str:
    """Return one line of text as an inline code span of Markdown: nothing in it is markup, and a phone wraps it. Empty for no text."""
    safe = visible(text.strip())
    fence = "`" * (max((len(run) for run in re.findall("`+", safe)), default=0) + 1)
    room = " " * ("`" in (safe[:1], safe[-1:]))
    return f"{fence}{room}{safe}{room}{fence}" if safe else ""


def listed(lines: Iterable[str]) -> list[str]:
    """Return lines as a Markdown list for a page that is read on a phone: the first is the headline, `  Label      text` a point.

    A label is letters in the columns that our own lines give it; everything else stands in code spans.
    """
    points: list[str] = []
    for line in filter(str.strip, lines):
        found = _LABELLED.fullmatch(line)
        if not points:
            points = [f"**{in_code(_COLUMNS.sub('  ', line))}**", ""]
        elif found:
            points.append(f"- **{found[1]}** {in_code(found[2])}")
        else:
            points.append(f"- {in_code(line)}")
    return points


def fitted(text: str, width: int) -> str:
    """Return lines for a terminal of `width` columns: a headline and a line with a label break between words, and go on below the text.

    A line with a command stays whole, so that it can be pasted. What goes on is indented, so that no text can look like a label.
    """
    import textwrap

    lines = []
    for line in text.split("\n"):
        found = _LABELLED.fullmatch(line) if len(line) > width else None
        begins = found.start(2) if found else 0
        below = begins or (_BELOW if len(line) > width and _HEADLINE.fullmatch(line) else 0)
        if below and not _COMMAND.search(line) and width > 2 * below:
            words = textwrap.wrap(
                line[begins:], width - begins, subsequent_indent=" " * (below - begins), break_long_words=False, break_on_hyphens=False
            )
            line = line[:begins] + f"\n{' ' * begins}".join(words)
        lines.append(line)
    return "\n".join(lines)
