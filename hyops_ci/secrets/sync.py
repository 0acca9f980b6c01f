"""The two things a run asks of the authority: do the names exist (check), and bring the values into the bundle (execute).

All or nothing: whatever fails, the bundle keeps every byte it had. The authority is asked last but one, after the
bundle was opened with its password, and the login is revoked before this returns, so before HyOps starts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final, Literal, Protocol

from hyops_ci.contracts.base import Clean, Digest, Document, EnvKey, Model, Short, Utc, stamp
from hyops_ci.contracts.clock import Clock
from hyops_ci.contracts.plan import SecretPlan, SecretRef
from hyops_ci.dataclass import dataclass, field
from hyops_ci.errors import Exit, Refusal, shown
from hyops_ci.secrets.bundle import Written
from hyops_ci.secrets.port import SecretAuthority
from hyops_ci.secrets.values import normalize

NOT_REVOKED: Final = "the login could not be revoked; it ends by its own limit"


class SyncedSecret(Model):
    """Name and version of one secret that was brought."""

    key: EnvKey
    path: Short
    field: Short
    version: Clean
    """The authority's version, or empty where it has none."""


class SyncManifest(Document):
    """`secrets.json` of the evidence: names, versions, origin and times; never a value."""

    kind: Literal["SyncManifest"] = "SyncManifest"
    origin: Short
    site: Clean
    login: Literal["jwt", "token-file", "none"]
    role: Clean
    started_at: Utc
    ended_at: Utc
    secrets: tuple[SyncedSecret, ...]
    changed: tuple[EnvKey, ...]
    """Names that are new in the bundle or have another value than before."""
    kept: tuple[Clean, ...]
    """Names that were in the bundle already and that this plan does not need: HyOps sees them too."""
    revoked: bool | None
    """Whether the login was revoked; absent when there was none."""
    bundle_sha256: Digest | None = None
    """Absent where there is no bundle: HyOps had the secrets in its environment alone."""
    notes: tuple[Clean, ...] = ()


@dataclass(frozen=True, slots=True)
class Synced:
    """The result of `sync`: the manifest for the evidence, the values for the child's environment, and all that must be redacted."""

    manifest: SyncManifest
    values: Mapping[str, str] = field(repr=False)
    withheld: Mapping[str, str] = field(repr=False)
    """Values that HyOps does not get."""
    hidden: tuple[str, ...] = field(repr=False)
    """For the redactor: these values, every other one in the bundle (HyOps reads it whole), and the bundle's password."""


class RuntimeBundle(Protocol):
    """HyOps' bundle, opened and locked, as far as this needs it."""

    @property
    def there(self) -> bool:
        """Whether there was one before."""

    @property
    def leftovers(self) -> tuple[str, ...]:
        """Names of plaintext files that a crashed HyOps left beside it."""

    @property
    def hidden(self) -> tuple[str, ...]:
        """What it held, and its password, for the redactor."""

    def merge(self, values: Mapping[str, str]) -> Written:
        """Overlay `values`."""


def sync(
    plan: SecretPlan,
    authority: SecretAuthority,
    opening: AbstractContextManager[RuntimeBundle | None],
    required: Sequence[str],
    *,
    withheld: Collection[str] = (),
    clock: Clock,
) -> Synced:
    """Bring every `required` name from `authority` into the bundle that `opening` opens, revoke the login, and return what was done.

    Where it opens none nothing is written: the values are for the environment of HyOps alone.
    What is `withheld` is read all the same, and HyOps gets nothing of it.

    Raises Refusal (exit 8, naming keys only) or Fault (exit 12, or 8 for the disk): then the bundle is untouched, the login revoked.
    """
    started = clock.now()
    try:
        refs = chosen_refs(plan, required)
        with opening as bundle:
            secrets = authority.read(refs) if refs else ()
            settled = normalize({secret.key: secret.value for secret in secrets})
            values = {key: value for key, value in settled.values.items() if key not in withheld}
            own = {key: value for key, value in settled.values.items() if key in withheld}
            written = bundle.merge(values) if bundle is not None else None
            hidden, notes = {*settled.values.values(), *(bundle.hidden if bundle is not None else ())}, _notes(bundle)
    finally:
        authority.close()
    versions = {secret.key: secret.version for secret in secrets}
    brought = tuple(SyncedSecret(key=ref.key, path=ref.path, field=ref.field, version=versions[ref.key]) for ref in refs)
    manifest = SyncManifest(
        origin=authority.origin,
        site=dict(plan.addresses).get(authority.origin, ""),
        login=authority.login,
        role=authority.role,
        started_at=stamp(started),
        ended_at=stamp(clock.now()),
        secrets=brought,
        changed=written.changed if written is not None else (),
        kept=tuple(shown(name) for name in written.kept) if written is not None else (),
        revoked=authority.revoked,
        bundle_sha256=written.sha256 if written is not None else None,
        notes=(
            *settled.notes,
            *notes,
            *(f"{key}: for a probe, HyOps does not get it" for key in own),
            *([] if authority.revoked is not False else [NOT_REVOKED]),
        ),
    )
    return Synced(manifest, values, own, tuple(sorted(hidden)))


def check_names(plan: SecretPlan, authority: SecretAuthority, required: Sequence[str]) -> dict[str, bool]:
    """Return for each `required` name whether the authority has it; no value is read, and the login is revoked.

    A name without a place in the plan is False. Raises Refusal (exit 8) or Fault (exit 12).
    """
    wanted = sorted(set(required))
    refs = [ref for ref in plan.refs if ref.key in wanted]
    try:
        found = authority.names(refs) if refs else {}
    finally:
        authority.close()
    return {key: bool(found.get(key)) for key in wanted}


def chosen_refs(plan: SecretPlan, required: Sequence[str]) -> tuple[SecretRef, ...]:
    """Return the plan's places for exactly the `required` names, sorted. Raises Refusal (exit 8) naming those without a place."""
    places = {ref.key: ref for ref in plan.refs}
    wanted = sorted(set(required))
    if missing := [key for key in wanted if key not in places]:
        raise Refusal(
            "secrets.names",
            "the plan has no place for some of the names that HyOps needs; the bundle was not touched",
            exit_code=Exit.SECRETS,
            found=", ".join(missing),
            expected="every required name among the plan's references",
            fix="add rows to the secret map, then a new run",
            docs="secrets.md",
        )
    return tuple(places[key] for key in wanted)


def _notes(bundle: RuntimeBundle | None) -> list[str]:
    if bundle is None:
        return ["the env has no bundle and no password file is named: HyOps had the secrets in its environment alone"]
    notes = [f"plaintext left beside the bundle by an earlier HyOps: {shown(name)}; delete it" for name in bundle.leftovers]
    return [*notes, *([] if bundle.there else ["there was no bundle before"])]
