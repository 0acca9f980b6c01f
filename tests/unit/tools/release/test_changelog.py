"""The changelog: the notes of a version are what stands below it, and a cut loses no line."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from hyops_ci.errors import Refusal
from tools.release.changelog import UNRELEASED, cut, notes

DAY = date(2026, 11, 29)
TEXT = "# Changelog\n\nWords.\n\n## [Unreleased]\n\n### Added\n\n- Two.\n\n## [0.1.0] - 2026-10-01\n\n- One.\n"
OWN = (Path(__file__).parents[4] / "CHANGELOG.md").read_text("utf-8")


def test_the_notes_of_a_version() -> None:
    assert notes(TEXT, "0.1.0") == "- One.\n"


def test_a_cut_makes_a_version_and_leaves_an_empty_unreleased() -> None:
    made = cut(TEXT, "0.2.0", DAY)
    assert notes(made, "0.2.0") == "### Added\n\n- Two.\n"
    assert notes(made, "0.1.0") == "- One.\n"
    assert made.startswith("# Changelog\n\nWords.\n\n## [Unreleased]\n\n## [0.2.0] - 2026-11-29\n\n### Added")


def test_what_is_unreleased_has_no_notes() -> None:
    with pytest.raises(Refusal, match=r"release\.changelog"):
        notes(TEXT, "Unreleased")


def test_nothing_is_cut_twice_or_out_of_nothing() -> None:
    for text, version, found in (
        (TEXT, "0.1.0", "0.1.0 is there"),
        (cut(TEXT, "0.2.0", DAY), "0.3.0", "nothing below Unreleased"),
        ("# Changelog\n", "0.1.0", "no Unreleased"),
    ):
        with pytest.raises(Refusal) as raised:
            cut(text, version, DAY)
        assert raised.value.found == found


def test_the_projects_own_changelog_can_be_cut() -> None:
    body = OWN.partition(f"{UNRELEASED}\n")[2].partition("\n## [")[0]
    assert notes(cut(OWN, "999.0.0", DAY), "999.0.0").strip() == body.strip()
