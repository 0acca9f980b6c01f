"""CHANGELOG.md: the notes of a version, and the cut that makes a version of what is unreleased. Keep a Changelog's form; pure."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from hyops_ci.errors import Exit, Refusal

UNRELEASED: Final = "## [Unreleased]"
_HEADING: Final = re.compile(r"^## \[([^\]\n]+)\](?: - (\d{4}-\d{2}-\d{2}))?$", re.MULTILINE)


def notes(text: str, version: str) -> str:
    """Return what changed in a version, Markdown. Raises Refusal `release.changelog` where it has no date, or nothing changed."""
    headings = list(_HEADING.finditer(text))
    for number, heading in enumerate(headings, 1):
        end = headings[number].start() if number < len(headings) else len(text)
        body = text[heading.end() : end].strip()
        if heading[1] == version and heading[2] and body:
            return body + "\n"
    raise Refusal(
        "release.changelog",
        "CHANGELOG.md does not say what this version changes",
        exit_code=Exit.POLICY,
        found=", ".join(each.group().removeprefix("## ") for each in headings) or "no version",
        expected=f"## [{version}] - <date>, and what changed below it",
        fix=f"./dev release prepare {version}, and merge that first",
    )


def cut(text: str, version: str, day: date) -> str:
    """Return the text with what is unreleased as a version of that day, below an empty Unreleased. Raises Refusal `release.changelog`."""
    before, heading, after = text.partition(f"{UNRELEASED}\n")
    body, *later = re.split(r"^(?=## \[)", after, maxsplit=1, flags=re.MULTILINE)
    known = [each[1] for each in _HEADING.finditer(text)]
    if not heading or not body.strip() or version in known:
        raise Refusal(
            "release.changelog",
            "no version can be cut from CHANGELOG.md",
            exit_code=Exit.POLICY,
            found=f"{version} is there" if version in known else "nothing below Unreleased" if heading else "no Unreleased",
            expected=f"{UNRELEASED} with what changed, and no [{version}] yet",
            fix="write a line for what a caller can notice",
        )
    return f"{before}{UNRELEASED}\n\n## [{version}] - {day.isoformat()}\n{body}{''.join(later)}"
