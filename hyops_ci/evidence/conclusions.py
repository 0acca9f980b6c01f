"""What a result concludes from the documents of its run: drawn when it is sealed, and drawn again by whoever verifies it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from hyops_ci.contracts.check import Check
from hyops_ci.contracts.cleanup import CLEANUP, Cleanup
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import ENDINGS, EXIT_OF, Event, RefusalRecord, State
from hyops_ci.errors import Exit, shown
from hyops_ci.parsing.documents import read_document, read_json
from hyops_ci.text import counted

RECOVERED: Final = frozenset({State.COMPLETED, State.COMPLETED_WITH_EXCEPTIONS})
VERIFIED: Final = RECOVERED | {State.NOT_PROVEN}
"""Ends after HyOps said that it is done, and the probes were asked."""
UNREFUSED: Final = RECOVERED | {State.RECORDED, State.CHECK_PASSED, State.SETTLED}
"""Ends that nothing stopped; every other names the refusal that led to it."""
EXECUTE_EVENTS: Final = "parts/execute/events.jsonl"
"""Where a bundle holds what execute recorded."""
DEPLOY: Final = "hyops.deploy"
"""Intent and result of HyOps' own work."""
CLEANUP_LOOK: Final = "cleanup.look"
"""Note of what a drill saw when it had removed what it made."""
LEDGER: Final = "ledger"
"""Note of what the ledger showed."""
WAITED: Final = "runner.waited"
"""What the check notes where a job made or repaired its runner: the `seconds` that it was in the queue, or why they are `not_known`."""
STAND_IN_VERSION: Final = "+stand.in"
OLD_SIDE: Final = "old side off"
"""How the gap of an old primary begins of which nobody said that it is off."""
DATA_LOSS: Final = "data loss"
"""How the gap of data begins whose age was not measured."""


def exit_code_of(state: State, refusal: RefusalRecord | None) -> int:
    """Return the refusal's exit code, or the state's. A state that ends well, is unknown, not cleaned up or cancelled outranks any."""
    own = ENDINGS[state].exit_code
    if refusal is None or state in (State.INDETERMINATE, State.NOT_CLEANED, State.CANCELLED) or own is Exit.DONE:
        return int(own)
    return refusal.exit_code


def good_headline(drill: bool, deviations: int) -> str:
    """Return how the headline of a good end begins; two blanks and what was done follow it."""
    return ("DRILL PASSED" if drill else "RECOVERED") + (f", {counted(deviations, 'deviation')}" if deviations else "")


def deviations_of(check: Check | None, acted: Sequence[str], *, claimed: bool) -> tuple[str, ...]:
    """Return what differs from a clean run and must be reported: by the check of a run that claimed, and by what it did (`acted`)."""
    return (*(check.deviations if check is not None and claimed else ()), *acted)


def deviations_told(events: Iterable[Event]) -> tuple[str, ...]:
    """Return what HyOps' last end differed by, and what a drill saw change in production, as execute recorded it."""
    known = tuple(events)
    looks = [event.data for event in known if event.kind == "note" and event.name == CLEANUP_LOOK]
    return (*texts_of(deploy_in(known), "deviations"), *(texts_of(looks[-1], "deviations") if looks else ()))


def alarms_in(events: Iterable[Event]) -> tuple[str, ...]:
    """Return what the ledger showed while HyOps acted, and should not have, as a run reports it."""
    said = (event.data.get("alarm") for event in events if event.kind == "note" and event.name == LEDGER)
    return tuple(f"ALARM of the ledger: {alarm}" for alarm in said if alarm is not None)


def deploy_in(events: Iterable[Event]) -> Mapping[str, Any]:
    """Return HyOps' last end as execute recorded it; empty where there is none."""
    found = [event.data for event in events if event.kind == "result" and event.name == DEPLOY]
    return found[-1] if found else {}


def past_no_return(files: Mapping[str, bytes]) -> bool:
    """Return whether a sealed run's own record of HyOps shows that clients may have moved."""
    if CLEANUP in files and read_document(Cleanup, files[CLEANUP]).clean:
        return False
    said = [read_json(line) for line in files.get(EXECUTE_EVENTS, b"").splitlines()]
    return any(event["data"].get("past_no_return") is True for event in said if event["name"] == DEPLOY)


def refusal_of_deploy(state: State, said: Mapping[str, Any], plan: Plan | None) -> RefusalRecord | None:
    """Return HyOps' own end, as execute recorded it, in the form of a refusal, so that every end has one form; None where it recovered."""
    if state in RECOVERED:
        return None
    gate = {State.FAILED: "hyops.failed", State.CANCELLED: "hyops.cancelled"}.get(state, "hyops.unknown")
    known, past = state in (State.FAILED, State.CANCELLED), said.get("past_no_return") is True
    drill = known and plan is not None and plan.destroys
    settle = not known or (past and not drill)
    mended = "then drill again" if drill else "then start a new run: steps that are ready are skipped"
    return RefusalRecord(
        gate=gate,
        reason="; ".join(texts_of(said, "reasons"))[:400],
        found=shown("; ".join((*texts_of(said, "asked"), *texts_of(said, "left"), *texts_of(said, "log")))),
        expected="every planned step to end ok",
        fix="look at the log, and which side serves; then settle" if settle else f"look at the log, mend what stopped it, {mended}",
        docs="ledger.md" if settle else "drills.md" if drill else "hyops.md",
        exit_code=int(EXIT_OF[state]),
    )


def texts_of(said: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return a list of texts that an event holds; empty where there is none."""
    found = said.get(name, [])
    return tuple(map(str, found)) if isinstance(found, list) else ()


def proven_by(probes: Sequence[Mapping[str, Any]], *, proven: bool = True) -> tuple[str, ...]:
    """Return the lines of `probes.json` that are proven, or that are not."""
    return tuple(str(each.get("text")) for each in probes if (each.get("proven") is True) is proven)


def gaps_besides(decision: Mapping[str, Any], probes: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return how each gap begins that a verified run has beside its probes: what nobody confirmed, and what nobody measured."""
    unconfirmed = decision.get("old_primary", "not-confirmed") == "not-confirmed" and decision.get("exercise") is None
    measured = any(each.get("newest") for each in probes) and not any(each.get("newest_why") for each in probes)
    return (*((OLD_SIDE,) if unconfirmed else ()), *(() if measured else (DATA_LOSS,)))


def is_seen(plan: Plan, proven: Sequence[str]) -> bool:
    """Return whether more than HyOps' word says that the service serves from the planned site: a step moved clients, and probes held."""
    return bool(plan.point_of_no_return and proven)


def is_stand_in(check: Check | None) -> bool:
    """Return whether HyOps was a stand-in, as its version says."""
    return check is not None and check.hyops_version.endswith(STAND_IN_VERSION)
