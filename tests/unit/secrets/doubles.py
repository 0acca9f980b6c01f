"""Stand-ins for what this package is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from hyops_ci.contracts.plan import SecretPlan, SecretRef
from hyops_ci.errors import DispatchError
from hyops_ci.secrets.values import Secret

ORIGIN = "https://vault.example.net"


class FakeClock:
    """Time that passes by a second per look."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 23, 3, 9, 19, tzinfo=UTC)

    def now(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class FakeAuthority:
    """Gives `values`, or raises `error`; remembers what was asked and that it was closed."""

    values: Mapping[str, str]
    error: DispatchError | KeyboardInterrupt | None = None
    revoked: bool | None = None
    asked: list[str] = field(default_factory=list)
    closed: int = 0
    origin = ORIGIN
    role = "dr-prod"
    login: Literal["jwt"] = "jwt"

    def names(self, refs: Sequence[SecretRef]) -> Mapping[str, bool]:
        self._ask("names", refs)
        return {ref.key: ref.key in self.values for ref in refs}

    def read(self, refs: Sequence[SecretRef]) -> Sequence[Secret]:
        self._ask("read", refs)
        return [Secret(ref.key, self.values[ref.key], "3") for ref in refs]

    def close(self) -> None:
        self.closed += 1
        self.revoked = True

    def _ask(self, what: str, refs: Sequence[SecretRef]) -> None:
        self.asked += [f"{what} {ref.key}" for ref in refs]
        if self.error:
            raise self.error


def plan_of(*keys: str, **changes: object) -> SecretPlan:
    """A plan that keeps each key at `secret/hybridops/prod/x`."""
    refs = tuple(SecretRef(key=key, path="secret/hybridops/prod/x", field=key) for key in keys)
    facts = {"kind": "vault", "addresses": ((ORIGIN, "gcp"),), "role": "dr-prod", "check_role": "dr-check", "refs": refs}
    return SecretPlan.model_validate(facts | changes)
