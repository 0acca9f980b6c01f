"""Every way a run can stop has a state, a word for people and an exit code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.contracts.run import EXIT_OF, TERMINAL, TRANSITIONS, RefusalRecord, State, may_follow
from hyops_ci.errors import Exit, Refusal
from hyops_ci.evidence.conclusions import exit_code_of
from hyops_ci.report.headline import HeadlineContext, headline, stopped_state


@given(
    st.sampled_from(sorted(TRANSITIONS)),
    st.sampled_from(sorted(set(Exit) - {Exit.EVIDENCE})),
    st.sampled_from(["approval.denied", "approval.expired", "a.b"]),
)
def test_a_stop_is_always_a_legal_terminal_state(before: State, code: Exit, gate: str) -> None:
    state = stopped_state(before, Refusal(gate, "no", exit_code=code))
    assert state in TERMINAL
    if code not in (Exit.DONE, Exit.CANCELLED):  # those two are raised only where the table has them
        assert may_follow(before, state), (before, state)


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_every_terminal_state_has_a_headline_and_an_exit_code(state: State) -> None:
    refusal = RefusalRecord(gate="lane.disabled", reason="azure is not enabled", exit_code=4)
    text = headline(state, HeadlineContext(service="pg-ha/prod", source_site="onprem", target_site="gcp", at="03:31:58Z"), refusal)
    assert text
    assert "\n" not in text
    assert state in EXIT_OF


@pytest.mark.parametrize(
    ("state", "code"),
    [(State.COMPLETED, 0), (State.DUPLICATE, 0), (State.INDETERMINATE, 10), (State.CANCELLED, 130), (State.FAILED, 8), (State.BLOCKED, 8)],
)
def test_exit_code(state: State, code: int) -> None:
    assert exit_code_of(state, RefusalRecord(gate="secrets.login", reason="no", exit_code=8)) == code


@pytest.mark.parametrize(
    ("past", "words"), [(False, "Clients still point to onprem. Lock free"), (True, "Clients may have moved. Lock KEPT until settled")]
)
def test_a_stop_says_where_clients_are(past: bool, words: str) -> None:
    scene = HeadlineContext(source_site="onprem", step="3/6 postgresql_restore failed after 6m02s", past_no_return=past)
    assert headline(State.FAILED, scene, None).endswith(f"step 3/6 postgresql_restore failed after 6m02s. {words}")


def test_a_drill_does_not_read_as_a_recovery() -> None:
    context = HeadlineContext(service="pg-ha/drill", target_site="gcp", at="03:31:58Z", exercise="isolated", deviations=2)
    line = headline(State.COMPLETED_WITH_EXCEPTIONS, context, None)
    assert line == "DRILL PASSED, 2 deviations  pg-ha/drill came up at gcp (isolated), verified 03:31:58Z"


@pytest.mark.parametrize(("state", "begins"), [(State.BLOCKED, "REFUSED a.b (exit 4): no"), (State.EXPIRED, "NOBODY APPROVED by 04:04Z")])
def test_a_headline_names_gate_and_exit_code_or_the_time(state: State, begins: str) -> None:
    assert headline(state, HeadlineContext(at="04:04Z"), RefusalRecord(gate="a.b", reason="no", exit_code=4)) == begins
