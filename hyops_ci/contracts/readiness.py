"""What a check of a service's next move said, signed by the host that made it (docs/design/contracts.md 8)."""

from typing import Annotated, Final, Literal

from pydantic import Field

from hyops_ci.contracts.base import Clean, Digest, Document, Model, Name, RunId, ServiceId, Short, Utc
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.ledger import Base64, Line, Signature
from hyops_ci.contracts.run import State

READINESS_PAYLOAD: Final = "application/vnd.hybridops.readiness.v1+json"
"""DSSE payload type of a signed readiness."""
READINESS: Final = "readiness.json"
"""Its file in the folder of a run, in the bundle, and on its branch."""
MAX_READINESS: Final = 16 * 1024
"""Bytes of one signed readiness."""


class HostNote(Model):
    """What the host of a check says of itself, that nobody looks at between recoveries."""

    level: Literal["alarm", "warning"]
    """`alarm`: a recovery would fail on it, or soon be refused. `warning`: it will one day."""
    topic: Short
    """Its agent, a disk, a certificate, a key and the like."""
    text: Annotated[Clean, Field(max_length=300)]


class Readiness(Document):
    """What one check found. A check that was refused or failed says so as well: it is no readiness, and it is newer than the one before."""

    kind: Literal["Readiness"] = "Readiness"
    ledger_id: Digest
    """Of the service's ledger: what was said of another ledger, with the same name, is not about this one."""
    service: ServiceId
    decision_type: DecisionType
    """The move that was checked."""
    lane: Name
    """Where it would recover."""
    runner_ref: Name
    """The runner that was checked."""
    runner: Line = ""
    """What that machine calls itself; empty where it was not known."""
    ready: bool
    """Whether a run of this move would have begun there and then."""
    outcome: State
    """`CHECK_PASSED`, or the state in which the check ended."""
    gate: Annotated[Clean, Field(max_length=200)] = ""
    """The gate that refused it; empty for one that passed."""
    reason: Line = ""
    """Why it was refused, in the words of that gate."""
    checked_at: Utc
    expires_at: Utc
    """From when on it says nothing any more."""
    plan_digest: Digest
    check_digest: Digest | None = None
    """Of the report; absent where the check was refused before there was one."""
    hyops_version: Line = ""
    deviations: Annotated[tuple[Annotated[Clean, Field(max_length=300)], ...], Field(max_length=20)] = ()
    """What let it pass all the same, as far as it fits."""
    host: Annotated[tuple[HostNote, ...], Field(max_length=20)] = ()
    """What its host said of itself, of a check that was asked for by itself."""
    run_id: RunId
    url: Line = ""
    """The run, for a person."""


class ReadinessEnvelope(Model):
    """A signed readiness: a DSSE envelope of one `Readiness`, stricter than DSSE in that nothing is kept that nobody reads."""

    payload_type: Literal["application/vnd.hybridops.readiness.v1+json"] = Field(alias="payloadType")
    payload: Base64
    signatures: Annotated[tuple[Signature, ...], Field(min_length=1, max_length=16)]


Standing = Literal["ready", "not ready", "expired", "unknown"]
"""Of a service, by the newest readiness that counts: `unknown` where there is none."""


class ReadinessFact(Model):
    """What is known of a service's readiness: the newest record that a host of the config signed, and what was passed over."""

    standing: Standing
    record: Readiness | None = None
    last_passed: Readiness | None = None
    """The newest that passed, however old; the same one where that is ready."""
    signed_by: tuple[Short, ...] = ()
    """Names of the hosts that signed it."""
    passed_over: tuple[Clean, ...] = ()
    """What lies on the branch above it and counts as nothing, and why."""
    why: Clean = ""
    """Why nothing is known."""
    unanswered: bool = False
    """Whether nobody answered who could have said it."""
