"""HyOps' lines as progress for people and as steps for the evidence."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any, ClassVar, Final

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.plan import Plan
from hyops_ci.dataclass import dataclass, field
from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.execution.grammar import HyOpsLine, StepEvent, StepStatus
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.telling import tell_no_return
from hyops_ci.text import span

MOST_CHANGES: Final = 20
"""Changes of one step's status that the evidence keeps, and of all steps that were not planned; a step of HyOps has four at most."""
UNPLANNED: Final = "not planned"


@dataclass
class StepProgress:
    """Turns HyOps' lines into progress that a person reads and steps that the evidence keeps."""

    plan: Plan
    context: RunContext
    steps: list[dict[str, Any]]
    part: PartRecorder
    note: ClassVar[str] = "step"
    """Name of its notes in the evidence."""
    prefix: ClassVar[str] = ""
    """Of each line."""
    begun: dict[str, datetime] = field(default_factory=dict)
    said: Counter[str] = field(default_factory=Counter)

    def __call__(self, line: HyOpsLine, at: datetime) -> None:
        """Record one line of HyOps with its time, unless its step has said more than a step has to say."""
        if not isinstance(line, StepEvent):
            return
        ids = [step.id for step in self.plan.steps]
        known = line.step if line.step in ids else UNPLANNED
        self.said[known] += 1
        if self.said[known] > MOST_CHANGES:
            return
        place = f"{ids.index(line.step) + 1}/{len(ids)} {line.step}" if line.step in ids else line.step
        took = at - self.begun.setdefault(line.step, at)
        entry = {
            "step": line.step,
            "status": line.status.value,
            "at": stamp(at),
            "reason": line.reason,
            "seconds": int(took.total_seconds()),
        }
        self.steps.append(entry)
        self.part.note(self.note, **entry)
        if line.status is StepStatus.RUNNING:
            self._running(line, place)
        else:
            self.context.say(
                f"{self.prefix}{place} {line.status.value} {span(took.total_seconds())}{f' ({line.reason})' if line.reason else ''}"
            )

    def _running(self, line: StepEvent, place: str) -> None:
        last = line.step == self.plan.point_of_no_return
        where = "from here cancelling does not undo" if last else f"Cancel now: clients stay {self.plan.source_site}"
        silent = self._behind(line.step) or bool(self.plan.exercise)  # no client knows of what a drill makes
        self.context.say(f"{place} running   {'' if silent else where}".rstrip())
        if last and not self.plan.exercise and self.said[line.step] == 1:
            tell_no_return(self.context, self.plan, place)

    def close(self) -> None:
        """Record how many lines were left out."""
        if left_out := {step: count - MOST_CHANGES for step, count in self.said.items() if count > MOST_CHANGES}:
            self.part.note("steps.left-out", counts=left_out)

    def _behind(self, step: str) -> bool:
        """Return whether the point of no return comes before this step."""
        ids = [each.id for each in self.plan.steps]
        last = self.plan.point_of_no_return
        return bool(last) and step in ids and ids.index(step) > ids.index(last)


class RemovalProgress(StepProgress):
    """The same of a destroy: no step of it moves clients."""

    note = "cleanup.step"
    prefix = "clean-up: "

    def _running(self, line: StepEvent, place: str) -> None:
        self.context.say(f"{self.prefix}{place} running")
