"""What changed between two commits of dr-dispatch, by their changelogs. Pure."""

from __future__ import annotations

import re
from typing import Final

UNRELEASED: Final = "Unreleased"
_HEADING: Final = re.compile(r"^## \[([^\]\n]+)\][^\n]*$", re.MULTILINE)


def sections(text: str) -> dict[str, str]:
    """Return version -> what changed in it, Markdown, newest first; versions of which nothing is said are left out."""
    plain = text.replace("\r\n", "\n")
    found = list(_HEADING.finditer(plain))
    ends = [each.start() for each in found[1:]] + [len(plain)]
    bodies = {each[1]: plain[each.end() : end].strip() for each, end in zip(found, ends, strict=False)}
    return {version: body for version, body in bodies.items() if body}


def added(before: str, after: str) -> dict[str, str]:
    """Return the sections of the changelog `after` that `before` does not have; Unreleased where it says something else."""
    known = sections(before)
    return {
        version: body
        for version, body in sections(after).items()
        if version not in known or (version == UNRELEASED and known[version] != body)
    }
