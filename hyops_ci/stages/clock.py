"""The real clock, and the one that stands still where a person gave the time."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from typing_extensions import override


class SystemClock:
    """This host's time."""

    def now(self) -> datetime:
        """The present instant, UTC, to the microsecond."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class ShiftedClock(SystemClock):
    """This host's time moved so that it began at `start`: what `--at` means, for rehearsals of another day."""

    def __init__(self, start: datetime) -> None:
        self.start = start
        self._shift: timedelta = start - datetime.now(UTC)

    @override
    def now(self) -> datetime:
        """The shifted instant, UTC."""
        return datetime.now(UTC) + self._shift
