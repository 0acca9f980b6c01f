"""What is not ready, what has not been checked for too long, and what was owed and not done."""

from __future__ import annotations

from collections.abc import Iterator

from hyops_ci.contracts.base import whole_second
from hyops_ci.contracts.board import Alarm
from hyops_ci.contracts.readiness import ReadinessFact
from hyops_ci.contracts.track_record import Obligation
from hyops_ci.errors import Exit
from hyops_ci.operations.status import ServiceStatus
from hyops_ci.text import shell


def readiness_alarms(found: ServiceStatus, *, lab: bool = False) -> Iterator[Alarm]:
    """Yield what is wrong with the readiness of one service. Nothing where its ledger is not believed: that is an alarm of its own.

    `lab`: what its host says of itself is a warning at most.
    """
    if found.known is None:
        return
    yield from _standing(found.service, found.known.readiness)
    yield from _host(found.service, found.known.readiness, lab=lab)
    for owed in found.known.obligations:
        yield from _obligation(found.service, owed)


def _standing(service: str, fact: ReadinessFact) -> Iterator[Alarm]:
    record = fact.record
    again = shell("hyops-ci dispatch --action check --service {}", service)
    if fact.standing == "not ready" and record is not None:
        why = f"{record.gate}: {record.reason}" if record.gate else f"the check ended {record.outcome}"
        text = f"a {record.decision_type} would be refused, by the check of {whole_second(record.checked_at)} on {record.runner_ref}: {why}"
        yield _alarm("readiness.refused", service, text, f"mend it, then check again: {again}")
    elif fact.standing == "expired" and record is not None:
        text = f"the newest check is of {whole_second(record.checked_at)} and says nothing since {whole_second(record.expires_at)}"
        yield _alarm("readiness.stale", service, text, f"find out why none came since; by hand: {again}")
    elif fact.unanswered:
        yield Alarm(level="unknown", kind="readiness", service=service, text=fact.why)
    for strange in fact.passed_over:
        text = f"on its branch of checks lies what counts as nothing: {strange}"
        yield Alarm(level="warning", kind="readiness.strange", service=service, text=text)


def _host(service: str, fact: ReadinessFact, *, lab: bool) -> Iterator[Alarm]:
    """Yield what the host of the newest check said of itself."""
    record = fact.record
    if record is None:
        return
    for note in record.host:
        kind, text = f"host.{note.topic}", f"{record.runner or record.runner_ref}: {note.text}"
        if note.level == "alarm" and not lab:
            look = shell("on the host: hyops-ci runner look --lane {}", record.lane)
            yield Alarm(level="alarm", kind=kind, service=service, text=text, fix=look, exit_code=int(Exit.RUNNER))
        else:
            yield Alarm(level="warning", kind=kind, service=service, text=text)


def _obligation(service: str, owed: Obligation) -> Iterator[Alarm]:
    what = "check" if owed.level == "check" else "drill of level isolated"
    kind = "check" if owed.level == "check" else "drill"
    if owed.state == "unknown":
        yield Alarm(level="unknown", kind=f"{kind}.unknown", service=service, text=f"whether its {what} was done: {owed.why}")
    elif owed.state == "missed":
        done = f"was last done {whole_second(owed.done_at)}" if owed.done_at else "was never done"
        tried = f"; the last try: {owed.last}" if owed.last else ""
        text = f"its {what} is owed every {owed.every} and {done}: due since {whole_second(owed.due_at or '')}{tried}"
        by_hand = shell("hyops-ci dispatch --action {} --service {}", kind, owed.practised_on or service)
        yield _alarm(f"{kind}.missed", service, text, f"find out why; by hand: {by_hand}")


def _alarm(kind: str, service: str, text: str, fix: str) -> Alarm:
    return Alarm(level="alarm", kind=kind, service=service, text=text, fix=fix, exit_code=int(Exit.POLICY))
