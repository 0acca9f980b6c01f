"""How long a run took, read from `objectives.json` and shown in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hyops_ci.dataclass import dataclass, field
from hyops_ci.text import span

UNKNOWN: Final = "not measured"
_PARTS: Final = {
    "runner_made": "making the runner",
    "approval_wait": "approval",
    "runner_wait": "runner",
    "hyops_only": "HyOps",
    "our_overhead": "ours",
}


@dataclass(frozen=True)
class Promised:
    """One objective in seconds, and whether it was met: None where it cannot be said, and why."""

    objective: int | None = None
    met: bool | None = None
    reason: str = UNKNOWN

    def verdict(self) -> str:
        """As text."""
        if self.objective is None:
            return "No objective set"
        word = "met" if self.met else "NOT met" if self.met is False else f"cannot be determined ({self.reason})"
        return f"Objective {span(self.objective)}: {word}"


@dataclass(frozen=True)
class Times:
    """The figures of a run in seconds, and its recovery time objective. What is absent or cannot be read is None."""

    figures: Mapping[str, int | None] = field(default_factory=dict)
    """Seconds by figure; None where it was not measured."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why a figure was not measured."""
    objective: int | None = None
    met: bool | None = None
    """Whether the objective was met; None where it cannot be said."""
    reason: str = UNKNOWN
    """Why that cannot be said."""
    data: Promised = Promised()
    """What was promised of the data, and whether it was met."""

    @property
    def total(self) -> int | None:
        """Seconds from the request to the end of verification."""
        return self.figures.get("request_to_proven")

    @property
    def share(self) -> int:
        """Percent of the objective that the run took, at most 100; 0 where one of both is not known."""
        return min(100, round(100 * self.total / self.objective)) if self.total is not None and self.objective else 0

    def line(self) -> str:
        """Return `27m27s from request: approval 4m31s, runner 14s, ours 46s. Objective 30m00s: met`; empty where nothing was measured."""
        parts = [f"{word} {span(took)}" for name, word in _PARTS.items() if (took := self.figures.get(name)) is not None]
        total = [f"{span(self.total)} from request"] if self.total is not None else []
        measured = ": ".join([*total, ", ".join(parts)] if parts else total)
        return f"{measured}. {Promised(self.objective, self.met, self.reason).verdict()}" if measured else ""

    def data_line(self) -> str:
        """Return `41s before the request is the newest data. Objective 5m00s: met`; empty where nothing was promised or measured."""
        age = self.figures.get("data_age")
        if age is None:
            asked = self.data.objective is not None and self.total is not None
            return f"not measured ({self.data.reason}). {self.data.verdict().partition(':')[0]}" if asked else ""
        return f"{span(age)} before the request is the newest data. {self.data.verdict()}"


def read_times(objectives: Mapping[str, Any]) -> Times:
    """Return what `objectives` holds. Raises nothing: a value of another type counts as absent."""
    entries = objectives.get("figures")
    named = {name: entry if isinstance(entry, dict) else {} for name, entry in entries.items()} if isinstance(entries, dict) else {}
    rto = objectives.get("rto")
    promised = rto if isinstance(rto, dict) else {}
    met, rpo = promised.get("met"), objectives.get("rpo")
    data = rpo if isinstance(rpo, dict) else {}
    kept = data.get("met")
    return Times(
        figures={name: as_count(entry.get("seconds")) for name, entry in named.items()},
        reasons={name: as_text(entry.get("reason")) or "no reason given" for name, entry in named.items()},
        objective=as_count(promised.get("objective")),
        met=met if isinstance(met, bool) else None,
        reason=as_text(promised.get("reason")) or UNKNOWN,
        data=Promised(as_count(data.get("objective")), kept if isinstance(kept, bool) else None, as_text(data.get("reason")) or UNKNOWN),
    )


def as_text(value: object) -> str:
    """Return `value` if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def as_count(value: object) -> int | None:
    """Return `value` if it is an integer of at least 0, else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
