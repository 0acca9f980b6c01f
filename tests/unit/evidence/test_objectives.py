from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.contracts.base import moment
from hyops_ci.contracts.config import Objective
from hyops_ci.contracts.run import State
from hyops_ci.evidence.conclusions import WAITED
from hyops_ci.evidence.objectives import objectives
from hyops_ci.evidence.recorder import PartRecorder, read_chain
from tests.unit.evidence import sample_run

RTO = Objective(rto="PT30M")


def figures(root: Path, objective: Objective | None = RTO, approved: bool = True, **changes: Any) -> dict[str, Any]:
    of = sample_run.plan()
    seen = sample_run.check(of)
    approvals = [sample_run.approval(sample_run.subject(of, seen))] if approved else []
    return objectives(read_chain(root), sample_run.result(of, seen, **changes), objective, approvals)


def test_a_recovery_is_split_by_who_was_waited_for(tmp_path: Path) -> None:
    sample_run.recovered_run(tmp_path)
    document = figures(tmp_path)
    assert {name: value["seconds"] for name, value in document["figures"].items()} == {
        "request_to_proven": 27 * 60 + 27,
        "approval_to_proven": 22 * 60 + 56,
        "hyops_only": 21 * 60 + 20,
        "approval_wait": 4 * 60,
        "runner_wait": 14,
        "our_overhead": 27 * 60 + 27 - (21 * 60 + 20) - 240 - 14,
    }
    assert document["rto"] == {"objective": 1800, "met": True}
    assert figures(tmp_path, Objective(rto="PT27M"))["rto"]["met"] is False


def test_what_was_not_measured_has_a_reason_and_no_figure(tmp_path: Path) -> None:
    sample_run.recovered_run(tmp_path)
    unproven = figures(tmp_path, proven=[])
    assert unproven["figures"]["request_to_proven"] == {"seconds": None, "reason": "nothing was proven"}
    assert unproven["rto"] == {"objective": 1800, "met": None, "reason": "nothing was proven"}
    assert figures(tmp_path, None)["rto"] == {"objective": None, "met": None, "reason": "no objective is set"}
    assert figures(tmp_path, approved=False)["figures"]["approval_wait"]["reason"] == "no approval was observed"
    assert figures(tmp_path)["rpo"]["met"] is None


@pytest.mark.parametrize(("state", "code"), [(State.FAILED, 9), (State.INDETERMINATE, 10), (State.DENIED, 6)])
def test_a_run_that_stopped_proves_nothing(tmp_path: Path, state: State, code: int) -> None:
    sample_run.record(tmp_path, sample_run.SetClock(), sample_run._TRANSITIONS[:8])
    document = figures(tmp_path, outcome=state.value, exit_code=code)
    assert document["figures"]["request_to_proven"]["reason"] == f"the run ended {state}"
    assert document["figures"]["hyops_only"] == {"seconds": None, "reason": "hyops.deploy has no result"}


def test_clocks_that_disagree_give_no_figure(tmp_path: Path) -> None:
    sample_run.recovered_run(tmp_path)
    of = sample_run.plan()
    seen = sample_run.check(of)
    late = moment("2026-11-23T03:31:58Z") + timedelta(hours=1)
    found = objectives(read_chain(tmp_path), sample_run.result(of, seen), RTO, [], late)
    assert found["figures"]["request_to_proven"] == {"seconds": None, "reason": "the clocks of two hosts disagree"}


def test_no_events_at_all(tmp_path: Path) -> None:
    assert all(each["seconds"] is None for each in figures(tmp_path, approved=False)["figures"].values())


def waited(root: Path, **said: Any) -> dict[str, Any]:
    """The figures of the sample, whose check noted this of its runner."""
    sample_run.record(root, sample_run.SetClock(), sample_run._TRANSITIONS[:2])
    with PartRecorder(root, "check", clock := sample_run.SetClock()) as part:
        clock.set("03:05:01")
        part.note(WAITED, reason="runner-recovery", **said)
    sample_run.record(root, sample_run.SetClock(), sample_run._TRANSITIONS[2:])
    return figures(root)["figures"]


def test_a_runner_that_was_made_has_its_share(tmp_path: Path) -> None:
    found = waited(tmp_path, seconds=13)
    assert found["runner_made"] == {"seconds": 13}
    assert found["our_overhead"] == {"seconds": 27 * 60 + 27 - (21 * 60 + 20) - 240 - 14 - 13}


@pytest.mark.parametrize("said", [{"not_known": "GitHub does not answer"}, {"seconds": True}, {"seconds": -1}, {"seconds": "13"}, {}])
def test_a_share_that_is_not_known_leaves_the_rest_unknown(tmp_path: Path, said: dict[str, Any]) -> None:
    found = waited(tmp_path, **said)
    assert found["runner_made"]["seconds"] is None
    assert found["runner_made"] == found["our_overhead"]
    assert found["request_to_proven"] == {"seconds": 27 * 60 + 27}, "the objective is judged all the same"


def test_preflight_and_deploy_both_count(tmp_path: Path) -> None:
    clock = sample_run.SetClock()
    with PartRecorder(tmp_path, "execute", clock) as part:
        for name in ("hyops.preflight", "hyops.deploy"):
            part.intent(name)
            clock.sleep(10)
            part.result(name)
            clock.sleep(100)
    assert figures(tmp_path)["figures"]["hyops_only"] == {"seconds": 20}
