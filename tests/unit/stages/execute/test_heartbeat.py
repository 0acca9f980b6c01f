"""A run that is alive says so, and one that lost its lock stops."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.ledger import Claim
from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.stages.context import RunContext, SystemClock
from hyops_ci.stages.execute.heartbeat import heartbeat
from hyops_ci.stages.job import local_job

ZERO = "sha256:" + "0" * 64
CLAIM = Claim(
    claim_id="claim-1",
    decision_id="decision-1",
    decision_type=DecisionType.FAILOVER,
    source_sha256=ZERO,
    decision_digest=ZERO,
    plan_digest=ZERO,
    check_digest=ZERO,
    epoch=1,
    incident="pg/lab:failover:0",
    run_id="1-1",
    claimed_at="2026-11-23T03:04:31Z",
)


class Renewing:
    """A ledger that counts, and answers as it is told."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers, self.beats, self.enough = list(answers), 0, threading.Event()

    def renew(self, claim: Claim, *, at: str) -> None:
        answer = self.answers[min(self.beats, len(self.answers) - 1)]
        self.beats += 1
        if self.beats >= 3 or isinstance(answer, Refusal):
            self.enough.set()
        if answer is not None:
            raise answer


def beat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ledger: Renewing) -> tuple[list[str], list[str]]:
    said: list[str] = []
    lost: list[str] = []
    clock = SystemClock()
    world = RunContext(local_job(clock.now(), "maria", {}), clock, tmp_path, tmp_path, "none", say=said.append)
    monkeypatch.setattr(RunContext, "ledger", lambda self, service: ledger)
    with heartbeat(CLAIM, "pg/lab", replace(world), lambda: lost.append("lost"), every=0.01):
        assert ledger.enough.wait(10)
    return said, lost


def test_it_renews_until_the_block_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Renewing(None)
    assert beat(tmp_path, monkeypatch, ledger) == ([], [])
    beats: Any = ledger.beats
    assert beats >= 3
    assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat"]


def test_a_silent_ledger_is_said_and_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Renewing(Fault("ledger.unreachable", "the ledger does not answer", exit_code=Exit.UNAVAILABLE))
    said, lost = beat(tmp_path, monkeypatch, ledger)
    assert len(said) >= 3
    assert "does not answer" in said[0]
    assert lost == []


def test_a_lost_lock_stops_the_run_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Renewing(Refusal("lock.superseded", "another run has taken the lock", exit_code=Exit.CONFLICT))
    said, lost = beat(tmp_path, monkeypatch, ledger)
    assert (ledger.beats, len(said), lost) == (1, 1, ["lost"])
