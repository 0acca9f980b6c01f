"""Code owners: which paths have none (GitHub docs, *About code owners*).

Patterns are those of .gitignore without negation and character ranges; the last that matches wins; one without an owner takes a
path away from the owners before it. Whether an owner exists and may write is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

PLACES: Final = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")
"""Where GitHub looks; the first that is there counts."""
_WORDS: Final = re.compile(r"(?:\\.|[^\s\\])+")
_OWNER: Final = re.compile(r"@[A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9._-]+)?|[^@\s]+@[^@\s]+\.[^@\s]+")


def unowned(text: str, paths: Iterable[str]) -> tuple[str, ...]:
    """Return those of `paths` without an owner."""
    return tuple(path for path in paths if not owners(text, path))


def owners(text: str, path: str) -> tuple[str, ...]:
    """Return who owns `path`, as the file names them: `@login`, `@organization/team` or an address."""
    return next((owned for pattern, owned in reversed(list(_rules(text))) if _covers(pattern, path)), ())


def _rules(text: str) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Yield (pattern, its owners) of each line that GitHub would take."""
    for line in text.splitlines():
        words = _WORDS.findall(re.split(r"(?:^|\s)#", line, maxsplit=1)[0])
        if not words or words[0][0] in "![" or "[" in words[0]:
            continue
        if all(_OWNER.fullmatch(owner) for owner in words[1:]):  # a line with a word that is not an owner is skipped
            yield _pattern(words[0]), tuple(words[1:])


def _pattern(pattern: str) -> tuple[str, ...]:
    """Return a pattern of whole paths from the root, a part for each folder: `**` stands for any number of them."""
    bare = re.sub(r"\\(.)", r"\1", pattern).rstrip("/")
    anchored = "/" in bare
    parts = bare.lstrip("/").split("/")
    at_end = parts[-1]
    if at_end == "**":
        parts[-1:] = ["*", "**"]
    # `docs/*` means the files in docs, not those below its folders; every other pattern that names a folder means all below it.
    if pattern.endswith("/"):
        parts += ["*", "**"]
    elif not anchored or at_end not in ("*", "**"):
        parts.append("**")
    return tuple(parts if anchored else ["**", *parts])


def _covers(pattern: Sequence[str], path: str) -> bool:
    return _fits(pattern, path.split("/"), "**", lambda part, folder: _fits(part, folder, "*", lambda one, other: one in ("?", other)))


def _fits(pattern: Sequence[str], text: Sequence[str], star: str, same: Callable[[str, str], bool]) -> bool:
    """Return whether `pattern` is the whole of `text`, part by part; `star` stands for any number of parts.

    Only the last star is ever stretched: what came before it fits already. So the work is bounded by the product of both lengths,
    where a regular expression would try every way to share the text out among the stars.
    """
    at = place = 0
    last: tuple[int, int] | None = None
    while place < len(text):
        if at < len(pattern) and pattern[at] == star:
            last, at = (at + 1, place), at + 1
        elif at < len(pattern) and same(pattern[at], text[place]):
            at, place = at + 1, place + 1
        elif last is not None:
            last = (last[0], last[1] + 1)
            at, place = last
        else:
            return False
    return all(part == star for part in pattern[at:])
