"""Which drill a scheduled run makes: one run is one restore, into one env of class drill, and never while a recovery is at work."""

from __future__ import annotations

from collections.abc import Sequence

from hyops_ci.config.settings import require_service
from hyops_ci.contracts.track_record import Obligation
from hyops_ci.dataclass import dataclass
from hyops_ci.operations.status import ServiceStatus, lock_text
from hyops_ci.report.track_record import obligation_line


@dataclass(frozen=True)
class NextDrill:
    """What is restored now, and what is known of every drill that is owed."""

    service: str = ""
    """The service that owes it; empty for none."""
    reason: str = ""
    """Why now, for the form."""
    lines: tuple[str, ...] = ()
    quiet: bool = False
    """Whether every ledger was read, and every drill that is owed was done: then an outside watcher may hear that all is well."""


def next_drill(found: Sequence[ServiceStatus], asked: str, number: int) -> NextDrill:
    """Return the drill to make: the one that was asked for, else one of those that are due.

    `number` is the run's: of several that are due each has its turn, so that one that always fails keeps no other one waiting. What is not
    known is not drilled: a restore costs more than a check. Raises Refusal (exit 2) for a service that the config does not know.
    """
    owed = [each for service in found if service.known is not None for each in service.known.obligations if each.level == "isolated"]
    lines = tuple(obligation_line(each) for each in owed)
    quiet = all(service.known is not None for service in found) and all(each.state == "done" for each in owed)
    by_name = {each.service: each for each in found}
    if asked:
        require_service(asked, by_name)
        return NextDrill(asked, "a drill, by hand", lines, quiet)
    due = sorted((each for each in owed if each.state in ("due", "missed")), key=lambda each: (each.due_at or "", each.service))
    free, held = [], []
    for each in due:
        why = busy(each, by_name)
        held += [f"{each.service}: not now, {why}"] if why else []
        free += [] if why else [each]
    if not free:
        silent = ("no service owes a drill: drills.<service>.isolated in the config says how often",) if not owed else ()
        return NextDrill(lines=(*silent, *held, *lines), quiet=quiet)
    chosen = free[number % len(free)]
    return NextDrill(chosen.service, f"scheduled drill, {chosen.state} since {chosen.due_at or 'the first day'}", (*held, *lines))


def busy(owed: Obligation, by_name: dict[str, ServiceStatus]) -> str:
    """Return who acts on the service, or on the one that is restored for it, or waits there for a person; empty where nobody does.

    A drill that was cut off, or left something, is no reason: the next one begins by removing it.
    """
    for name in dict.fromkeys(filter(None, (owed.service, owed.practised_on))):
        status = by_name.get(name)
        tip = status.tip if status is not None else None
        if status is None or tip is None or tip.claim is None or status.lock == "free":
            continue
        if status.lock == "held" or not tip.claim.drill:
            return f"{name}: {lock_text(tip, status.lock)}"
    return ""
