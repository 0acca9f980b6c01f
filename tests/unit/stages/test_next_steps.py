"""What a person is told to do after a run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import TERMINAL, State
from hyops_ci.stages.next_steps import Left, at_work_line, next_of
from tests.unit.evidence import sample_run

S = State
PLAN: Plan = sample_run.plan()


@given(
    state=st.sampled_from(sorted(TERMINAL - {S.SETTLED, S.NOT_CLEANED})), past=st.booleans(), at_work=st.sampled_from([None, True, False])
)
def test_nobody_is_sent_into_a_new_run_while_the_lock_is_kept(state: State, past: bool, at_work: bool | None) -> None:
    said = "\n".join(next_of(state, PLAN, Left(True, past, at_work)))
    assert "action=settle" in said
    assert "ledger settle" in said
    assert "NEW run" not in said


@pytest.mark.parametrize("at_work", [None, True, False])
def test_what_a_drill_left_is_removed_by_the_next_or_by_hand(at_work: bool | None) -> None:
    said = "\n".join(next_of(S.NOT_CLEANED, PLAN, Left(True, True, at_work)))
    assert "action=drill" in said
    assert "by hand" in said
    assert "ledger settle" in said
    assert "NEW run" not in said
    assert ("is still at work" in said) is (at_work is True)


@pytest.mark.parametrize("state", [S.FAILED, S.CANCELLED])
def test_a_stop_before_clients_moved_is_begun_again(state: State) -> None:
    assert next_of(state, PLAN, Left(False)) == ("start a NEW run, do not re-run this one",)


def test_without_a_plan_nothing_is_to_be_done() -> None:
    assert next_of(S.REJECTED, None, Left(False)) == ()


@pytest.mark.parametrize(("at_work", "words"), [(True, "is still at work"), (None, "may still be at work"), (False, "no longer at work")])
def test_an_unknown_end_says_whether_hyops_is_at_work(at_work: bool | None, words: str) -> None:
    assert words in next_of(S.INDETERMINATE, PLAN, Left(True, at_work=at_work))[0]
    assert at_work_line("gcp-ops-runner", at_work).startswith("HyOps ")


def test_a_check_that_passed_says_how_its_failover_is_asked_for() -> None:
    assert next_of(S.CHECK_PASSED, PLAN, Left(False)) == (
        f"a failover is asked for by: gh workflow run dr.yml -f service={PLAN.service} -f action=failover -f reason=...",
    )
    for other in ({"decision_type": "failback_onprem"}, {"env_class": "drill"}):
        assert next_of(S.CHECK_PASSED, PLAN.model_copy(update=other), Left(False)) == ()
