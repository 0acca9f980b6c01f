"""What a result concludes from the documents of its run: drawn when it is sealed, and drawn again by whoever verifies it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from hyops_ci.contracts.check import Check
from hyops_ci.contracts.run import ENDINGS, EXIT_OF, Event, RefusalRecord, State
from hyops_ci.errors import Exit

RECOVERED: Final = frozenset({State.COMPLETED, State.COMPLETED_WITH_EXCEPTIONS})
UNREFUSED: Final = RECOVERED | {State.RECORDED}
"""Ends that nothing stopped; every other names the refusal that led to it."""
DEPLOY: Final = "hyops.deploy"
"""Intent and result of HyOps' own work."""
LEDGER: Final = "ledger"
"""Note of what the ledger showed."""
STAND_IN_VERSION: Final = "+stand.in"


def exit_code_of(state: State, refusal: RefusalRecord | None) -> int:
    """Return the refusal's exit code, or the state's. A state that ends well, is unknown or was cancelled outranks any refusal."""
    own = ENDINGS[state].exit_code
    if refusal is None or state in (State.INDETERMINATE, State.CANCELLED) or own is Exit.DONE:
        return int(own)
    return refusal.exit_code


def deviations_of(check: Check | None, acted: Sequence[str], *, claimed: bool) -> tuple[str, ...]:
    """Return what differs from a clean run and must be reported: by the check of a run that claimed, and by what it did (`acted`)."""
    return (*(check.deviations if check is not None and claimed else ()), *acted)


def deviations_told(events: Iterable[Event]) -> tuple[str, ...]:
    """Return what HyOps' last end differed by, as execute recorded it."""
    found = [event.data.get("deviations") for event in events if event.kind == "result" and event.name == DEPLOY]
    return tuple(map(str, found[-1])) if found and isinstance(found[-1], list) else ()


def alarms_in(events: Iterable[Event]) -> tuple[str, ...]:
    """Return what the ledger showed while HyOps acted, and should not have, as a run reports it."""
    said = (event.data.get("alarm") for event in events if event.kind == "note" and event.name == LEDGER)
    return tuple(f"ALARM of the ledger: {alarm}" for alarm in said if alarm is not None)


def refusal_of_deploy(state: State, reasons: Sequence[str]) -> RefusalRecord | None:
    """Return HyOps' own end in the form of a refusal, so that every end has one form; None where it recovered."""
    if state in RECOVERED:
        return None
    gate = {State.FAILED: "hyops.failed", State.CANCELLED: "hyops.cancelled"}.get(state, "hyops.unknown")
    return RefusalRecord(gate=gate, reason="; ".join(reasons)[:400], exit_code=int(EXIT_OF[state]))


def proven_by(probes: Sequence[Mapping[str, Any]], *, proven: bool = True) -> tuple[str, ...]:
    """Return the lines of `probes.json` that are proven, or that are not."""
    return tuple(str(each.get("text")) for each in probes if (each.get("proven") is True) is proven)


def is_stand_in(check: Check | None) -> bool:
    """Return whether HyOps was a stand-in, as its version says."""
    return check is not None and check.hyops_version.endswith(STAND_IN_VERSION)
