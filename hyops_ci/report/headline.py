"""How a run that stops is called: the state inside, the words outside (docs/design/texts.md 1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hyops_ci.contracts.run import EXIT_OF, RefusalRecord, Result, State
from hyops_ci.errors import DispatchError, Exit
from hyops_ci.text import span

_GATE_STATES: Final = {"approval.denied": State.DENIED, "approval.expired": State.EXPIRED, "decision.expired": State.EXPIRED}
_NO_MATTER_WHO_SIGNS: Final = frozenset({"approval.bypass", "approval.requester", "approval.history"})
"""Refusals that no further signature lifts."""
_NOTHING_CHANGED: Final = "Nothing was changed."
STAND_IN: Final = "HyOps was a STAND-IN: nothing was recovered"


def stopped_state(before: State, error: DispatchError) -> State:
    """The terminal state that `error` leads to from `before`."""
    if before in (State.EXECUTING, State.VERIFYING):
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
            if error.gate in _GATE_STATES:
                return _GATE_STATES[error.gate]
            waits = error.gate.startswith("approval.") and error.gate not in _NO_MATTER_WHO_SIGNS
            return State.UNSIGNED if waits else State.BLOCKED
        case State.APPROVED:
            return State.EXPIRED if error.gate == "approval.expired" else State.BLOCKED
        case _:
            return State.FAILED


def exit_code_of(state: State, refusal: RefusalRecord | None) -> int:
    """The refusal's own exit code, or the state's. A state that ends well, or unknown, outranks any refusal."""
    if refusal is None or state in (State.INDETERMINATE, State.CANCELLED) or EXIT_OF[state] is Exit.DONE:
        return int(EXIT_OF[state])
    return refusal.exit_code


@dataclass(frozen=True)
class Scene:
    """The words that a headline may need; empty where the run never got that far."""

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


def headline(state: State, scene: Scene, refusal: RefusalRecord | None, deviations: int = 0) -> str:
    """The first line everywhere (docs/design/texts.md 1): annotation title, summary, log end."""
    match state:
        case State.COMPLETED | State.COMPLETED_WITH_EXCEPTIONS:
            extra = f", {deviations} deviation{'s' * (deviations != 1)}" if deviations else ""
            return f"RECOVERED{extra}  {scene.service} serves from {scene.target_site} since {scene.at}"
        case State.RECORDED:
            return "RECORDED"
        case State.DUPLICATE:
            return f"ALREADY HANDLED{f' by run {scene.by}' if scene.by else ''}"
        case State.DENIED:
            return f"DENIED by {scene.by}" if scene.by else "DENIED"
        case State.EXPIRED:
            return f"NOBODY APPROVED by {scene.at}"
        case State.UNSIGNED:
            return "WAITING FOR A SIGNATURE"
        case State.FAILED | State.CANCELLED:
            return _stopped(state, scene, refusal)
        case State.INDETERMINATE:
            inside = f"cut off inside step {scene.step}" if scene.step else "cut off, and nobody knows where"
            return f"UNKNOWN: look before you touch. {inside}. Clients may be on either side. Lock KEPT: nothing else can start"
        case _:
            return f"REFUSED {refusal.gate}: {refusal.reason}" if refusal else f"REFUSED {state}"


def _stopped(state: State, scene: Scene, refusal: RefusalRecord | None) -> str:
    when = "after" if scene.past_no_return else "before"
    why = f"step {scene.step}" if scene.step else f"{refusal.gate}: {refusal.reason}" if refusal else state.lower()
    side = "Clients may have moved" if scene.past_no_return else f"Clients still point to {scene.source_site or 'the old side'}"
    lock = "Lock KEPT until settled" if scene.past_no_return else "Lock free"
    return f"STOPPED {when} clients moved: {why}. {side}. {lock}"


def headline_of(state: State, refusal: RefusalRecord) -> str:
    """The headline of a stage that stopped: the gate with its exit code, or the word for people."""
    if state in (State.REJECTED, State.BLOCKED, State.NO_RUNNER):
        return f"REFUSED {refusal.gate} (exit {refusal.exit_code}): {refusal.reason}"
    return f"{headline(state, Scene(), refusal)}: {refusal.gate}: {refusal.reason}"


def time_text(objectives: Mapping[str, Any]) -> str:
    """`27m27s from request: approval 4m31s, runner 14s, HyOps 21m56s, ours 46s. Objective 30m: met`, of `objectives.json`."""
    figures = objectives.get("figures", {})
    total = figures.get("request_to_proven", {}).get("seconds")
    if total is None:
        return ""
    names = (("approval", "approval_wait"), ("runner", "runner_wait"), ("HyOps", "hyops_only"), ("ours", "our_overhead"))
    parts = [f"{word} {span(took)}" for word, name in names if (took := figures.get(name, {}).get("seconds")) is not None]
    rto = objectives.get("rto", {})
    promised = f". Objective {span(rto['objective'])}: {'met' if rto['met'] else 'NOT met'}" if rto.get("met") is not None else ""
    return f"{span(total)} from request: {', '.join(parts)}{promised}"


def telling(result: Result, evidence: str = "", objectives: Mapping[str, Any] | None = None) -> list[str]:
    """The end of a run as a person reads it (docs/design/texts.md 4)."""
    title = f"{result.headline}{f'  ({STAND_IN})' if result.stand_in and result.proven else ''}"
    if result.refusal is not None and result.outcome in (State.REJECTED, State.BLOCKED, State.NO_RUNNER):
        title = f"REFUSED {result.refusal.gate} (exit {result.exit_code}): {result.refusal.reason}"
    lines = [title]
    if result.refusal is not None:
        refusal = result.refusal
        lines += _rows((("found", refusal.found), ("expected", refusal.expected), ("fix", refusal.fix)), width=8)
    lines += _rows((("Proven", "; ".join(result.proven)), ("Not proven", "; ".join(result.not_proven))))
    lines += _rows((("Time", time_text(objectives or {})),))
    lines += _rows(("Differs", deviation) for deviation in result.deviations)
    lines += _rows(("Next", step) for step in result.next)
    if result.outcome in (State.REJECTED, State.BLOCKED, State.NO_RUNNER, State.DENIED, State.EXPIRED, State.UNSIGNED):
        lines.append(f"  {_NOTHING_CHANGED} {_lock(result)}")
    return lines + _rows((("Evidence", evidence),))


def _lock(result: Result) -> str:
    return "Lock kept." if result.refusal and result.refusal.gate.startswith("lock.") else "Lock free."


def _rows(rows: Iterable[tuple[str, str]], width: int = 10) -> list[str]:
    return [f"  {label:<{width}} {text}" for label, text in rows if text]
