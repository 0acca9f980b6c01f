"""What a service's ledger says that somebody has to look at: who holds its lock, and what ended without evidence."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from hyops_ci.contracts.base import moment, whole_second
from hyops_ci.contracts.board import Alarm
from hyops_ci.contracts.run import TERMINAL
from hyops_ci.errors import Exit
from hyops_ci.ledger.rules import PATIENCE
from hyops_ci.ledger.settling import to_settle
from hyops_ci.operations.board.runs import ended_runs
from hyops_ci.operations.status import ServiceStatus
from hyops_ci.text import short_span

LONG: Final = timedelta(hours=6)
"""How long a run may hold a lock: GitHub ends a job after six hours."""
RECENT: Final = timedelta(days=30)
"""For how long a run without evidence is an alarm. Later it stands in the table alone: nobody can mend it any more."""


def ledger_alarms(found: ServiceStatus, now: datetime) -> Iterator[Alarm]:
    """Yield what is wrong with the ledger of one service."""
    service, tip = found.service, found.tip
    if found.trouble is not None:
        text = f"{found.trouble.reason}; {found.trouble.found}"
        code = int(found.trouble.exit_code)
        yield Alarm(level="alarm", kind=found.trouble.gate, service=service, text=text, fix=found.trouble.fix, exit_code=code)
    if tip is None or tip.claim is None:
        return
    run, since, at = tip.claim.run_id, moment(tip.at), whole_second(tip.at)
    if found.lock == "unknown":
        why = f"run {run} was cut off or has ended unproven ({tip.state} since {at})"
        text = f"{why}; nobody has said which site serves, and nothing else can start"
        yield _alarm("lock.unknown", service, text, f"look which site serves, then {to_settle(service)}", Exit.CONFLICT)
    elif found.lock == "held" and now - moment(tip.claim.claimed_at) > LONG:
        text = f"run {run} has held the lock for {short_span(now - moment(tip.claim.claimed_at))}: {tip.state} since {at}"
        yield _alarm("lock.held", service, text, f"look at run {run}", Exit.CONFLICT)
    elif found.lock == "free" and tip.state not in TERMINAL and now - since > PATIENCE:
        text = f"run {run} took the lock and went silent before it changed anything ({tip.state} since {at}): the next takes over"
        yield Alarm(level="warning", kind="lock.silent", service=service, text=text)
    yield from _without_evidence(found, now)


def _without_evidence(found: ServiceStatus, now: datetime) -> Iterator[Alarm]:
    for run in ended_runs(found.history, {}):
        if run.state in TERMINAL and run.bundle_sha256 is None and now - moment(run.ended_at) < RECENT:
            text = f"run {run.run_id} ended {run.state} at {whole_second(run.ended_at)}, and its ledger names no evidence"
            look = f"look for the artifacts of run {run.run_id} before they expire, and keep them"
            yield _alarm("evidence.missing", found.service, text, look, Exit.EVIDENCE)


def _alarm(kind: str, service: str, text: str, fix: str, code: Exit) -> Alarm:
    return Alarm(level="alarm", kind=kind, service=service, text=text, fix=fix, exit_code=int(code))
