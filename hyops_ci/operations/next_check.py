"""Which service a scheduled readiness run checks: one run is about one service."""

from __future__ import annotations

from collections.abc import Sequence

from hyops_ci.config.settings import require_service
from hyops_ci.contracts.track_record import Obligation
from hyops_ci.dataclass import dataclass
from hyops_ci.operations.status import ServiceStatus
from hyops_ci.report.track_record import obligation_line


@dataclass(frozen=True)
class NextCheck:
    """What is checked now, empty for nothing, and what is known of every check that is owed."""

    service: str
    lines: tuple[str, ...]


def next_check(found: Sequence[ServiceStatus], asked: str, number: int) -> NextCheck:
    """Return the service to check: the one that was asked for, else one of those that are due.

    `number` is the run's: of several that are due each has its turn, so that one whose check never comes to an end (no runner takes it)
    keeps no other one waiting. Raises Refusal (exit 2) for a service that the config does not know.
    """
    owed = [each for service in found if service.known is not None for each in service.known.obligations if each.level == "check"]
    lines = tuple(obligation_line(each) for each in owed)
    if asked:
        require_service(asked, [each.service for each in found])
        return NextCheck(asked, lines)
    due = sorted((each for each in owed if each.state in ("due", "missed", "unknown")), key=_since)
    if due:
        return NextCheck(due[number % len(due)].service, lines)
    silent = ("no service owes a check: drills.<service>.check in the config says how often",) if not owed else ()
    return NextCheck("", (*silent, *lines))


def _since(owed: Obligation) -> tuple[str, str]:
    return owed.due_at or "", owed.service
