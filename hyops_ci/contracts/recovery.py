"""A recovery plan (docs/recovery-plans.md): several services, recovered in waves, and the record of how that went."""

from typing import Annotated, Literal

from pydantic import Field

from hyops_ci.contracts.base import WHOLE, Clean, DecisionId, Digest, Document, Model, Name, ServiceId, Utc

MAX_WAVES = 20
MAX_TOGETHER = 20
"""Services of one wave."""

Standing = Literal["open", "at work", "unknown", "proven"]
"""Of one service: nothing acts on it, a run does, a person must say which site serves, or it serves from where it was to go."""


class RecoveryPlan(Model):
    """Services that are recovered together. A wave begins when every service of the one before is proven where it was to go."""

    action: Literal["failover", "failback"]
    """What is done with each of them."""
    waves: Annotated[
        tuple[Annotated[tuple[ServiceId, ...], Field(min_length=1, max_length=MAX_TOGETHER)], ...],
        Field(min_length=1, max_length=MAX_WAVES),
    ]
    """Services by wave, the first wave first. A service stands in one wave."""


class PartOf(Model):
    """The recovery that a decision is a part of."""

    recovery_plan: Name
    """The plan's name in the config."""
    recovery_id: DecisionId
    """Of this one recovery by that plan; equal for all of its decisions."""


class ServiceRecord(Model):
    """What became of one service."""

    service: ServiceId
    standing: Standing
    run_id: Clean = ""
    """Of the run that acted on it for this recovery; empty where none did."""
    run_url: Clean = ""
    outcome: Clean = ""
    """Terminal state of that run."""
    at: Utc | None = None
    """When the ledger last heard of it."""
    evidence: Clean = ""
    """The file beside the record; empty where it could not be had."""
    evidence_sha256: Digest | None = None
    """Of the bundle, as the ledger has it."""


class WaveRecord(Model):
    """One wave of a recovery."""

    number: Annotated[int, Field(ge=1, le=MAX_WAVES), WHOLE]
    services: tuple[ServiceRecord, ...]


class RecoveryRecord(Document):
    """How a recovery of several services went (`recovery.json`), with the digest of each service's evidence."""

    kind: Literal["RecoveryRecord"] = "RecoveryRecord"
    """What this document is."""
    recovery_plan: Name
    recovery_id: DecisionId
    action: Literal["failover", "failback"]
    outcome: Literal["DONE", "STOPPED", "WAITING"]
    """All proven; stopped before a wave that has not begun; or something is at work or waits for people."""
    headline: Clean
    at: Utc
    waves: tuple[WaveRecord, ...]
