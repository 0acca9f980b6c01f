"""Headings and links of the project's Markdown pages, as GitHub makes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LINK: Final = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_CODE: Final = re.compile(r"`[^`]*`")


@dataclass(frozen=True)
class Heading:
    """One heading: `number` is `2.1` of `2.1 Runners`, or empty; `anchor` is what follows `#` in a link to it."""

    title: str
    number: str
    anchor: str


def prose(text: str) -> Iterator[str]:
    """Yield the lines of a page outside fenced and indented code."""
    fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("    "):
            yield line


def headings(text: str) -> list[Heading]:
    """Return the headings of a page, with GitHub's anchors: lower case, punctuation out, blanks to hyphens, repeats numbered."""
    found: list[Heading] = []
    for line in prose(text):
        if match := re.fullmatch(r"#{1,6} (.+)", line):
            title = re.sub(r"`|\*|\[([^\]]*)\]\([^)]*\)", r"\1", match[1]).strip()
            slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            again = sum(bool(re.fullmatch(rf"{re.escape(slug)}(-\d+)?", each.anchor)) for each in found)
            number = re.match(r"(\d+(?:\.\d+)?)\.? ", title)
            found.append(Heading(title, number[1] if number else "", f"{slug}-{again}" if again else slug))
    return found


def links(text: str) -> list[str]:
    """Return the targets of all links outside code."""
    return [target for line in prose(text) for target in _LINK.findall(_CODE.sub("", line))]


def section_link(docs: Path, citation: str) -> str:
    """Return the link for `contracts 5`, seen from `docs/`. Raises LookupError for a section that is not there."""
    page, _, number = citation.partition(" ")
    path = docs / "design" / f"{page}.md"
    found = [each for each in headings(path.read_text(encoding="utf-8")) if each.number == number] if path.is_file() else []
    if not found:
        raise LookupError(f"docs/design has no section {citation!r}")
    return f"[{citation}](design/{page}.md#{found[0].anchor})"


def cell(text: str) -> str:
    """Return a text as one cell of a table: no tag outside code, and inside it `<` as it is."""
    line = re.sub(r"\s+", " ", text).replace("|", "\\|")
    return re.sub(r"`[^`]*`|<", lambda found: "&lt;" if found[0] == "<" else found[0], line)
