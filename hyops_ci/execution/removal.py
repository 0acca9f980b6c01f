"""What a destroy left: pure rules over what HyOps said and what its states say afterwards (docs/hyops.md).

Only the state `destroyed` is proof. HyOps writes it when a step's destroy has ended well, and leaves the state as it was where that
failed or was interrupted; so a step that is reported ok with any other state is not gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hyops_ci.contracts.check import DESTROYED, GONE, StateFact
from hyops_ci.dataclass import dataclass
from hyops_ci.execution.grammar import FinalLine, StepEvent, StepStatus
from hyops_ci.execution.journal import Ended, JournalView, Stop


@dataclass(frozen=True, slots=True)
class Removal:
    """What became of the steps of a blueprint that was destroyed, by their ids."""

    destroyed: tuple[str, ...]
    """Gone by this destroy."""
    retained: tuple[str, ...]
    """Kept because the overlay says so."""
    left: tuple[str, ...]
    """Still there, or not known to be gone: each with what its state says."""
    reason: str = ""
    """Why HyOps did not end well; empty where it did."""
    at_work: bool = False
    """Whether HyOps may still be at work."""

    @property
    def clean(self) -> bool:
        """Whether nothing is left that should be gone."""
        return not self.left and not self.reason


def judge_removal(
    steps: Sequence[tuple[str, bool]], states: Mapping[str, StateFact], view: JournalView, ended: Ended | None, blueprint: str
) -> Removal:
    """Return what a destroy left. `steps` are (id, whether the overlay retains it), `states` what stands there after its end."""
    said = {line.step: line.status for line in view.lines if isinstance(line, StepEvent)}
    destroyed, retained, left = [], [], []
    for name, kept in steps:
        status = states[name].status if name in states else "missing"
        if kept:
            retained.append(name)
        elif status in GONE:
            destroyed += [name] if status == DESTROYED and said.get(name) is StepStatus.OK else []
        else:
            left.append(f"{name} ({said.get(name) or 'not reached'}, state {status})")
    return Removal(tuple(destroyed), tuple(retained), tuple(left), _trouble(steps, view, ended, blueprint), at_work=ended is None)


def _trouble(steps: Sequence[tuple[str, bool]], view: JournalView, ended: Ended | None, blueprint: str) -> str:
    """Return why the destroy did not end well, or empty."""
    if ended is None:
        return "HyOps gave no final answer in time"
    if ended.rc is None:
        return f"HyOps did not start: {ended.error}"
    asked = {Stop.TIMEOUT: " at its time limit", Stop.CANCEL: " after a cancel"}.get(ended.stop, "")
    if not ended.by_itself:
        return f"HyOps was killed{asked or ' by another process'} (rc {ended.rc})"
    if ended.rc != 0:
        failed = next((line for line in view.lines if isinstance(line, StepEvent) and line.status is StepStatus.FAILED), None)
        what = f"destroy of step {failed.step} failed: {failed.reason or 'no reason given'}" if failed else "the destroy ended early"
        return f"{what}{asked} (rc {ended.rc})"
    finals = [line for line in view.lines if isinstance(line, FinalLine)]
    final = finals[-1] if finals else None
    if final is None or (final.blueprint, final.status, final.steps) != (blueprint, "ok", len(steps)):
        found = f"{final.blueprint}, status {final.status}, {final.steps} steps" if final else "nothing"
        return f"HyOps ended well with another destroy: {found}, not {blueprint}, {len(steps)} steps"
    return "HyOps said more of its steps than a journal keeps" if view.full else ""
