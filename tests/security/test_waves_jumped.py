"""Somebody who may start runs wants a later wave now, or more approved than was asked: the host and the approver's page say no."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hyops_ci.contracts.run import State
from hyops_ci.errors import Refusal
from hyops_ci.operations.recovery.context import remaining
from hyops_ci.operations.recovery.go_on import go_on
from hyops_ci.operations.recovery.pending import pending_runs
from tests.e2e.several_services import ID, SERVICES, Night, approved, checked, start_night
from tests.security.incident import WORKFLOW, assert_refused

pytestmark = [pytest.mark.slow]


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    with start_night(tmp_path) as made:
        checked(made)
        yield made


def test_a_later_wave_that_is_approved_and_resumed_by_hand_begins_nothing(night: Night) -> None:
    """Mallory resumes the run of the second wave: approved it is, and its host reads the ledgers of the first one itself."""
    approved(night)
    recovery = night.recovery("mallory")
    waiting = pending_runs(recovery, remaining(recovery, recovery.standing(recovery.tips())))["web/east"]
    jumped = night.incident.repository.workflows[0].start("main", "workflow_dispatch", "mallory", {"resume": str(waiting.run.run_id)})
    night.carry_out_next()
    ended = night.ends[jumped.id]
    assert ended.state is State.BLOCKED
    assert_refused(night.incident, ended, "recovery.wave", 5, "pg-ha/lab: primary", epoch=None)
    assert night.opened("web/east").tip().claim is None
    assert night.positions() == dict.fromkeys(SERVICES, "primary")

    night.while_runs_go(lambda: go_on(night.recovery("priya"), within=60))
    assert night.positions() == dict.fromkeys(SERVICES, "failed_over"), "the twin: wave after wave the same answers carry it"


def test_an_approver_signs_one_run_for_each_service_and_only_the_reviewed_ones(night: Night) -> None:
    """A run of a branch is none of it, however it is called; a second one of the same name is a question, and nothing is signed."""
    recovery = night.recovery("jonas")
    branch = night.incident.repository.add_run(WORKFLOW, actor="mallory", branch="let-me-in", title=f"decision by mallory, {ID}-web.east")
    branch.finish("failure")
    known = pending_runs(recovery, tuple(SERVICES))
    assert branch.id not in {each.run.run_id for each in known.values()}
    assert any(line.startswith(f"run {branch.id} does not wait for signatures") for line in night.said)

    again = {"decision": night.decision_of("web/east"), "reason": f"{ID}-web.east"}
    night.incident.repository.workflows[0].start("main", "workflow_dispatch", "mallory", again)
    night.carry_out_next()
    with pytest.raises(Refusal, match="cannot be approved as a whole") as refused:
        pending_runs(recovery, tuple(SERVICES))
    assert refused.value.gate == "recovery.incomplete"
    assert "ask for web/east" in refused.value.found
