"""The run on a time scale: phases by who was waited for, and each step in its place. The template draws it as one SVG.

Places are percent of the picture's width and text keeps its size, so that it can be read on a phone and on a wall.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final, Generic, TypeVar

from hyops_ci.contracts.base import moment
from hyops_ci.contracts.run import State
from hyops_ci.dataclass import dataclass
from hyops_ci.report.run_view import RunView, StepView
from hyops_ci.text import span

FARTHEST: Final = 2.5
"""Times the run's own length at which the objective is still drawn."""
_PREPARING: Final = "claim, secrets, preflight"
_PHASES: Final = {
    State.RECEIVED: ("ours", "plan"),
    State.PLANNED: ("ours", "check"),
    State.CHECKED: ("person", "waiting for approval"),
    State.APPROVED: ("ours", _PREPARING),
    State.CLAIMED: ("ours", _PREPARING),
    State.SECRETS_READY: ("ours", _PREPARING),
    State.PREFLIGHT_PASSED: ("ours", _PREPARING),
    State.EXECUTING: ("hyops", "HyOps"),
    State.VERIFYING: ("proof", "verification"),
    State.CLEANING_UP: ("hyops", "clean-up"),
}
"""State -> kind and label of the phase that it begins."""
LEGEND: Final = {
    "person": "waiting for a person",
    "runner": "waiting for a runner",
    "ours": "this tool",
    "hyops": "HyOps",
    "proof": "verification",
}
T = TypeVar("T")


@dataclass(frozen=True)
class RunPhase:
    """A stretch of the run; `kind` is a key of `LEGEND`."""

    kind: str
    label: str
    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        """Its length in seconds."""
        return (self.end - self.start).total_seconds()


@dataclass(frozen=True)
class Placed(Generic[T]):
    """A phase or a step, and where it begins and ends, in percent."""

    what: T
    left: float
    right: float

    @property
    def width(self) -> float:
        """The width, at least what can be seen."""
        return max(self.right - self.left, 0.35)


@dataclass(frozen=True)
class Timeline:
    """What the picture shows. Places are percent of its width."""

    phases: tuple[Placed[RunPhase], ...]
    steps: tuple[Placed[StepView], ...]
    marks: tuple[tuple[float, str, str], ...]
    """Place, style and words."""
    clock: tuple[tuple[float, str], ...]
    """Place and time of day of four marks, evenly spaced."""

    @property
    def summary(self) -> str:
        """The phases in words."""
        return ", ".join(f"{each.what.label} {span(each.what.seconds)}" for each in self.phases)

    @property
    def legend(self) -> list[tuple[str, str, float]]:
        """Kind, name and seconds of what took any time."""
        total = {kind: sum(each.what.seconds for each in self.phases if each.what.kind == kind) for kind in LEGEND}
        return [(kind, name, total[kind]) for kind, name in LEGEND.items() if total[kind]]


@dataclass(frozen=True)
class Scale:
    """Instants as percent of the picture's width."""

    start: datetime
    end: datetime

    def at(self, when: datetime) -> float:
        """Return 0 to 100."""
        whole = max((self.end - self.start).total_seconds(), 1.0)
        return min(100.0, max(0.0, 100 * (when - self.start).total_seconds() / whole))


def phases_of(run: RunView) -> list[RunPhase]:
    """Return the run cut at its transitions; the wait after the last approval is the runner's."""
    found: list[RunPhase] = []
    approved = max((moment(each.observed_at) for each in run.approvals), default=None)
    for (name, start), (_, end) in pairwise(run.transitions):
        state = State(name) if name in State.__members__ else None
        kind, label = _PHASES.get(state, ("ours", name)) if state else ("ours", name)
        if end < start:
            continue
        if state is State.CHECKED and approved is not None and start <= approved <= end:
            found += [RunPhase(kind, label, start, approved), RunPhase("runner", "waiting for the runner", approved, end)]
        elif found and found[-1].label == label and found[-1].end == start:
            found[-1] = RunPhase(kind, label, found[-1].start, end)
        else:
            found.append(RunPhase(kind, label, start, end))
    return found


def timeline_of(run: RunView) -> Timeline | None:
    """Return the picture of a run, or None for one that has no phase to draw."""
    phases = phases_of(run)
    if not phases:
        return None
    steps = [(step, step.begun, _after(step.begun, step.seconds or 0)) for step in run.steps if step.begun is not None]
    start, end = phases[0].start, max([phases[-1].end, *(ended for _, _, ended in steps)])
    promised = _promised(run, start, end)
    scale = Scale(start, max(end, promised or end))
    marks = [(scale.at(begun), "no-return", "point of no return") for step, begun, _ in steps if step.no_return]
    return Timeline(
        phases=tuple(Placed(phase, scale.at(phase.start), scale.at(phase.end)) for phase in phases),
        steps=tuple(Placed(step, scale.at(begun), scale.at(ended)) for step, begun, ended in steps),
        marks=(*marks, *([(scale.at(promised), "promise", "objective")] if promised else [])),
        clock=tuple((100 * part / 3, f"{scale.start + (scale.end - scale.start) * part / 3:%H:%M:%S}Z") for part in range(4)),
    )


def _promised(run: RunView, start: datetime, end: datetime) -> datetime | None:
    """Return when the objective is over, unless it is so far away that the run would shrink to a line."""
    objective = run.times.objective
    far = objective is None or objective > FARTHEST * max((end - start).total_seconds(), 1)
    return None if objective is None or far else _after(start, objective)


def _after(when: datetime, seconds: int) -> datetime:
    """Return `when` and some seconds, or `when` itself where a bundle claims a time that no calendar has."""
    try:
        return when + timedelta(seconds=seconds)
    except OverflowError:
        return when
