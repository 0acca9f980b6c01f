from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hyops_ci.contracts.config import Objective
from hyops_ci.contracts.figures import Figures
from hyops_ci.evidence.figures import RunWords, figures_of
from hyops_ci.evidence.objectives import objectives
from hyops_ci.evidence.recorder import read_chain
from tests.unit.evidence import sample_run


def measured(root: Path, objective: Objective | None = None, **changes: Any) -> dict[str, Any]:
    of = sample_run.plan()
    seen = sample_run.check(of)
    approvals = [sample_run.approval(sample_run.subject(of, seen))]
    return objectives(read_chain(root), sample_run.result(of, seen, **changes), objective, approvals)


def test_the_figures_of_a_recovery_are_those_of_its_objectives(tmp_path: Path) -> None:
    sample_run.recovered_run(tmp_path)
    document = measured(tmp_path, Objective(rto="PT30M", rpo="PT5M"))
    of = sample_run.plan()
    assert figures_of(document, of, sample_run.check(of)) == Figures(
        restore_point="20261123-020003F",
        request_to_proven=27 * 60 + 27,
        approval_wait=240,
        runner_wait=14,
        hyops_only=21 * 60 + 20,
        our_overhead=27 * 60 + 27 - (21 * 60 + 20) - 240 - 14,
        rto=1800,
        rpo=300,
        verdict="met",
    )


@pytest.mark.parametrize(
    ("objective", "changes", "verdict"),
    [
        (Objective(rto="PT30M"), {}, "met"),
        (Objective(rto="PT27M"), {}, "missed"),
        (Objective(rpo="PT5M"), {}, "no-objective"),
        (None, {}, "no-objective"),
        (Objective(rto="PT30M"), {"proven": []}, "unproven"),
    ],
    ids=["in time", "too late", "data was not measured", "nothing was promised", "nothing was proven"],
)
def test_the_verdict(tmp_path: Path, objective: Objective | None, changes: dict[str, Any], verdict: str) -> None:
    sample_run.recovered_run(tmp_path)
    assert figures_of(measured(tmp_path, objective, **changes), sample_run.plan()).verdict == verdict


def test_a_drill_says_its_level_and_whether_anything_is_left(tmp_path: Path) -> None:
    sample_run.recovered_run(tmp_path)
    found = figures_of(measured(tmp_path), sample_run.plan(exercise="isolated"), words=RunWords(cleaned=True))
    assert (found.level, found.cleaned) == ("isolated", True)


def test_who_approved_and_what_was_accepted_is_kept_as_far_as_it_fits(tmp_path: Path) -> None:
    said = RunWords(approvers=["jonas", "jonas", *(f"p{number}" for number in range(20))], deviations=["x" * 500, "y\u202e", *"z" * 40])
    found = figures_of(measured(tmp_path), sample_run.plan(), words=said)
    assert (found.approvers[:2], len(found.approvers), len(found.deviations)) == (("jonas", "p0"), 10, 20)
    assert (found.deviations[0], found.deviations[1]) == ("x" * 197 + "...", "y\\u202e")
