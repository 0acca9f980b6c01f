"""From a refusal to the terminal state that it leads to, and from a terminal state to its headline (docs/design/texts.md 1)."""

from __future__ import annotations

from typing import Final

from hyops_ci.contracts.run import ENDINGS, STAND_IN, Ending, RefusalRecord, Result, State, may_follow
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import DispatchError, Exit
from hyops_ci.evidence.conclusions import good_headline

NOTHING_CHANGED: Final = frozenset({State.REJECTED, State.BLOCKED, State.NO_RUNNER, State.DENIED, State.EXPIRED, State.UNSIGNED})
"""Terminal states that are reached before a run changes anything."""
_STATE_OF_GATE: Final = {"approval.denied": State.DENIED, "approval.expired": State.EXPIRED, "decision.expired": State.EXPIRED}
NOT_CLEANED: Final = "drill.not-cleaned"
"""The gate of a drill that left something behind, whenever that was found."""
AFTER_HYOPS: Final = {"verification.failed": State.NOT_PROVEN, "run.cancelled": State.CANCELLED}
"""What ends a run while the service is verified: HyOps has ended, and what it did is known."""
_NOT_LIFTED_BY_SIGNING: Final = frozenset({"approval.bypass", "approval.requester", "approval.history"})
"""Refusals that no further signature lifts."""


def stopped_state(before: State, error: DispatchError) -> State:
    """Return the terminal state that `error` leads to from `before`."""
    left = error.gate == NOT_CLEANED or (before is State.CLEANING_UP and error.exit_code is Exit.CANCELLED)
    if left and may_follow(before, State.NOT_CLEANED):
        return State.NOT_CLEANED
    if before in (State.VERIFYING, State.CLEANING_UP) and error.gate in AFTER_HYOPS:
        return AFTER_HYOPS[error.gate]
    if before in (State.EXECUTING, State.VERIFYING, State.CLEANING_UP):
        return State.INDETERMINATE
    if error.exit_code is Exit.CANCELLED:
        return State.CANCELLED
    if error.exit_code is Exit.DONE and before in (State.RECEIVED, State.APPROVED):
        return State.DUPLICATE
    match before:
        case State.RECEIVED:
            return State.REJECTED if error.exit_code is Exit.DECISION else State.BLOCKED
        case State.PLANNED:
            return State.NO_RUNNER if error.exit_code is Exit.RUNNER else State.BLOCKED
        case State.CHECKED:
            if error.gate.startswith("runner."):
                return State.NO_RUNNER
            if error.gate in _STATE_OF_GATE:
                return _STATE_OF_GATE[error.gate]
            waits = error.gate.startswith("approval.") and error.gate not in _NOT_LIFTED_BY_SIGNING
            return State.UNSIGNED if waits else State.BLOCKED
        case State.APPROVED:
            return State.EXPIRED if error.gate == "approval.expired" else State.BLOCKED
        case _:
            return State.FAILED


def ending_of(state: State) -> Ending:
    """Return how a terminal state is shown; a state that is not terminal is shown as refused."""
    return ENDINGS.get(state, ENDINGS[State.BLOCKED])


@dataclass(frozen=True)
class HeadlineContext:
    """What a headline names; empty where the run never got that far."""

    service: str = ""
    source_site: str = ""
    target_site: str = ""
    at: str = ""
    """Clock time of the end, HH:MM:SSZ."""
    by: str = ""
    """Who denied, or which run holds the lock."""
    step: str = ""
    """`3/6 postgresql_restore failed after 6m02s`."""
    past_no_return: bool = False
    kept: bool = False
    """Whether only a settlement frees the lock."""
    unseen: str = ""
    """Why nothing but HyOps' word says that the service serves; empty where something does."""
    done: bool = False
    """Whether HyOps had ended well."""
    deviations: int = 0
    exercise: str = ""
    """The level of a drill; empty for a real recovery."""
    removed: str = ""
    """Of a drill that removed what it made: `6 steps destroyed, 0 left`."""
    left: str = ""
    """Of a drill: what it left behind."""
    restored: str = ""
    """Of such a drill: the restore point, and how long it took."""
    production: str = ""
    """Of such a drill: what of production was seen to be as before, and what was not looked at."""
    settles: str = ""
    """Of a settlement: the site that serves, as people found out; empty for a recovery."""


def headline(state: State, context: HeadlineContext, refusal: RefusalRecord | None) -> str:
    """Return the first line everywhere: annotation title, summary, log end. It begins with the headline of `ENDINGS`."""
    word = ending_of(state).headline
    match state:
        case State.COMPLETED | State.COMPLETED_WITH_EXCEPTIONS:
            return f"{good_headline(bool(context.exercise), context.deviations)}  {_recovered(context)}"
        case State.NOT_PROVEN:
            why = refusal.found if refusal is not None else "a probe failed"
            where = f"This was a drill of {context.service}" if context.exercise else _side(context)
            where += f": {context.removed}" if context.removed else ""
            return f"{word}: HyOps says that {context.service} is at {context.target_site}; {why}. {where}. {_lock(context)}"
        case State.NOT_CLEANED:
            what = context.left or (refusal.found if refusal is not None else "something")
            return f"{word}  the drill of {context.service} left {what}. It costs money until it is removed. Lock KEPT"
        case State.DUPLICATE:
            return f"{word} by run {context.by}" if context.by else word
        case State.DENIED:
            return f"{word} by {context.by}" if context.by else word
        case State.EXPIRED:
            return f"{word} by {context.at}"
        case State.SETTLED:
            return f"{word}  {context.service} is at {context.settles}, as people found out. Lock free"
        case State.CHECK_PASSED:
            return (
                f"{word}  {context.service}, {context.source_site} -> {context.target_site}: "
                "nothing that can be seen before an approval stands in the way"
            )
        case State.RECORDED | State.UNSIGNED:
            return word
        case State.FAILED | State.CANCELLED:
            return f"{word} {_where_clients_are(context, refusal.gate + ': ' + refusal.reason if refusal else state.lower())}"
        case State.INDETERMINATE:
            inside = f"Cut off inside step {context.step}" if context.step else "Cut off, at an unknown step"
            inside = "Cut off after HyOps had ended well, before the service was proven" if context.done else inside
            where = f"This was a drill of {context.service}" if context.exercise else "Clients may be on either side"
            return f"{word}. {inside}. {where}. Lock KEPT: nothing else can start"
        case _:
            return f"{word} {refusal.gate} (exit {refusal.exit_code}): {refusal.reason}" if refusal else f"{word} {state}"


def _recovered(context: HeadlineContext) -> str:
    """Return what was done where, of a good end; what only HyOps says is called that."""
    only_said = f"; {context.unseen}" if context.unseen else ""
    if context.removed:
        what = f"{context.exercise} {context.service} {context.restored}, {context.removed}"
        return f"{what}; {context.production}{only_said}"
    if context.exercise:
        how = "HyOps says" if context.unseen else "verified"
        return f"{context.service} came up at {context.target_site} ({context.exercise}), {how} {context.at}{only_said}"
    if context.unseen:
        return f"HyOps says that {context.service} is at {context.target_site} since {context.at}{only_said}"
    return f"{context.service} serves from {context.target_site} since {context.at}"


def _where_clients_are(context: HeadlineContext, cause: str) -> str:
    when = "after" if context.past_no_return else "before"
    why = f"step {context.step}" if context.step else cause
    if context.settles:
        return f"before it was settled: {why}. Lock KEPT until settled"
    if context.exercise:
        removed = f"{context.removed}. " if context.removed else ""
        return f"in a drill of {context.service}: {why}. {removed}{_lock(context)}"
    return f"{when} clients moved: {why}. {_side(context)}. {_lock(context)}"


def _side(context: HeadlineContext) -> str:
    return "Clients may have moved" if context.past_no_return else f"Clients still point to {context.source_site or 'the old side'}"


def _lock(context: HeadlineContext) -> str:
    return "Lock KEPT until settled" if context.kept or context.past_no_return else "Lock free"


def stopped_headline(state: State, refusal: RefusalRecord) -> str:
    """Return the headline of a stage that a refusal stopped; the refusal is always named in it."""
    line = headline(state, HeadlineContext(), refusal)
    return line if refusal.gate in line else f"{line}: {refusal.gate}: {refusal.reason}"


def title_of(result: Result) -> str:
    """Return the headline of a run that ended, marked where HyOps was a stand-in."""
    return f"{result.headline}  ({STAND_IN})" if result.stand_in else result.headline
