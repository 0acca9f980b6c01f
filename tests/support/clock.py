"""A clock on which an hour of waiting takes no time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 23, 3, 9, 2, tzinfo=UTC)


@dataclass
class Clock:
    """Time that passes by sleeping only; what is planned happens on the way."""

    seconds: float = 0.0
    planned: list[tuple[float, Callable[[], object]]] = field(default_factory=list)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        due = [entry for entry in self.planned if entry[0] <= self.seconds]
        self.planned = [entry for entry in self.planned if entry not in due]
        for _, action in sorted(due, key=lambda entry: entry[0]):
            action()

    def at(self, seconds: float, action: Callable[[], object]) -> None:
        self.planned.append((seconds, action))
