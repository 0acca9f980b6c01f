"""The run as a picture: whose time it was, and each step in its place, as one inline SVG.

Bars are placed in percent and text keeps its size, so that the picture is as readable on a phone as on a wall.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from hyops_ci.contracts.base import moment
from hyops_ci.contracts.run import State
from hyops_ci.report.markup import Safe, el, join
from hyops_ci.report.story import StepTold, Story, rto_of
from hyops_ci.text import span

TOP: Final = 26
BAR: Final = 26
ROW: Final = 34
AXIS: Final = 30
FARTHEST: Final = 2.5
"""Times the run's own length at which the objective is still drawn."""
_WHOSE: Final = {
    State.RECEIVED: ("ours", "plan"),
    State.PLANNED: ("ours", "check"),
    State.CHECKED: ("person", "waiting for approval"),
    State.APPROVED: ("ours", "claim, secrets, preflight"),
    State.CLAIMED: ("ours", "claim, secrets, preflight"),
    State.SECRETS_READY: ("ours", "claim, secrets, preflight"),
    State.PREFLIGHT_PASSED: ("ours", "claim, secrets, preflight"),
    State.EXECUTING: ("hyops", "HyOps"),
    State.VERIFYING: ("proof", "verification"),
}
LEGEND: Final = {
    "person": "waiting for a person",
    "runner": "waiting for a runner",
    "ours": "this tool",
    "hyops": "HyOps",
    "proof": "verification",
}


@dataclass(frozen=True)
class Phase:
    """A stretch of the run that belongs to somebody."""

    whose: str
    label: str
    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end - self.start).total_seconds()


def phases(story: Story) -> list[Phase]:
    """The run cut at its transitions; the wait after the last approval belongs to the runner."""
    found: list[Phase] = []
    moves = story.moves
    approved = max((moment(each.observed_at) for each in story.approvals), default=None)
    for (name, start), (_, end) in pairwise(moves):
        state = State(name) if name in State.__members__ else None
        whose, label = _WHOSE.get(state, ("ours", name)) if state else ("ours", name)
        if end < start:
            continue
        if state is State.CHECKED and approved is not None and start <= approved <= end:
            found += [Phase(whose, label, start, approved), Phase("runner", "waiting for the runner", approved, end)]
        elif found and found[-1].label == label and found[-1].end == start:
            found[-1] = Phase(whose, label, found[-1].start, end)
        else:
            found.append(Phase(whose, label, start, end))
    return found


@dataclass(frozen=True)
class Scale:
    """Instants as percent of the picture's width."""

    start: datetime
    end: datetime

    def at(self, when: datetime) -> float:
        """0 to 100."""
        whole = max((self.end - self.start).total_seconds(), 1.0)
        return min(100.0, max(0.0, 100 * (when - self.start).total_seconds() / whole))


def picture(story: Story) -> Safe:
    """The SVG, or nothing for a run that has no stretch to draw."""
    stretches = phases(story)
    if not stretches:
        return Safe("")
    steps = [(step, step.begun) for step in story.steps if step.begun is not None]
    start, end = stretches[0].start, max([stretches[-1].end, *(_end(step, begun) for step, begun in steps)])
    promised = _promised(story, start, end)
    scale = Scale(start, max(end, promised or end))
    height = TOP + BAR + 10 + ROW * len(steps)
    marks = [_mark(scale.at(begun), height, "no-return", "point of no return") for step, begun in steps if step.no_return]
    marks += [_mark(scale.at(promised), height, "promise", "objective")] if promised else []
    bars = [_phase(phase, scale) for phase in stretches]
    rows = [_step(step, begun, scale, TOP + BAR + 10 + ROW * row) for row, (step, begun) in enumerate(steps)]
    drawn = [_grid(scale, height), *bars, *marks, *rows]
    return el("svg", *drawn, class_="timeline", width="100%", height=str(height + AXIS), role="img", aria_label=_in_words(stretches))


def _in_words(stretches: list[Phase]) -> str:
    return "Timeline: " + ", ".join(f"{phase.label} {span(phase.seconds)}" for phase in stretches)


def _end(step: StepTold, begun: datetime) -> datetime:
    return _after(begun, step.seconds or 0)


def _promised(story: Story, start: datetime, end: datetime) -> datetime | None:
    """When the objective is over, unless it is so far away that the run would shrink to a line."""
    objective = rto_of(story).objective
    far = objective is None or objective > FARTHEST * max((end - start).total_seconds(), 1)
    return None if objective is None or far else _after(start, objective)


def _after(when: datetime, seconds: int) -> datetime:
    """`when` and some seconds, or `when` itself where a bundle claims a time that no calendar has."""
    try:
        return when + timedelta(seconds=seconds)
    except OverflowError:
        return when


def _phase(phase: Phase, scale: Scale) -> Safe:
    left, right = scale.at(phase.start), scale.at(phase.end)
    words = f"{phase.label}: {span(phase.seconds)}, {phase.start:%H:%M:%S}Z to {phase.end:%H:%M:%S}Z"
    bar = _rect(left, right, TOP, BAR, f"fill-{phase.whose}", words)
    return join(bar, _text(left, TOP + 17, span(phase.seconds), f"in-bar on-{phase.whose}", shift=7)) if right - left > 14 else bar


def _step(step: StepTold, begun: datetime, scale: Scale, top: int) -> Safe:
    left, right = scale.at(begun), scale.at(_end(step, begun))
    took = span(step.seconds) if step.seconds is not None else "no end"
    bar = _rect(left, right, top + 20, 7, f"step-{_mood(step.status)}", f"{step.id} {step.status} {took}")
    anchor, at = ("end", min(100.0, max(right, 60.0))) if left > 50 else ("start", left)
    label = el("text", step.id, el("tspan", f"  {step.status} {took}", class_="dim"), x=f"{at:.2f}%", y=str(top + 14), text_anchor=anchor)
    return join(label, bar)


def _mood(status: str) -> str:
    """Good, bad or neither, for the colour of a step."""
    return {"ok": "good", "failed": "bad", "cancelled": "bad"}.get(status, "other")


def _rect(left: float, right: float, top: int, height: int, kind: str, title: str) -> Safe:
    width = f"{max(right - left, 0.35):.2f}%"
    return el("rect", el("title", title), x=f"{left:.2f}%", y=str(top), width=width, height=str(height), rx="2", class_=kind)


def _text(at: float, y: int, words: str, kind: str, shift: int = 0, anchor: str = "start") -> Safe:
    return el("text", words, x=f"{at:.2f}%", y=str(y), dx=str(shift), text_anchor=anchor, class_=kind)


def _mark(at: float, height: int, kind: str, words: str) -> Safe:
    anchor, shift = ("end", -5) if at > 50 else ("start", 5)
    line = el("line", x1=f"{at:.2f}%", x2=f"{at:.2f}%", y1="4", y2=str(height), class_=f"mark {kind}")
    return join(line, _text(at, 14, words, f"mark-text {kind}", shift, anchor))


def _grid(scale: Scale, height: int) -> Safe:
    """Four clock times along the bottom."""
    whole = scale.end - scale.start
    marks = [(scale.start + whole * part / 3, part) for part in range(4)]
    anchors = ("start", "middle", "middle", "end")
    lines = [
        el("line", x1=f"{100 * part / 3:.2f}%", x2=f"{100 * part / 3:.2f}%", y1=str(TOP), y2=str(height), class_="grid")
        for _, part in marks
    ]
    labels = [_text(100 * part / 3, height + 20, f"{when:%H:%M:%S}Z", "clock", anchor=anchors[part]) for when, part in marks]
    return join(*lines, *labels)
