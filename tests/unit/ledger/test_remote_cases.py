"""What git and ssh print of a remote's trouble: each permanent one has a gate and a fix of its own, and is never silence."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from hyops_ci.errors import Exit
from hyops_ci.ledger.git_errors import refusal, silent, trouble
from hyops_ci.ledger.git_rejections import REJECTIONS

CASES = Path(__file__).parents[2] / "cases" / "remotes"
BRANCH = "dr-ledger/pg-ha/prod"


def cases(kind: str) -> list[Path]:
    return sorted((CASES / kind).glob("*.yml"))


@pytest.mark.parametrize("path", cases("refuse"), ids=lambda path: path.stem)
def test_a_permanent_trouble_has_a_name_and_a_fix(path: Path) -> None:
    case = yaml.safe_load(path.read_text("utf-8"))
    no = refusal(case["said"], BRANCH)
    assert no is not None
    assert (no.gate, no.exit_code) == (case["gate"], Exit.CONFLICT)
    assert case["found"] in no.found, "the line that says why"
    assert "Could not read from remote repository" not in no.found
    assert case["fix"] in no.fix


@pytest.mark.parametrize("path", cases("accept"), ids=lambda path: path.stem)
def test_what_may_pass_is_asked_again(path: Path) -> None:
    case = yaml.safe_load(path.read_text("utf-8"))
    assert refusal(case["said"], BRANCH) is None
    fault = trouble(case["said"], 4)
    assert (fault.gate, fault.exit_code) == (case["gate"], Exit.UNAVAILABLE)
    assert silent(case["said"]) == (case["gate"] == "ledger.unreachable")
    assert "Could not read from remote repository" not in fault.found


def test_each_permanent_trouble_is_tried() -> None:
    """Here or in the neighbouring tests: no row of the table that no text reaches."""
    seen = {refusal(yaml.safe_load(path.read_text("utf-8"))["said"], BRANCH).reason for path in cases("refuse")}  # type: ignore[union-attr]  # each case is refused
    known = {each.reason for each in REJECTIONS}
    elsewhere = {  # tests/ledger/test_trouble.py, test_hostile_branch.py
        "the branch holds more than a ledger does",
        "a rule of the repository forbids this push",
        "the ledger's repository is archived",
        "the organization does not accept this token",
        "the ledger's host does not accept the token",
        "the token may not write the ledger",
        "the ledger's repository cannot be written",
        "there is no such ledger",
    }
    assert known == seen | elsewhere


def test_no_two_fixes_are_alike() -> None:
    fixes = [each.fix for each in REJECTIONS]
    assert len(set(fixes)) == len(fixes)
