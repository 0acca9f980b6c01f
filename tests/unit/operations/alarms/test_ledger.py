"""What a ledger says that somebody has to look at."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from hyops_ci.contracts.board import Alarm
from hyops_ci.contracts.run import State
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.operations.alarms.ledger import ledger_alarms
from hyops_ci.operations.status import Places, status
from tests.ledger.ledger_setup import SERVICE, START, MemoryStore, acting, at, request
from tests.unit.operations.board.test_board import CONFIG, OWED, config_of
from tests.unit.readiness.samples import MemoryChecks

ONE = CONFIG.replace("  pg-ha/drill:\n    failover: {lane: gcp, blueprint: dr/x@v1}\n", "").replace(OWED, "")


@pytest.fixture
def ledger() -> Ledger:
    made = acting(Ledger(MemoryStore(), SERVICE))
    made.init("onprem", at(-60))
    return made


def alarms(ledger: Ledger, **after: float) -> list[Alarm]:
    now: datetime = START + timedelta(**after)
    [found] = status(config_of(ONE), Places(lambda _: ledger, lambda _: MemoryChecks()), now, None)
    return list(ledger_alarms(found, now))


def kinds(ledger: Ledger, **after: float) -> list[tuple[str, str, int]]:
    return [(alarm.kind, alarm.level, alarm.exit_code) for alarm in alarms(ledger, **after)]


def end(ledger: Ledger, state: State = State.FAILED, **move: Any) -> None:
    claim = ledger.claim(request())
    ledger.advance(claim, State.EXECUTING, at=at(1), mutating=True)
    ledger.advance(claim, state, at=at(2), **move)


def test_a_quiet_ledger(ledger: Ledger) -> None:
    assert kinds(ledger, days=1) == []
    end(ledger, bundle_sha256="sha256:" + "1" * 64)
    assert kinds(ledger, days=1) == []


def test_a_run_that_was_cut_off(ledger: Ledger) -> None:
    ledger.advance(ledger.claim(request()), State.EXECUTING, at=at(1), mutating=True)
    assert kinds(ledger, minutes=5) == []
    [found] = alarms(ledger, minutes=20)
    assert (found.kind, found.exit_code, found.service) == ("lock.unknown", 5, SERVICE)
    assert "hyops-ci ledger settle --service pg-ha/prod --serves <site>" in found.fix


def test_a_lock_that_is_held_for_longer_than_a_job_lives(ledger: Ledger) -> None:
    claim = ledger.claim(request())
    ledger.advance(claim, State.EXECUTING, at=at(1), mutating=True)
    ledger.advance(claim, State.VERIFYING, at=at(6 * 60 + 20))
    assert kinds(ledger, hours=6, minutes=25) == [("lock.held", "alarm", 5)]


def test_a_claim_that_changed_nothing_and_went_silent(ledger: Ledger) -> None:
    ledger.claim(request())
    assert kinds(ledger, minutes=20) == [("lock.silent", "warning", 0)]


def test_a_run_without_evidence_is_an_alarm_for_a_month(ledger: Ledger) -> None:
    end(ledger)
    assert kinds(ledger, days=1) == [("evidence.missing", "alarm", 11)]
    assert kinds(ledger, days=31) == []
