"""How a run of HyOps ended: pure rules over what was planned, what was said and what is on disk (docs/design/workflows.md 4).

Success needs all of: exit code 0, the final `status=ok` of the planned blueprint and number of steps, and for every step that
was not skipped the word `ok`, no other result beside it, and a state `ok` with a run id newer than the start.
FAILED and CANCELLED need an HyOps that ended by itself. Everything else is INDETERMINATE: an effect may have happened,
and only a person can say.

A module's text reaches HyOps' output (an error is printed with its line ends), so a line can be a module's. None takes back another:
a step that was said to run has begun, whatever is said of it later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Final

from hyops_ci.contracts.check import StateFact
from hyops_ci.contracts.plan import PlannedStep, StepClass
from hyops_ci.contracts.run import State
from hyops_ci.dataclass import dataclass
from hyops_ci.execution.grammar import SETTLED, FinalLine, HyOpsLine, StepEvent, StepStatus
from hyops_ci.execution.journal import Ended, Stop
from hyops_ci.execution.run_ids import started_at

INTERRUPTED = (130, -2)
"""HyOps handles the interrupt inside a step and ends with 130; between steps Python itself ends by SIGINT."""
NOT_BEGUN: Final = (StepStatus.SKIPPED, StepStatus.RERUN, StepStatus.RETAINED)
"""Statuses of a step on which HyOps does not work, or not yet."""
Verdict = tuple[State, str]


@dataclass(frozen=True, slots=True)
class StepResult:
    """What became of one planned step."""

    id: str
    step_class: StepClass
    status: StepStatus | None
    """HyOps' last status of it, of those that say that it began where one does; None for a step of which nothing was said."""
    reason: str = ""
    run_id: str = ""
    """HyOps run of this step, when it is newer than the start."""
    contradiction: str = ""
    """Two results of it that exclude each other, empty where there are none."""

    @property
    def begun(self) -> bool:
        """Whether HyOps worked on it, or may have."""
        return self.status not in (None, *NOT_BEGUN) or bool(self.run_id)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer. `state` is COMPLETED, COMPLETED_WITH_EXCEPTIONS, FAILED, CANCELLED or INDETERMINATE."""

    state: State
    reasons: tuple[str, ...]
    deviations: tuple[str, ...]
    steps: tuple[StepResult, ...]
    past_no_return: bool
    """Whether the first commit step began: clients may have moved."""

    @property
    def reached(self) -> StepResult | None:
        """The last step that began."""
        return next((step for step in reversed(self.steps) if step.begun), None)

    def left(self) -> str:
        """Return what became of every step, in a line."""
        done = [step.id for step in self.steps if step.status is StepStatus.OK]
        open_ = [f"{step.id} {step.status or 'begun'}" for step in self.steps if step.begun and step.status is not StepStatus.OK]
        skipped = sum(step.status is StepStatus.SKIPPED and not step.begun for step in self.steps)
        rest = sum(not step.begun for step in self.steps) - skipped
        counts = [f"{count} {word}" for count, word in ((skipped, "skipped"), (rest, "not begun")) if count]
        return ", ".join((f"left: {' '.join(done) or 'no step'} done", *open_, *counts))


@dataclass(frozen=True, slots=True)
class Observed:
    """All that the rules look at. `states` is read after the end, per step id; `ended` None means no final answer."""

    planned: Sequence[PlannedStep]
    lines: Sequence[HyOpsLine]
    states: Mapping[str, StateFact]
    started: datetime
    ended: Ended | None
    blueprint: str
    """The planned one, which the final line must name."""
    full: bool = False
    """Whether the journal had no room for all lines."""


def determine_outcome(seen: Observed) -> Outcome:
    """Apply the rules, the gravest first."""
    steps = tuple(_step_result(step, seen) for step in seen.planned)
    state, reason = _unknown(seen, steps) or _stopped(seen) or _incomplete(seen, steps) or (State.COMPLETED, "every step is ok")
    deviations = tuple(_deviations(seen, steps)) if state is not State.INDETERMINATE else ()
    if state is State.COMPLETED and deviations:
        state = State.COMPLETED_WITH_EXCEPTIONS
    past = any(step.begun or seen.full for step in steps if step.step_class is StepClass.COMMIT)
    return Outcome(state=state, reasons=(reason,), deviations=deviations, steps=steps, past_no_return=past)


def _step_result(step: PlannedStep, seen: Observed) -> StepResult:
    said = [line for line in seen.lines if isinstance(line, StepEvent) and line.step == step.id]
    worked = [line.status for line in said if line.status not in NOT_BEGUN]
    state = seen.states.get(step.id)
    return StepResult(
        id=step.id,
        step_class=step.step_class,
        status=worked[-1] if worked else said[-1].status if said else None,
        reason=next((line.reason for line in reversed(said) if line.reason), ""),
        run_id=state.run_id if state and _is_new(state.run_id, seen.started) else "",
        contradiction=_contradiction([line.status for line in said]),
    )


def _contradiction(said: Sequence[StepStatus]) -> str:
    """Return two statuses that do not follow each other: something after a result, or a skip of a step that ran."""
    for before, after in pairwise(said):
        if before is not after and (before in SETTLED or (after in NOT_BEGUN and before not in NOT_BEGUN)):
            return f"{before}, then {after}"
    return ""


def _is_new(run_id: str, started: datetime) -> bool:
    """HyOps' run ids carry whole seconds, so the start is cut to its second."""
    began = started_at(run_id)
    return began is not None and began >= started.replace(microsecond=0)


def _final(lines: Iterable[HyOpsLine]) -> FinalLine | None:
    finals = [line for line in lines if isinstance(line, FinalLine)]
    return finals[-1] if finals else None


def _unknown(seen: Observed, steps: Sequence[StepResult]) -> Verdict | None:
    """INDETERMINATE, or None where what happened can be known."""
    ended = seen.ended
    if ended is None:
        return State.INDETERMINATE, "HyOps gave no final answer in time"
    if ended.rc is None:
        return None
    if seen.full:
        return State.INDETERMINATE, "HyOps said more of its steps than a journal keeps"
    if not ended.by_itself:
        why = {Stop.TIMEOUT: "at its time limit", Stop.CANCEL: "after a cancel"}.get(ended.stop, "by another process")
        return State.INDETERMINATE, f"HyOps was killed {why} (rc {ended.rc})"
    for step in steps:
        state = seen.states.get(step.id)
        if state and state.status == "running" and (step.begun or step.run_id):
            return State.INDETERMINATE, f"the state of step {step.id} was left at running"
    planned = {step.id for step in seen.planned}
    for line in seen.lines:
        if isinstance(line, StepEvent) and line.step not in planned:
            return State.INDETERMINATE, f"HyOps worked on a step that was not planned: {line.step}"
    open_step = next((step for step in steps if step.begun and step.status not in SETTLED), None)
    if open_step:
        return State.INDETERMINATE, f"step {open_step.id} began and has no result (rc {ended.rc})"
    return None


def _stopped(seen: Observed) -> Verdict | None:
    """FAILED or CANCELLED, as HyOps itself says."""
    ended, final = seen.ended, _final(seen.lines)
    if ended is None:
        return None
    if ended.rc is None:
        return State.FAILED, f"HyOps did not start: {ended.error}"
    asked = {Stop.TIMEOUT: " at its time limit", Stop.CANCEL: " as asked"}.get(ended.stop, "")
    if ended.rc in INTERRUPTED:
        return State.CANCELLED, f"HyOps ended{asked} after an interrupt"
    if ended.rc != 0:
        failed = next((line for line in seen.lines if isinstance(line, StepEvent) and line.status is StepStatus.FAILED), None)
        what = f"step {failed.step} failed: {failed.reason or 'no reason given'}" if failed else "HyOps failed before any step"
        return State.FAILED, f"{what} (rc {ended.rc})"
    if final is None or final.status == "skeleton":
        return State.FAILED, "HyOps ended with rc 0 and without status=ok: nothing was executed"
    if final.status != "ok":
        return State.FAILED, f"HyOps ended with rc 0 and status={final.status}"
    return None


def _incomplete(seen: Observed, steps: Sequence[StepResult]) -> Verdict | None:
    """HyOps says ok; whether the steps, their states and the plan that it names say so too."""
    for planned, step in zip(seen.planned, steps, strict=True):
        if step.status is StepStatus.SKIPPED:
            if planned.restores or planned.step_class is StepClass.COMMIT:
                return State.FAILED, f"step {step.id} was skipped ({step.reason or 'no reason'}): it must run"
            continue
        if step.status is StepStatus.FAILED_OPTIONAL and planned.step_class is not StepClass.COMMIT and not planned.restores:
            continue
        if step.status is not StepStatus.OK:
            return State.INDETERMINATE, f"HyOps ended well, but step {step.id} has no ok"
        state = seen.states.get(step.id)
        if state is None or state.status != "ok" or not step.run_id:
            found = f"{state.status} of run {state.run_id or 'unknown'}" if state else "missing"
            return State.INDETERMINATE, f"step {step.id} is reported ok, but its state is {found}"
    final = _final(seen.lines)
    if final is None or (final.blueprint, final.steps) != (seen.blueprint, len(seen.planned)):
        found = f"{final.blueprint}, {final.steps} steps" if final else "nothing"
        return State.INDETERMINATE, f"HyOps ended well with another plan: {found}, not {seen.blueprint}, {len(seen.planned)} steps"
    if wrong := next((step for step in steps if step.contradiction), None):
        return State.INDETERMINATE, f"HyOps ended well, but said of step {wrong.id}: {wrong.contradiction}"
    return None


def _deviations(seen: Observed, steps: Sequence[StepResult]) -> Iterable[str]:
    for step in steps:
        if step.status is StepStatus.SKIPPED:
            yield f"step {step.id} was skipped: {step.reason or 'no reason given'}"
        elif step.status is StepStatus.FAILED_OPTIONAL:
            yield f"optional step {step.id} failed: {step.reason or 'no reason given'}"
    if seen.ended and seen.ended.strays:
        yield f"{len(seen.ended.strays)} processes outlived HyOps and were ended: {', '.join(seen.ended.strays)}"
    if seen.ended and seen.ended.stop is not Stop.NOT_ASKED and seen.ended.rc == 0:
        yield f"HyOps finished although it was asked to stop ({seen.ended.stop})"
