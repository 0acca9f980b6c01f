"""The forms of a value: its spellings, as they are searched for.

Quotes, backslashes and white space are left out of a form, as the matcher leaves them out of the stream: so JSON within JSON, a shell's
`set -x`, YAML and SQL quoting, wrapped and indented lines are all one form. Which spellings are found is a table of docs/secrets.md.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Final

from hyops_ci.dataclass import dataclass
from hyops_ci.redaction.spellings import MIN_ANCHOR, MIN_FORM, NOISE, folded, runs_of, searched_loosely, spellings

NEAR: Final = 48
"""Bytes of a form in which its anchors are looked for first: what may still become a secret is held back that far."""
_LINE_END: Final = re.compile(rb"[\r\n]")
_PLAIN: Final = {size: re.compile(rb"[A-Za-z0-9]{%d}" % size) for size in range(MIN_ANCHOR, MIN_FORM + 1)}
_ANY: Final = {size: re.compile(rb".{%d}" % size, re.DOTALL) for size in range(MIN_ANCHOR, MIN_FORM + 1)}


@dataclass(frozen=True, slots=True)
class Form:
    """One form. An `exact` one is compared byte by byte: it has too little besides noise."""

    text: bytes
    anchors: tuple[tuple[int, bytes], ...]
    """Offset in the text, and bytes there: one of them stands in the stream without noise inside."""
    first_line: int
    """How many bytes of it stand before a line may end: `MIN_FORM`, or fewer where the value's own first line is shorter."""
    trails: tuple[bytes, ...] = ()
    """What is skipped at the end of the value itself, such as the line end of a key: it goes with the match. The longest first."""
    exact: bool = False


def forms(value: str) -> tuple[Form, ...]:
    """Return the forms of `value` and of the values inside it, each once."""
    found: dict[bytes, Form] = {}
    for spelling in sorted(spellings(value)):  # in the same order in every process
        for form in _forms_of(spelling):
            known = found.get(form.text)
            found[form.text] = form if known is None else _both(known, form)
    return tuple(found.values())


def _forms_of(spelling: bytes) -> Iterator[Form]:
    text = folded(spelling)
    if searched_loosely(spelling):
        anchors = _anchors(spelling, text)
        line = _LINE_END.search(spelling) if len(spelling) > len(text) else None
        first = min(MIN_FORM, len(folded(spelling[: line.start()]))) if line else MIN_FORM
        trail = spelling[len(spelling.rstrip(NOISE)) :]
        yield Form(text, anchors, first, (trail,) if trail else ())
    else:
        yield Form(spelling, ((0, spelling[:MIN_FORM]),), MIN_FORM, exact=True)


def _anchors(spelling: bytes, text: bytes) -> tuple[tuple[int, bytes], ...]:
    """Return pieces of the text that no noise parts in this spelling: two of a kind, so that one line end spoils one only."""
    runs = (text,) if len(text) == len(spelling) else tuple(runs_of(spelling))
    longest = max(map(len, runs), default=0)
    top = min(MIN_FORM, len(text) // 2, longest)
    plain = _best(runs, _PLAIN, top)
    # A pair of letters and digits survives every quoting; else the best pair of any bytes besides.
    places = plain if len(plain) == 2 and plain[0][1] == top else [*plain, *_best(runs, _ANY, top)]
    return tuple(sorted({(at, text[at : at + size]) for at, size in places}))


def _best(runs: tuple[bytes, ...], patterns: Mapping[int, re.Pattern[bytes]], top: int) -> list[tuple[int, int]]:
    """Return the longest two pieces of one size that the patterns find, as offset and size; one where there are no two."""
    alone: list[tuple[int, int]] = []
    for near in (NEAR, sys.maxsize):
        for size in range(top, MIN_ANCHOR - 1, -1):
            found = [(at, size) for at in _pieces(runs, patterns[size], near)]
            if len(found) == 2:
                return found
            alone = alone or found
        if alone:
            break
    return alone


def _pieces(runs: tuple[bytes, ...], pattern: re.Pattern[bytes], near: int) -> list[int]:
    """Return the first two places where the pattern fits, none further than `near`."""
    found: list[int] = []
    before = 0
    for run in runs:
        for match in pattern.finditer(run):
            if before + match.start() > near:
                return found
            found.append(before + match.start())
            if len(found) == 2:
                return found
        before += len(run)
    return found


def _both(one: Form, other: Form) -> Form:
    """Return the form that two spellings share, with the anchors of both."""
    if one == other or one.exact or other.exact:
        return one
    trails = sorted({*one.trails, *other.trails}, key=lambda trail: (-len(trail), trail))
    return Form(one.text, tuple(sorted({*one.anchors, *other.anchors})), min(one.first_line, other.first_line), tuple(trails))
