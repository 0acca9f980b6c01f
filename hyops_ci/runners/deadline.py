"""A time by which something must have happened, on the clock that is passed."""

from __future__ import annotations

from hyops_ci.contracts.clock import Clock
from hyops_ci.dataclass import dataclass, field


@dataclass(frozen=True)
class Deadline:
    """`seconds` from when it is made."""

    clock: Clock
    seconds: float
    began: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "began", self.clock.monotonic())

    @property
    def left(self) -> float:
        """Return the seconds until then, at least 0."""
        return max(0.0, self.began + self.seconds - self.clock.monotonic())

    @property
    def waited(self) -> float:
        """Return the seconds since it was made."""
        return self.clock.monotonic() - self.began

    def pause(self, seconds: float) -> bool:
        """Wait so long, or as long as is left; return False, at once, where nothing is left."""
        if not self.left:
            return False
        self.clock.sleep(min(seconds, self.left))
        return True
