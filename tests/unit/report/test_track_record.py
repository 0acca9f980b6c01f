"""What people read of a service's past: the last check, what is owed, how long it took."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.config import Objective
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.figures import Figures
from hyops_ci.contracts.readiness import ReadinessFact
from hyops_ci.contracts.run import State
from hyops_ci.contracts.track_record import TRACK_RECORD, Ended, Obligation, Series, TrackRecord
from hyops_ci.report.html import html
from hyops_ci.report.text import markdown
from hyops_ci.report.times import read_times
from hyops_ci.report.track_record import expected_time, figures_line, last_check, obligation_line, track_record_lines, trend
from tests.unit.evidence import sample_run
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


def test_summary_and_report_of_a_run_say_how_long_others_took() -> None:
    of = sample_run.plan()
    documents = {"plan.json": of, "result.json": sample_run.result(of, sample_run.check(of)), TRACK_RECORD: known(drills=DRILLS)}
    files = {name: json.dumps(each.document()).encode() for name, each in documents.items()}
    files["objectives.json"] = json.dumps(
        {"figures": {"request_to_proven": {"seconds": 1500}}, "rto": {"objective": 1800, "met": True}}
    ).encode()
    said = "last drill 21m40s (2026-11-02); p50 21m40s, p90 25m00s, worst 25m00s of the last 3"
    assert said in markdown(files)
    assert said in html(files)
    del files[TRACK_RECORD]
    assert "Before" not in markdown(files)
    assert "Before:" not in html(files)


@pytest.mark.parametrize(
    ("rpo", "age", "line"),
    [
        ({"objective": 300, "met": True}, {"seconds": 41}, "41s before the request is the newest data. Objective 5m00s: met"),
        ({"objective": 30, "met": False}, {"seconds": 41}, "41s before the request is the newest data. Objective 30s: NOT met"),
        ({"objective": None}, {"seconds": 41}, "41s before the request is the newest data. No objective set"),
        ({"objective": 300, "met": None, "reason": "no row"}, {"seconds": None}, "not measured (no row). Objective 5m00s"),
        ({"objective": None}, {"seconds": None}, ""),
        ("nonsense", {"seconds": "x"}, ""),
    ],
)
def test_how_much_data_was_lost(rpo: object, age: dict[str, object], line: str) -> None:
    assert read_times({"figures": {"request_to_proven": {"seconds": 1500}, "data_age": age}, "rpo": rpo}).data_line() == line


@pytest.mark.parametrize(
    ("took", "line"),
    [
        (
            Figures(verdict="met", request_to_proven=1300, data_age=41),
            "21m40s from request to proof, newest data 41s before the request: objective met",
        ),
        (Figures(verdict="unproven", cleaned=False), "nothing was proven: no proof, SOMETHING LEFT of the drill"),
        (
            Figures(verdict="no-objective", request_to_proven=60, cleaned=True),
            "1m00s from request to proof: nothing was promised, nothing left of the drill",
        ),
    ],
)
def test_what_one_run_took(took: Figures, line: str) -> None:
    assert figures_line(took) == line
