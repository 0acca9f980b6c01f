"""The kinds of secret authority, one row each: types, gates, plans and the doctor follow from this table.

The adapter of a kind is the module of the same name in `hyops_ci/secrets/authorities`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from hyops_ci.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class AuthorityKind:
    """What a kind demands of a config."""

    name: str
    remote: bool
    """Reached at addresses, each with its site, and entered with the job's identity; else a path on the runner."""
    lab_only: bool
    """Refused in envs of other classes than `lab`."""


AUTHORITIES: Final = {
    row.name: row
    for row in (
        AuthorityKind("vault", remote=True, lab_only=False),
        AuthorityKind("file", remote=False, lab_only=True),
    )
}

if TYPE_CHECKING:
    AuthorityName: TypeAlias = str
else:
    AuthorityName = Literal[*AUTHORITIES]
