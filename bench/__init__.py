"""Benchmarks: one module each, beside the peer it is compared with. Its function `run` returns a `Result`, or a tuple of them.

A figure is a ratio to a peer measured in the same run, or a rate where a peer makes no sense, so that it means something on any machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

_OPS: Final[dict[str, Callable[[float, float], bool]]] = {"<=": lambda value, goal: value <= goal, ">=": lambda value, goal: value >= goal}


@dataclass(frozen=True)
class Result:
    """What one benchmark found. `notes` are lines for a reader: the peer, the raw figures, what was counted."""

    name: str
    figure: str
    value: float
    op: Literal["<=", ">="]
    goal: float
    notes: tuple[str, ...] = field(default=())
    closing: str = ""
    """A line after the last one, where somebody reads for it."""

    @property
    def ok(self) -> bool:
        """Whether the value reaches the goal, as measured and not as rounded for the line."""
        return _OPS[self.op](self.value, self.goal)

    def line(self) -> str:
        """The closing line: `<name> <figure>=<value> <op> <goal>: ok` (or `short`)."""
        return f"{self.name} {self.figure}={self.value:.4g} {self.op} {self.goal:.4g}: {'ok' if self.ok else 'short'}"
