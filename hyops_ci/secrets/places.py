"""Single values of the authority, each at a place that the config names: what making a runner takes, under a role of its own.

No bundle and no map has a part in this, and the role reads no secret of an env (docs/vault-role.md). The login is revoked before
this returns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from hyops_ci.contracts.base import Clean, Model, Short
from hyops_ci.contracts.plan import SecretPlan, SecretRef
from hyops_ci.dataclass import dataclass, field
from hyops_ci.secrets.connect import open_authority
from hyops_ci.secrets.port import Access
from hyops_ci.secrets.sync import NOT_REVOKED
from hyops_ci.secrets.values import normalize


class ReadPlace(Model):
    """One place that was read, and the authority's version of what it held; never the value."""

    place: Short
    version: Clean


class PlacesRead(Model):
    """Who was asked, as which role, and what was read: for the evidence."""

    origin: Short
    login: Literal["jwt", "token-file", "none"]
    role: Clean
    places: tuple[ReadPlace, ...]
    revoked: bool | None
    """Whether the login was revoked; absent when there was none."""
    notes: tuple[Clean, ...] = ()


@dataclass(frozen=True, slots=True)
class PlaceValues:
    """The values by place, and the account of how they were read. `repr` shows the account alone."""

    values: Mapping[str, str] = field(repr=False)
    account: PlacesRead


def secret_ref(place: str, mount: str) -> SecretRef:
    """Return the address of `<path>#<field>` below a mount; in a lab's file the field alone is the name."""
    path, _, name = place.partition("#")
    return SecretRef(key=name, path=f"{mount}/{path}", field=name)


def read_places(plan: SecretPlan, places: Sequence[str], access: Access) -> PlaceValues:
    """Return the values of all `places`, read under `plan.role` in one login that is revoked here.

    `access.learn` gets every value, for the redactor. Raises Refusal (exit 4 or 8) or Fault (exit 12), and then returns none.
    """
    authority, values, read = open_authority(plan, access), dict[str, str](), []
    try:
        for place in dict.fromkeys(places):
            ref = secret_ref(place, plan.mount)
            [secret] = authority.read([ref])
            values[place] = normalize({secret.key: secret.value}).values[secret.key]
            read.append(ReadPlace(place=place, version=secret.version))
            if access.learn:
                access.learn(values[place])
    finally:
        authority.close()
    account = PlacesRead(
        origin=authority.origin,
        login=authority.login,
        role=authority.role,
        places=tuple(read),
        revoked=authority.revoked,
        notes=() if authority.revoked is not False else (NOT_REVOKED,),
    )
    return PlaceValues(values, account)
