"""What is owed, and whether it was done: at every moment exactly one of done, due and missed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.contracts.base import moment, stamp
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.figures import Figures
from hyops_ci.contracts.readiness import ReadinessFact
from hyops_ci.contracts.run import State
from hyops_ci.contracts.track_record import Obligation
from hyops_ci.planning.obligations import Known, is_done, late, obligations
from tests.unit.planning.gate_cases import base
from tests.unit.planning.test_history import ended, history
from tests.unit.readiness.samples import record, refused

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
DRILLED = Figures(level="isolated", verdict="met", request_to_proven=1300, cleaned=True)
NOTHING = ReadinessFact(standing="unknown", why="no check was kept yet")


def config(**drills: Any) -> DispatchConfig:
    return DispatchConfig.model_validate_json(json.dumps(base("config") | {"drills": {"pg-ha/prod": drills}}))


def owed(now: datetime, of: DispatchConfig, readiness: ReadinessFact = NOTHING, practice: Known | None = None) -> Obligation:
    known = Known(begun_at=stamp(BEGUN))
    [found] = obligations(of, "pg-ha/prod", known, practice if practice is not None else known, readiness, now)
    return found


CHECKS, DRILLS = config(check={"every": "P1D"}), config(isolated={"every": "P30D"})


def passed(at: datetime) -> ReadinessFact:
    said = record().model_copy(update={"checked_at": stamp(at)})
    return ReadinessFact(standing="ready", record=said, last_passed=said)


def test_nothing_is_owed_where_the_config_says_nothing() -> None:
    plain = DispatchConfig.model_validate_json(json.dumps(base("config")))
    assert obligations(plain, "pg-ha/prod", Known(), Known(), NOTHING, BEGUN) == ()


@pytest.mark.parametrize(
    ("hours", "state"),
    [(0, "done"), (23.9, "done"), (24, "due"), (26.3, "due"), (26.4, "missed"), (200, "missed")],
)
def test_a_check_is_due_a_span_after_it_passed_and_missed_a_tenth_later(hours: float, state: str) -> None:
    at = BEGUN + 10 * DAY
    found = owed(at + timedelta(hours=hours), CHECKS, passed(at))
    assert (found.state, found.done_at, found.due_at) == (state, stamp(at), stamp(at + DAY))


@pytest.mark.parametrize(
    ("days", "state"),
    [(0, "due"), (29, "due"), (32.9, "due"), (33, "missed")],
)
def test_what_was_never_done_is_due_at_once_and_missed_a_span_later(days: float, state: str) -> None:
    found = owed(BEGUN + days * DAY, DRILLS)
    assert (found.state, found.done_at, found.due_at, found.practised_on) == (state, None, stamp(BEGUN), "pg-ha/drill")


def test_a_check_that_was_refused_is_none_and_is_said() -> None:
    said = ReadinessFact(standing="not ready", record=refused(1), last_passed=record(100))
    found = owed(moment(refused(1).checked_at), CHECKS, said)
    assert (found.state, found.done_at) == ("missed", record(100).checked_at)
    assert found.last.startswith("BLOCKED")


def test_a_drill_that_ended_well_is_done() -> None:
    tips = history((State.COMPLETED, DRILLED))
    [drill] = ended(tips, drill=True)
    found = owed(moment(drill.at) + DAY, DRILLS, practice=Known(tips, stamp(BEGUN)))
    assert (found.state, found.done_at, found.last) == ("done", drill.at, "")


NOT_DONE = {
    "it failed": (State.FAILED, Figures(level="isolated", verdict="unproven"), "FAILED"),
    "nothing was proven": (State.COMPLETED, DRILLED.model_copy(update={"verdict": "unproven"}), "nothing was proven"),
    "something is left": (State.COMPLETED, DRILLED.model_copy(update={"cleaned": False}), "it is not proven that nothing is left"),
    "nobody knows what is left": (State.COMPLETED, DRILLED.model_copy(update={"cleaned": None}), "it is not proven that nothing is left"),
    "a release before recorded it": (State.COMPLETED, None, "nothing was proven"),
    "another level": (State.COMPLETED, DRILLED.model_copy(update={"level": ""}), "another level"),
}


@pytest.mark.parametrize("name", NOT_DONE)
def test_a_drill_that_does_not_count(name: str) -> None:
    state, figures, words = NOT_DONE[name]
    tips = history((State.COMPLETED, DRILLED), (state, figures))
    newest, older = ended(tips, drill=True)
    assert (is_done(newest), is_done(older)) == (False, True)
    found = owed(moment(newest.at) + DAY, DRILLS, practice=Known(tips, stamp(BEGUN)))
    assert found.done_at == older.at
    assert words in found.last


def test_a_real_run_is_no_drill() -> None:
    tips = history((State.COMPLETED, DRILLED), drill=False)
    assert owed(BEGUN, DRILLS, practice=Known(tips, stamp(BEGUN))).done_at is None


@pytest.mark.parametrize(
    ("of", "practice", "why"),
    [
        (DRILLS, Known(why="this service has no ledger"), "this service has no ledger"),
        (DRILLS, Known(), "the ledger of pg-ha/drill was not read"),
        (config(isolated={"every": "P30D", "service": "pg-ha/gone"}), Known(), "the ledger of pg-ha/gone was not read"),
    ],
)
def test_nobody_can_say(of: DispatchConfig, practice: Known, why: str) -> None:
    found = owed(BEGUN, of, practice=practice)
    assert (found.state, found.why, found.due_at) == ("unknown", why, None)


def test_no_env_of_class_drill() -> None:
    of = DispatchConfig.model_validate_json(json.dumps(base("config") | {"drills": {"pg-ha/drill": {"isolated": {"every": "P30D"}}}}))
    known = Known(begun_at=stamp(BEGUN))
    [found] = obligations(of, "pg-ha/drill", known, known, NOTHING, BEGUN)
    assert (found.state, found.practised_on) == ("unknown", None)
    assert "no env of class drill" in found.why


def test_a_branch_that_does_not_answer_says_nothing_about_checks() -> None:
    found = owed(BEGUN + 10 * DAY, CHECKS, ReadinessFact(standing="unknown", why="nobody answered", unanswered=True))
    assert (found.state, found.why) == ("unknown", "nobody answered")


SPANS = st.one_of(st.integers(1, 9999).map(lambda days: f"P{days}D"), st.integers(1, 9999).map(lambda hours: f"PT{hours}H"))


@given(every=SPANS, since=st.integers(0, 10**9), done=st.one_of(st.none(), st.integers(0, 10**8)))
def test_the_states_come_one_after_another(every: str, since: int, done: int | None) -> None:
    """Done before due, due before missed; more time never makes anything more done, and doing it does."""
    of = config(check={"every": every})
    at = BEGUN + timedelta(seconds=done) if done is not None else None
    readiness = passed(at) if at is not None else NOTHING
    now = (at or BEGUN) + timedelta(seconds=since)
    found, later = owed(now, of, readiness), owed(now + DAY, of, readiness)
    assert found.due_at is not None
    assert found.missed_at is not None
    due, missed = moment(found.due_at), moment(found.missed_at)
    assert due + late("check", every) <= missed
    assert found.state == ("missed" if now >= missed else "due" if now >= due else "done")
    order = ("done", "due", "missed")
    assert order.index(later.state) >= order.index(found.state)
    assert owed(now, of, passed(now)).state == "done"
