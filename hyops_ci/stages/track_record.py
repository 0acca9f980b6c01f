"""What is known of a service before a run, gathered where its ledger is: readiness, what is owed, how long recoveries took.

A recovery does not wait for it: what does not answer is unknown, and said.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from hyops_ci.config.drills import practised_on
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.ledger import Tip
from hyops_ci.contracts.track_record import TRACK_RECORD, TrackRecord
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import DispatchError
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.store import Head
from hyops_ci.ledger.vouched_history import vouched_tips
from hyops_ci.planning.history import ended, series
from hyops_ci.planning.obligations import Known, obligations
from hyops_ci.readiness.store import KeptChecks
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.host_key import vouched_ledger
from hyops_ci.stages.readiness import kept_checks, readiness_fact


@dataclass(frozen=True)
class Gathered:
    """What was asked for beside the service's own ledger."""

    kept: KeptChecks | DispatchError | None
    practice: Known
    """Of the service that is restored for practice; of none where the config has none."""


def gather(service: str, config: DispatchConfig, context: RunContext) -> Gathered:
    """Ask for the checks of a service, and for the drills. `config` is the reviewed one under the host's trust."""
    practice = practice_of(service, config, lambda on: vouched_ledger(config, on, context))
    return Gathered(kept_checks(lambda: context.checks(service, hasty=True)), practice)


def practice_of(service: str, config: DispatchConfig, opened: Callable[[str], Ledger]) -> Known:
    """Return what a host vouches for of the service that is restored for practice, where that is another one. `opened` gives its ledger."""
    on = practised_on(config, service)
    if on in ("", service):
        return Known()
    try:
        ledger = opened(on)
        return known_at(ledger.head(), ledger)
    except DispatchError as error:
        return Known(why=error.title())


def known_at(head: Head, ledger: Ledger) -> Known:
    """Return what a host vouches for of a history that was read."""
    return Known(vouched_tips(head, ledger.vouchers), head.tips[-1].at)


def track_record(tip: Tip, known: Known, found: Gathered, config: DispatchConfig, now: datetime) -> TrackRecord:
    """Return what is known of the service of `tip`, at that time."""
    on = practised_on(config, tip.service)
    practice = known if on == tip.service else found.practice
    readiness = readiness_fact(found.kept, tip, config, now)
    drills = [each for each in ended(practice.history, drill=True) if each.figures is not None and each.figures.level == "isolated"]
    return TrackRecord(
        service=tip.service,
        at=stamp(now),
        readiness=readiness,
        obligations=obligations(config, tip.service, known, practice, readiness, now),
        drills=series(drills),
        runs=series(ended(known.history, drill=False)),
    )


def track_record_in(folder: RunDir) -> TrackRecord | None:
    """Return what the plan knew; None where a release before planned the run."""
    return folder.read_model(TRACK_RECORD, TrackRecord) if folder.has(TRACK_RECORD) else None
