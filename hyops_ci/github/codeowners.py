"""Code owners: which paths have none (GitHub docs, *About code owners*).

Patterns are those of .gitignore without negation and character ranges; the last that matches wins; one without an owner takes a
path away from the owners before it. Whether an owner exists and may write is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

PLACES: Final = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")
"""Where GitHub looks; the first that is there counts."""
_WORDS: Final = re.compile(r"(?:\\.|[^\s\\])+")
_OWNER: Final = re.compile(r"@[A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9._-]+)?|[^@\s]+@[^@\s]+\.[^@\s]+")


def unowned(text: str, paths: Iterable[str]) -> tuple[str, ...]:
    """Return those of `paths` without an owner."""
    rules = list(_rules(text))
    return tuple(path for path in paths if not next((owned for pattern, owned in reversed(rules) if pattern.fullmatch(path)), False))


def _rules(text: str) -> Iterator[tuple[re.Pattern[str], bool]]:
    """Yield (pattern, whether it names an owner) of each line that GitHub would take."""
    for line in text.splitlines():
        words = _WORDS.findall(re.split(r"(?:^|\s)#", line, maxsplit=1)[0])
        if not words or words[0][0] in "![" or "[" in words[0]:
            continue
        owners = words[1:]
        if all(_OWNER.fullmatch(owner) for owner in owners):  # a line with a word that is not an owner is skipped
            yield _pattern(words[0]), bool(owners)


def _pattern(pattern: str) -> re.Pattern[str]:
    """Return a pattern of whole paths from the root."""
    bare = re.sub(r"\\(.)", r"\1", pattern).rstrip("/")
    anchored = "/" in bare
    segments = bare.lstrip("/").split("/")
    parts = []
    for number, segment in enumerate(segments):
        last = number == len(segments) - 1
        if segment == "**":
            parts.append(".*" if last else "(?:.*/)?")
        else:
            parts.append(_segment(segment) + ("" if last else "/"))
    # `docs/*` means the files in docs, not those below its folders; every other pattern that names a folder means all below it.
    below = "/.+" if pattern.endswith("/") else "" if anchored and segments[-1] in ("*", "**") else "(?:/.+)?"
    return re.compile(("" if anchored else "(?:.*/)?") + "".join(parts) + below)


def _segment(segment: str) -> str:
    return "".join({"*": "[^/]*", "?": "[^/]"}.get(letter, re.escape(letter)) for letter in segment)
