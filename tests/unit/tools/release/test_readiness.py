"""May this commit be released: cases below tests/cases/release, and what GitHub says of its checks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from hyops_ci.errors import Exit
from tools.release.readiness import TAG, Facts, not_green, refusals

ROOT = Path(__file__).parents[4]
CASES = sorted((ROOT / "tests" / "cases" / "release").glob("*/*.yml"))
COMMIT = "4b1c" + "1" * 36
GOOD = Facts(
    commit=COMMIT,
    version="1.2.0",
    changelog="# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2026-11-29\n\n### Added\n\n- One.\n",
    changed=(),
    main=COMMIT,
    on_main=True,
    tagged="",
)


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_case(path: Path) -> None:
    case = yaml.safe_load(path.read_text("utf-8"))
    changes = {name: tuple(value) if name == "changed" else value for name, value in case.get("facts", {}).items()}
    found = refusals(replace(GOOD, **changes), case.get("tag", "v1.2.0"), pushed=case["pushed"])
    wanted = case.get("gates", {})
    assert [each.gate for each in found] == list(wanted)
    assert bool(wanted) is (path.parent.name == "refuse")
    for refusal in found:
        for text, word in zip((refusal.found, refusal.expected, refusal.fix), wanted[refusal.gate], strict=True):
            assert word in text
        assert refusal.exit_code is (Exit.CONFLICT if refusal.gate == "release.tag" else Exit.POLICY)


def test_the_cases_were_found() -> None:
    assert len(CASES) > 12


@pytest.mark.parametrize(
    ("tag", "is_one"), [("v0.1.0", True), ("v10.20.30", True), ("v1.2.3-rc.1", False), ("1.2.3", False), ("v1.2.3\n", False)]
)
def test_a_tag_of_a_release(tag: str, is_one: bool) -> None:
    assert bool(TAG.fullmatch(tag)) is is_one


def run(number: int, conclusion: str | None = "success", **changes: Any) -> dict[str, Any]:
    """A run as GitHub's list shows it."""
    status = "in_progress" if conclusion is None else "completed"
    shown = {"id": number, "run_attempt": 1, "head_sha": COMMIT, "head_branch": "main", "event": "push", "status": status}
    return shown | {"conclusion": conclusion, "html_url": f"https://github.com/x/y/actions/runs/{number}"} | changes


def test_green_checks_of_main_let_it_pass() -> None:
    assert not_green([run(1, "failure"), run(2)], COMMIT) is None
    assert not_green([run(2), run(1, "failure")], COMMIT) is None, "in whatever order"


@pytest.mark.parametrize(
    ("runs", "found"),
    [
        ([], "no run of ci.yml"),
        ([run(7, None)], "actions/runs/7: in_progress"),
        ([run(7, "failure")], "actions/runs/7: failure"),
        ([run(7, "cancelled")], "actions/runs/7: cancelled"),
        ([run(7), run(8, "failure")], "actions/runs/8: failure"),
        ([run(7, head_sha="5" * 40)], "no run of ci.yml"),
        ([run(7, event="pull_request")], "no run of ci.yml"),
        ([run(7, head_branch="wip")], "no run of ci.yml"),
    ],
)
def test_anything_else_is_refused(runs: list[dict[str, Any]], found: str) -> None:
    refusal = not_green(runs, COMMIT)
    assert refusal is not None
    assert (refusal.gate, refusal.exit_code) == ("release.ci", Exit.POLICY)
    assert found in refusal.found
    assert COMMIT in refusal.expected
