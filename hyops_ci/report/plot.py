"""Figures of a service over time, as points beside their objective. The template draws them as one SVG.

Places from left to right are percent of the picture's width and text keeps its size, as in the time line of a run; heights are pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

from hyops_ci.contracts.base import moment
from hyops_ci.contracts.board import BoardRun
from hyops_ci.dataclass import dataclass
from hyops_ci.text import short_seconds, span

HEIGHT: Final = 150
TOP: Final = 12
"""Pixels above the largest value."""
LEFT: Final = 13.0
"""Percent that the heights' labels have for themselves, on a phone, too."""
RIGHT: Final = 98.0
"""Percent at which the last point stands, so that it is not cut."""
_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800)
Mark = Literal["met", "missed", "unjudged", "none"]


@dataclass(frozen=True)
class Point:
    """One run. `none`: it has no figure, and stands on the ground line."""

    left: float
    top: float
    mark: Mark
    drill: bool
    words: str


@dataclass(frozen=True)
class Plot:
    """What one picture shows."""

    title: str
    unit: str
    points: tuple[Point, ...]
    grid: tuple[tuple[float, str], ...]
    """Height and text of each line."""
    promise: tuple[float, str] | None
    """The same of the objective."""
    days: tuple[tuple[float, str], ...]
    """Place and text of the first and last day."""

    @property
    def summary(self) -> str:
        """What somebody hears who does not see it."""
        measured = [point for point in self.points if point.mark != "none"]
        missed = sum(point.mark == "missed" for point in self.points)
        return f"{self.title}: {len(self.points)} runs, {len(measured)} measured, {missed} missed the objective"


def plot_of(title: str, unit: str, runs: Sequence[BoardRun], which: Literal["rto", "rpo"], promised: int | None) -> Plot | None:
    """Return the picture of one figure, or None where no run has it. `promised` is the objective of today."""
    seen = [(run, _value(run, which)) for run in reversed(runs)]
    values = [value for _, value in seen if value is not None]
    if not values:
        return None
    first, last = moment(seen[0][0].ended_at), moment(seen[-1][0].ended_at)
    most = max([*values, promised or 0, 1])
    step = next((each for each in _STEPS if most / each <= 4), 604800 * (1 + most // (4 * 604800)))
    top = step * -(-most // step)

    def height(value: float) -> float:
        return round(TOP + (HEIGHT - TOP) * (1 - value / top), 1)

    points = tuple(
        Point(
            left=_place(moment(run.ended_at), first, last),
            top=height(value or 0),
            mark=_mark(value, _objective(run, which)),
            drill=run.drill,
            words=_words(run, value),
        )
        for run, value in seen
    )
    days = [(_place(first, first, last), f"{first:%Y-%m-%d}"), (_place(last, first, last), f"{last:%Y-%m-%d}")]
    return Plot(
        title=title,
        unit=unit,
        points=points,
        grid=tuple((height(line), short_seconds(line)) for line in range(0, top + 1, step)),
        promise=(height(promised), f"objective {short_seconds(promised)}") if promised else None,
        days=tuple(days if first.date() != last.date() else days[:1]),
    )


def _value(run: BoardRun, which: str) -> int | None:
    figures = run.figures
    return None if figures is None else figures.request_to_proven if which == "rto" else figures.data_age


def _objective(run: BoardRun, which: str) -> int | None:
    """Return what was promised when it ran: what counts for it, whatever the config says today."""
    return None if run.figures is None else run.figures.rto if which == "rto" else run.figures.rpo


def _mark(value: int | None, objective: int | None) -> Mark:
    if value is None:
        return "none"
    return "unjudged" if objective is None else "met" if value <= objective else "missed"


def _place(at: datetime, first: datetime, last: datetime) -> float:
    """Return the place of an instant; one instant alone stands in the middle."""
    whole = (last - first).total_seconds()
    share = (at - first).total_seconds() / whole if whole > 0 else 0.5
    return LEFT + (RIGHT - LEFT) * min(1.0, max(0.0, share))


def _words(run: BoardRun, value: int | None) -> str:
    kind = "drill" if run.drill else run.decision_type.value
    return f"{run.ended_at[:10]} {kind}, run {run.run_id}: {run.state}, {'not measured' if value is None else span(value)}"
