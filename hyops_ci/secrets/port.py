"""The interface of a secret authority: names, values, and the login that is revoked at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Literal, Protocol

from hyops_ci.contracts.config import EnvClass
from hyops_ci.contracts.plan import SecretRef
from hyops_ci.dataclass import dataclass
from hyops_ci.http.client import Limits
from hyops_ci.secrets.values import Secret


class Purpose(StrEnum):
    """Why an authority is opened: `check` reads names only, with a role that cannot read values."""

    CHECK = "check"
    EXECUTE = "execute"


@dataclass(frozen=True, slots=True)
class Access:
    """Why an authority is opened, with which login, and how it is reached."""

    env_class: EnvClass
    purpose: Purpose
    token_for: Callable[[str], str] | None = None
    """The job's identity for an audience (`identity.oidc_request.job_identity`)."""
    token_file: str = ""
    """Takes the place of the job's identity in `hyops-ci run`; never used on GitHub."""
    ca_bundle: str | None = None
    limits: Limits | None = None
    """Of each request; the adapter's own when absent."""
    sleep: Callable[[float], None] = time.sleep
    learn: Callable[[str], None] | None = None
    """Gets every token as soon as it is known, for the redactor."""


class SecretAuthority(Protocol):
    """The external store that secrets come from (docs/design/anti-drift.md 2.8)."""

    @property
    def origin(self) -> str:
        """Its name in the manifest: an address, or `file`."""
        ...

    @property
    def login(self) -> Literal["jwt", "token-file", "none"]:
        """How it is logged in to."""
        ...

    @property
    def role(self) -> str:
        """The role asked for, or empty."""
        ...

    @property
    def revoked(self) -> bool | None:
        """Whether `close` revoked every token there was; None when there was none to revoke."""
        ...

    def names(self, refs: Sequence[SecretRef]) -> Mapping[str, bool]:
        """Return for each key whether its field exists, without reading a value. Raises Refusal (exit 8) or Fault (exit 12)."""
        ...

    def read(self, refs: Sequence[SecretRef]) -> Sequence[Secret]:
        """Return all values, or raise and return none; one read per path. Raises Refusal (exit 8) or Fault (exit 12)."""
        ...

    def close(self) -> None:
        """Revoke the login. Called before HyOps starts; raises nothing."""
        ...
