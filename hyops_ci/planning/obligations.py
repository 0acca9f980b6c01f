"""Due and done: what the config owes for a service, compared with what a host vouches for. Pure.

A check is done by a check of the next move that passed, a drill of level isolated by a restore that was proven and removed again.
A schedule may be late: GitHub delays and drops scheduled runs. So what is due counts as missed a tenth of its span later, and not before
a schedule of its kind had the time to come round.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from hyops_ci.config.drills import drills_of, isolated_service, practice_services
from hyops_ci.contracts.base import moment, seconds, stamp, whole_second
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.ledger import Tip
from hyops_ci.contracts.readiness import ReadinessFact
from hyops_ci.contracts.run import State
from hyops_ci.contracts.track_record import Due, Ended, Obligation, Owed
from hyops_ci.dataclass import dataclass
from hyops_ci.planning.history import ended

LATE: Final[dict[Owed, timedelta]] = {"check": timedelta(hours=2), "isolated": timedelta(hours=26)}
"""The least that something may be late: checks come every hour, drills once a day, and each time for one service."""
DONE: Final = (State.COMPLETED, State.COMPLETED_WITH_EXCEPTIONS)


@dataclass(frozen=True)
class Known:
    """What was read of one service. `why` says why the ledger's history is not known; it is empty then."""

    history: Sequence[Tip] = ()
    """What a host vouches for, newest first."""
    begun_at: str = ""
    """When the ledger was made."""
    why: str = ""


def obligations(
    config: DispatchConfig, service: str, known: Known, practice: Known, readiness: ReadinessFact, now: datetime
) -> tuple[Obligation, ...]:
    """Return what is owed for a service, and whether it is done. `practice` is what is known of the service that its drills restore."""
    owed, found = drills_of(config, service), []
    if owed.check is not None:
        found.append(_check(service, owed.check.every, known, readiness, now))
    if owed.isolated is not None:
        found.append(_isolated(config, service, owed.isolated.every, practice, now))
    return tuple(found)


def late(level: Owed, every: str) -> timedelta:
    """Return how long after it was due something counts as missed."""
    return max(timedelta(seconds=seconds(every) // 10), LATE[level])


def _check(service: str, every: str, known: Known, readiness: ReadinessFact, now: datetime) -> Obligation:
    empty = Obligation(service=service, level="check", practised_on=service, every=every, state="unknown")
    passed, newest = readiness.last_passed, readiness.record
    why = known.why or (readiness.why if readiness.unanswered or not known.begun_at else "")
    if why:
        return empty.model_copy(update={"why": why})
    failed = newest is not None and not newest.ready
    last = f"{newest.outcome} {whole_second(newest.checked_at)} ({newest.gate})" if newest is not None and failed else ""
    return _judged(empty, passed.checked_at if passed is not None else None, known.begun_at, now, last)


def _isolated(config: DispatchConfig, service: str, every: str, practice: Known, now: datetime) -> Obligation:
    on = isolated_service(config, service)
    empty = Obligation(service=service, level="isolated", practised_on=on or None, every=every, state="unknown")
    if not on:
        others = practice_services(config, service)
        which = f"one of {', '.join(others)} is to be named" if others else "no env of class drill has this service"
        return empty.model_copy(update={"why": f"{which} (drills.{service}.isolated.service)"})
    if practice.why or not practice.begun_at:
        return empty.model_copy(update={"why": practice.why or f"the ledger of {on} was not read"})
    drills = ended(practice.history, drill=True)
    done = next((each for each in drills if is_done(each)), None)
    newest = drills[0] if drills else None
    last = f"{newest.state} {whole_second(newest.at)}{_lacks(newest)}" if newest is not None and newest is not done else ""
    return _judged(empty, done.at if done is not None else None, practice.begun_at, now, last)


def is_done(drill: Ended) -> bool:
    """Return whether this drill counts: the service was seen to answer, and nothing is left of it."""
    took = drill.figures
    return drill.state in DONE and took is not None and took.level == "isolated" and took.cleaned is True and took.verdict != "unproven"


def _lacks(drill: Ended) -> str:
    """Return why a drill that ended well does not count; empty for one that did not."""
    if drill.state not in DONE:
        return ""
    took = drill.figures
    if took is None or took.verdict == "unproven":
        return ", nothing was proven"
    return ", it is not proven that nothing is left" if took.cleaned is not True else ", another level"


def _judged(empty: Obligation, done_at: str | None, begun_at: str, now: datetime, last: str) -> Obligation:
    """Return the obligation with its times. What was never done is due from the first day on, and missed a whole span later."""
    span = timedelta(seconds=seconds(empty.every))
    due = moment(done_at) + span if done_at else moment(begun_at)
    missed = due + late(empty.level, empty.every) + (timedelta() if done_at else span)
    state: Due = "missed" if now >= missed else "due" if now >= due else "done"
    return empty.model_copy(update={"state": state, "done_at": done_at, "due_at": stamp(due), "missed_at": stamp(missed), "last": last})
