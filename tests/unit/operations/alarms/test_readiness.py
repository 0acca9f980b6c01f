"""What is not ready, stale, or was owed and not done; and which service a scheduled run checks."""

from __future__ import annotations

from typing import Any

import pytest

from hyops_ci.contracts.readiness import HostNote, ReadinessFact
from hyops_ci.contracts.run import State
from hyops_ci.contracts.track_record import Obligation, TrackRecord
from hyops_ci.errors import Fault, Refusal
from hyops_ci.operations.alarms.readiness import readiness_alarms
from hyops_ci.operations.next_check import next_check
from hyops_ci.operations.status import ServiceStatus
from tests.unit.report.sample_board import ago, owed, readiness

READY = ReadinessFact(standing="ready", record=readiness())


def of(fact: ReadinessFact = READY, *obligations: Obligation, service: str = "pg-ha/prod") -> ServiceStatus:
    known = TrackRecord(service=service, at=ago(), readiness=fact, obligations=obligations)
    return ServiceStatus(service=service, approvers="", known=known)


def kinds(found: ServiceStatus) -> list[tuple[str, str, int]]:
    return [(alarm.kind, alarm.level, alarm.exit_code) for alarm in readiness_alarms(found)]


def test_what_is_ready_and_done_raises_nothing() -> None:
    assert kinds(of(READY, owed("pg-ha/prod", "check", "P1D", "done"), owed("pg-ha/prod", "isolated", "P30D", "due"))) == []
    assert kinds(of(ReadinessFact(standing="unknown", why="no check was kept yet"))) == [], "nobody owes it"
    assert kinds(ServiceStatus(service="a/b", approvers="", trouble=Fault("x", "y", exit_code=12))) == [], "its ledger is an alarm"  # type: ignore[arg-type]  # any code


def test_a_check_that_was_refused_names_its_gate() -> None:
    record = readiness(ready=False, outcome=State.BLOCKED, gate="states.ok", reason="2 of 5 states are not ok")
    [found] = readiness_alarms(of(ReadinessFact(standing="not ready", record=record)))
    assert (found.kind, found.level, found.exit_code) == ("readiness.refused", "alarm", 4)
    assert "states.ok: 2 of 5 states are not ok" in found.text
    assert found.fix.endswith("hyops-ci dispatch --action check --service pg-ha/prod")


def test_a_check_that_says_nothing_any_more() -> None:
    assert kinds(of(ReadinessFact(standing="expired", record=readiness()))) == [("readiness.stale", "alarm", 4)]


def test_what_nobody_answered_is_not_known() -> None:
    assert kinds(of(ReadinessFact(standing="unknown", why="no answer", unanswered=True))) == [("readiness", "unknown", 0)]


def test_what_the_host_of_the_check_said_of_itself() -> None:
    notes = (HostNote(level="alarm", topic="hook", text="no hook"), HostNote(level="warning", topic="certificate", text="14 d"))
    found = of(ReadinessFact(standing="ready", record=readiness(host=notes)))
    assert kinds(found) == [("host.hook", "alarm", 7), ("host.certificate", "warning", 0)]
    assert [each.level for each in readiness_alarms(found, lab=True)] == ["warning", "warning"]


def test_what_lies_on_the_branch_and_counts_as_nothing_is_a_warning() -> None:
    fact = ReadinessFact(standing="ready", record=readiness(), passed_over=("3f2a is signed by no host of the config",))
    assert kinds(of(fact)) == [("readiness.strange", "warning", 0)]


def test_what_was_owed_and_missed() -> None:
    check = owed("pg-ha/prod", "check", "P1D", "missed", due_at=ago(days=2))
    drill = owed(
        "pg-ha/prod", "isolated", "P30D", "missed", practised_on="pg-ha/drill", due_at=ago(days=9), done_at=ago(days=39), last="FAILED"
    )
    first, second = readiness_alarms(of(READY, check, drill))
    assert (first.kind, second.kind) == ("check.missed", "drill.missed")
    assert "was never done" in first.text
    assert "the last try: FAILED" in second.text
    assert second.fix.endswith("hyops-ci dispatch --action drill --service pg-ha/drill")


def test_what_cannot_be_said_is_not_known() -> None:
    unknown = owed("pg-ha/prod", "isolated", "P30D", "unknown", why="no env of class drill has this service")
    assert kinds(of(READY, unknown)) == [("drill.unknown", "unknown", 0)]


def two(first: Any, second: Any) -> list[ServiceStatus]:
    return [
        of(READY, owed("pg-ha/prod", "check", "P1D", first, due_at=ago(days=1))),
        of(READY, owed("web/prod", "check", "P1D", second, due_at=ago(days=2)), service="web/prod"),
    ]


def test_nothing_is_due() -> None:
    found = next_check(two("done", "done"), "", 7)
    assert (found.service, len(found.lines)) == ("", 2)


def test_each_that_is_due_has_its_turn_the_longest_overdue_first() -> None:
    assert [next_check(two("due", "missed"), "", number).service for number in (0, 1, 2)] == ["web/prod", "pg-ha/prod", "web/prod"]
    assert next_check(two("done", "unknown"), "", 1).service == "web/prod"


def test_the_one_that_was_asked_for() -> None:
    assert next_check(two("done", "done"), "web/prod", 0).service == "web/prod"
    with pytest.raises(Refusal, match=r"form\.service"):
        next_check(two("done", "done"), "mail/prod", 0)


def test_a_config_that_owes_nothing_says_where_it_is_said() -> None:
    found = next_check([of()], "", 0)
    assert (found.service, found.lines) == ("", ("no service owes a check: drills.<service>.check in the config says how often",))
