"""Which drill a scheduled run makes: what is due, in turn, and never beside a recovery of the same service."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hyops_ci.contracts.ledger import Tip
from hyops_ci.contracts.run import State
from hyops_ci.contracts.track_record import TrackRecord
from hyops_ci.errors import Refusal
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.rules import Lock
from hyops_ci.operations.next_drill import next_drill
from hyops_ci.operations.status import ServiceStatus
from tests.ledger.ledger_setup import MemoryStore, request
from tests.unit.operations.alarms.test_readiness import READY
from tests.unit.report.sample_board import ago, owed


def service(name: str, state: Any = "done", days: int = 1) -> ServiceStatus:
    """A service that owes a drill, and did it or not."""
    practised = f"{name.partition('/')[0]}/drill"
    obligation = owed(name, "isolated", "P30D", state, practised_on=practised, due_at=ago(days=days))
    return ServiceStatus(service=name, approvers="", known=TrackRecord(service=name, at=ago(), readiness=READY, obligations=(obligation,)))


def at_work(found: ServiceStatus, *, drill: bool, lock: Lock = "held") -> ServiceStatus:
    """A run has the service, or was cut off there."""
    ledger = Ledger(MemoryStore(), "pg-ha/prod")
    ledger.init("onprem", "2026-11-23T02:00:00Z")
    claim = ledger.claim(request().model_copy(update={"drill": drill}))
    tip: Tip = ledger.tip().model_copy(update={"state": State.EXECUTING})
    assert claim.drill is drill
    return replace(found, tip=tip, lock=lock)


def test_nothing_is_due() -> None:
    found = next_drill([service("pg-ha/prod"), service("web/prod")], "", 7)
    assert (found.service, found.reason, len(found.lines), found.quiet) == ("", "", 2, True)


@pytest.mark.parametrize("state", ["due", "missed", "unknown"])
def test_a_watcher_hears_nothing_while_one_is_owed_or_not_known(state: Any) -> None:
    assert not next_drill([service("pg-ha/prod"), service("web/prod", state)], "", 0).quiet
    assert not next_drill([service("pg-ha/prod"), service("web/prod", state)], "pg-ha/prod", 0).quiet


def test_a_watcher_hears_nothing_while_a_ledger_is_not_read() -> None:
    unread = ServiceStatus(service="web/prod", approvers="")
    assert not next_drill([service("pg-ha/prod"), unread], "", 0).quiet


def test_each_that_is_due_has_its_turn_the_longest_overdue_first() -> None:
    two = [service("pg-ha/prod", "due", 1), service("web/prod", "missed", 9)]
    assert [next_drill(two, "", number).service for number in (0, 1, 2)] == ["web/prod", "pg-ha/prod", "web/prod"]
    assert next_drill(two, "", 0).reason.startswith("scheduled drill, missed since ")


def test_what_is_not_known_is_not_drilled() -> None:
    assert next_drill([service("pg-ha/prod", "unknown")], "", 0).service == ""


@pytest.mark.parametrize("lock", ["held", "unknown"])
def test_a_recovery_at_work_or_cut_off_is_not_drilled_beside(lock: Lock) -> None:
    busy = at_work(service("pg-ha/prod", "due"), drill=False, lock=lock)
    found = next_drill([busy, service("web/prod", "due")], "", 0)
    assert found.service == "web/prod"
    assert found.lines[0].startswith("pg-ha/prod: not now, pg-ha/prod: ")
    assert next_drill([busy], "", 0).service == ""


def test_what_an_earlier_drill_left_keeps_no_drill_from_removing_it() -> None:
    due, practised = service("pg-ha/prod", "due"), ServiceStatus(service="pg-ha/drill", approvers="")
    assert next_drill([due, at_work(practised, drill=True, lock="unknown")], "", 0).service == "pg-ha/prod"
    assert next_drill([due, at_work(practised, drill=True)], "", 0).service == "", "another drill is at work there"


def test_the_one_that_was_asked_for() -> None:
    assert next_drill([service("pg-ha/prod")], "pg-ha/prod", 0).service == "pg-ha/prod"
    with pytest.raises(Refusal, match=r"form\.service"):
        next_drill([service("pg-ha/prod")], "mail/prod", 0)


def test_a_config_that_owes_nothing_says_where_it_is_said() -> None:
    found = next_drill([ServiceStatus(service="pg-ha/prod", approvers="")], "", 0)
    assert found.lines == ("no service owes a drill: drills.<service>.isolated in the config says how often",)
