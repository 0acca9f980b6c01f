"""Where side effects enter. Each port has a real adapter and one local adapter that tests and rehearsal share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from hyops_ci.contracts.plan import SecretRef


class Clock(Protocol):
    """Time as an argument."""

    def now(self) -> datetime:
        """The present instant, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SecretVersion(Protocol):
    """A secret's name and version as the authority gave it; the value is only in `value`."""

    @property
    def key(self) -> str:
        """Environment key."""
        ...

    @property
    def version(self) -> str:
        """Version of the secret at the authority, or empty."""
        ...

    @property
    def value(self) -> str:
        """The secret. Never printed, never in repr."""
        ...


class Authority(Protocol):
    """The external store that secrets come from (docs/design/anti-drift.md 2.8)."""

    @property
    def origin(self) -> str:
        """What the manifest calls it: an origin, or `file`."""
        ...

    def names(self, refs: Sequence[SecretRef]) -> Mapping[str, bool]:
        """For each key whether its field exists, without reading a value. Raises Refusal (exit 8) or Fault (exit 12)."""
        ...

    def read(self, refs: Sequence[SecretRef]) -> Sequence[SecretVersion]:
        """All values or none; one read per path. Raises Refusal (exit 8) or Fault (exit 12)."""
        ...

    def close(self) -> None:
        """Revoke the login. Called before HyOps starts; raises nothing."""
        ...
