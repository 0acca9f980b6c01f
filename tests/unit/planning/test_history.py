"""Runs that have ended, out of a ledger's history, and how their times are spread."""

from __future__ import annotations

import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.contracts.figures import Figures
from hyops_ci.contracts.ledger import Tip
from hyops_ci.contracts.run import State
from hyops_ci.contracts.track_record import Ended
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.planning.history import ended, percentile, series
from tests.ledger.ledger_setup import SERVICE, MemoryStore, at, request


def took(seconds: int | None, **more: Any) -> Figures:
    known: dict[str, Any] = {"verdict": "unproven" if seconds is None else "no-objective", "request_to_proven": seconds}
    return Figures.model_validate(known | more)


def history(*ends: tuple[State, Figures | None], drill: bool = True) -> tuple[Tip, ...]:
    """The tips, newest first, of runs that ended so, ten minutes one after another."""
    ledger = Ledger(MemoryStore(), SERVICE)
    ledger.init("onprem", at(-60))
    for number, (state, figures) in enumerate(ends, 1):
        claim = ledger.claim(request(number, at=at(number * 10), drill=drill))
        ledger.advance(claim, State.EXECUTING, at=at(number * 10 + 1))
        ledger.advance(claim, state, at=at(number * 10 + 2), figures=figures)
    return ledger.history()


def test_each_run_once_newest_first_at_the_time_of_its_end() -> None:
    tips = history((State.COMPLETED, took(60)), (State.FAILED, took(None)), (State.COMPLETED, None))
    assert [(each.at, each.state, each.figures) for each in ended(tips, drill=True)] == [
        (at(32), State.COMPLETED, None),
        (at(22), State.FAILED, took(None)),
        (at(12), State.COMPLETED, took(60)),
    ]
    assert ended(tips, drill=False) == ()


def test_evidence_that_came_after_the_end_changes_no_time() -> None:
    ledger = Ledger(MemoryStore(), SERVICE)
    ledger.init("onprem", at(-60))
    claim = ledger.claim(request(1, at=at(1)))
    ledger.advance(claim, State.FAILED, at=at(2))
    ledger.advance(claim, State.FAILED, at=at(9), bundle_sha256="sha256:" + "b" * 64, figures=took(None))
    [run] = ended(ledger.history(), drill=False)
    assert (run.at, run.figures) == (at(2), took(None))


def test_a_run_that_has_not_ended_is_no_run_yet() -> None:
    ledger = Ledger(MemoryStore(), SERVICE)
    ledger.init("onprem", at(-60))
    ledger.claim(request(1, at=at(1)))
    assert ended(ledger.history(), drill=False) == ()


def test_how_long_runs_took() -> None:
    tips = history(*[(State.COMPLETED, took(60 * number, verdict="met" if number < 4 else "missed", rto=200)) for number in range(1, 6)])
    found = series(ended(tips, drill=True))
    assert (found.runs, found.proven, found.p50, found.p90, found.worst) == (5, (300, 240, 180, 120, 60), 180, 300, 300)
    assert (found.met, found.judged) == (3, 5)
    assert found.last is not None
    assert found.last.at == at(52)


def test_only_the_newest_count() -> None:
    tips = history(*[(State.COMPLETED, took(1000 - number)) for number in range(5)])
    assert series(ended(tips, drill=True), last=2).proven == (996, 997)


def test_what_was_not_proven_has_no_time_and_is_counted() -> None:
    found = series(ended(history((State.FAILED, took(None)), (State.COMPLETED, None)), drill=True))
    assert (found.runs, found.proven, found.p50, found.last) == (2, (), None, None)
    assert series(()).runs == 0


@pytest.mark.parametrize(("values", "percent", "expected"), [([], 50, None), ([7], 90, 7), ([1, 2], 50, 1), ([1, 2, 3, 4], 90, 4)])
def test_a_percentile_is_a_time_that_was_measured(values: list[int], percent: int, expected: int | None) -> None:
    assert percentile(values, percent) == expected


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=30), st.integers(1, 100))
def test_a_percentile_leaves_as_many_above_as_it_says(values: list[int], percent: int) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(each <= (found or 0) for each in values) * 100 >= len(values) * percent
    assert sum(each < (found or 0) for each in values) * 100 < len(values) * percent
    if percent == 50 and len(values) % 2:
        assert found == statistics.median_low(values)


def test_a_run_is_what_its_claim_says() -> None:
    [run] = ended(history((State.COMPLETED, took(60)), drill=False), drill=False)
    assert isinstance(run, Ended)
    assert (run.run_id, run.decision_type) == (request(1).run_id, request(1).decision_type)
