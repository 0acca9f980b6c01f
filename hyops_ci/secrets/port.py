"""What this room asks of an authority beyond the port of the ground: how it was logged in to, and whether that login is over."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, Protocol

from hyops_ci.contracts.ports import Authority


class Purpose(StrEnum):
    """Why an authority is opened: `check` sees names only, with a role that cannot read values."""

    CHECK = "check"
    EXECUTE = "execute"


class SecretAuthority(Authority, Protocol):
    """An authority that can say how it was entered and left."""

    @property
    def login(self) -> Literal["jwt", "token-file", "none"]:
        """The way in."""
        ...

    @property
    def role(self) -> str:
        """The role asked for, or empty."""
        ...

    @property
    def revoked(self) -> bool | None:
        """Whether `close` revoked every token there was; None when there was none to revoke."""
        ...
