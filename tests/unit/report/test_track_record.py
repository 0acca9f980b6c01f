"""What people read of a service's past: the last check, what is owed, how long it took."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.config import Objective
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.figures import Figures
from hyops_ci.contracts.readiness import ReadinessFact
from hyops_ci.contracts.run import State
from hyops_ci.contracts.track_record import Ended, Obligation, Series, TrackRecord
from hyops_ci.report.track_record import expected_time, last_check, obligation_line, track_record_lines, trend
from tests.unit.readiness.samples import NOW, record, refused

LAST = Ended(
    at="2026-11-02T03:00:00Z",
    run_id="4711-1",
    decision_type=DecisionType.FAILOVER,
    state=State.COMPLETED,
    figures=Figures(verdict="met", request_to_proven=1300),
)
DRILLS = Series(runs=3, proven=(1300, 1500, 1200), p50=1300, p90=1500, worst=1500, met=2, judged=3, last=LAST)


def known(**more: object) -> TrackRecord:
    readiness = ReadinessFact(standing="ready", record=record(), last_passed=record())
    return TrackRecord.model_validate({"service": "pg-ha/prod", "at": stamp(NOW), "readiness": readiness, **more})


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        (ReadinessFact(standing="ready", record=record()), "2026-11-23T02:00:00Z, 1h00m ago, ready, run 4711-1 on gcp-ops-runner"),
        (
            ReadinessFact(standing="not ready", record=refused(), last_passed=record(90)),
            (
                "2026-11-23T02:00:00Z, 1h00m ago, NOT READY (BLOCKED states.ok: 2 of 5 upstream states are not ok), "
                "run 4711-1 on gcp-ops-runner; the last that passed: 2026-11-19T09:00:00Z"
            ),
        ),
        (
            ReadinessFact(standing="expired", record=record(100)),
            "2026-11-18T23:00:00Z, 4 d ago: expired (2026-11-20T23:00:00Z); it was ready, run 4711-1 on gcp-ops-runner",
        ),
        (ReadinessFact(standing="unknown", why="no check was kept yet"), "not known: no check was kept yet"),
    ],
)
def test_the_last_check(fact: ReadinessFact, text: str) -> None:
    assert last_check(fact, NOW) == text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"state": "done", "done_at": "2026-11-01T00:00:00Z", "due_at": "2026-12-01T00:00:00Z"},
            "next 2026-12-01T00:00:00Z, last done 2026-11-01T00:00:00Z",
        ),
        ({"state": "due", "due_at": "2026-11-01T00:00:00Z"}, "due since 2026-11-01T00:00:00Z, never done"),
        (
            {"state": "missed", "due_at": "2026-11-01T00:00:00Z", "last": "FAILED 2026-11-02T00:00:00Z"},
            "MISSED since 2026-11-01T00:00:00Z, never done; the newest try: FAILED 2026-11-02T00:00:00Z",
        ),
        ({"state": "unknown", "why": "this service has no ledger"}, "not known, this service has no ledger"),
    ],
)
def test_what_is_owed(changes: dict[str, str], text: str) -> None:
    owed = Obligation.model_validate(
        {"service": "pg-ha/prod", "level": "isolated", "practised_on": "pg-ha/drill", "every": "P30D", **changes}
    )
    assert obligation_line(owed) == f"drill of pg-ha/prod on pg-ha/drill every P30D: {text}"


def test_how_long_it_took() -> None:
    assert trend(DRILLS) == "21m40s (2026-11-02); p50 21m40s, p90 25m00s, worst 25m00s of the last 3; 2 of 3 met their objective"
    assert trend(DRILLS.model_copy(update={"proven": (1300,), "judged": 0})) == "21m40s (2026-11-02)"
    assert trend(Series(runs=2)) == "2 ended, none with a time to its proof"
    assert trend(Series()) == ""


def test_how_long_it_will_probably_take() -> None:
    assert expected_time(known(drills=DRILLS), Objective(rto="PT30M")).endswith("objective 30m00s")
    assert "p90 of the drills is LATER" in expected_time(known(drills=DRILLS), Objective(rto="PT20M"))
    assert expected_time(known(), Objective()) == "objective none set; no drill or run with a time to its proof yet"
    assert "not known here" in expected_time(None, Objective(rto="PT30M"))


def test_a_log_says_all_of_it() -> None:
    owed = Obligation(
        service="pg-ha/prod", level="check", practised_on="pg-ha/prod", every="P1D", state="due", due_at=stamp(NOW - timedelta(days=1))
    )
    strange = ReadinessFact(standing="unknown", why="no check", passed_over=("0123456789ab is signed by no host of the config",))
    lines = track_record_lines(known(readiness=strange, obligations=(owed,), drills=DRILLS))
    assert [line.partition(":")[0] for line in lines] == ["last check", "last drills", "ALARM of the readiness branch", "owed"]
