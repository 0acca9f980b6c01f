"""What HybridOps emits today: decision records, dispatch requests, execution records and attempts (docs/design/hyops.md 3).

Carried strictly, interpreted by `intake`. Python's `isoformat` writes the offset as `+00:00`. Numbers are observations.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from hyops_ci.contracts.base import YEAR, Clean, Model, Short, Text
from hyops_ci.contracts.lanes import LaneOrNone

_TIME = rf"^{YEAR}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{{1,6}})?\+00:00$"
RecordTime = Annotated[str, Text(_TIME, format="date-time"), AfterValidator(lambda value: datetime.fromisoformat(value) and value)]
RecordRef = Annotated[str, Text(r"^[A-Za-z0-9][A-Za-z0-9._-]{7,199}$")]
FilePath = Annotated[str, Text(at_most=1000)]

MAX_EPOCH: Final = 32503679999
"""The last second of the year 2999, which is where times of documents end."""
Plane = Literal["runner-local", "private-overlay", "bastion-explicit", "gcp-iap", "public-ephemeral", "workstation-direct", ""]


class RecordCheck(Model):
    """One measurement behind a record."""

    metric: Short
    query_key: Short
    query: Clean
    value: float
    threshold: float
    comparator: Literal["gte", "lte"]
    ok: bool
    sample_epoch: Annotated[float, Field(ge=0, le=MAX_EPOCH)]
    """Unix seconds."""
    sample_age_s: Annotated[float, Field(ge=0)]
    fresh: bool


class RecordApproval(Model):
    """What a consumer noted of an approval file. Any file approves there, an empty one too: for us it is a claim, no more."""

    required: bool
    approval_file: FilePath
    approved_by: Clean
    note: Clean


class _Record(Model):
    timestamp_utc: RecordTime
    rationale: Annotated[Clean, Field(max_length=2000)]
    checks: Annotated[tuple[RecordCheck, ...], Field(max_length=5)]

    def at(self) -> datetime:
        """Return when it was written, UTC."""
        return datetime.fromisoformat(self.timestamp_utc).astimezone(UTC)


class DecisionRecord(_Record):
    """`decision-service`: one decision. `status` is never updated afterwards."""

    decision_id: RecordRef
    decision_type: Literal["cutover", "failback"]
    status: Literal["emitted", "proposed", "queued-local-exec"]
    execution_mode: Short
    runtime_env: Clean
    thanos_query_url: Clean
    module_ref: Clean
    desired: Clean
    target_mode: Literal["PRIMARY", "SECONDARY"]
    signal_ready: bool
    signal_ready_reason: Clean
    degraded: bool
    module_inputs: dict[str, Any]
    """Never forwarded: HyOps evaluates inputs as Jinja, which is code."""


class _Target(_Record):
    decision_type: Short
    execution_mode: Short
    execution_plane: Plane
    target_kind: Literal["blueprint", "module", ""]
    target_ref: Clean
    target_env: Clean


class DispatchRequest(_Target):
    """`decision-dispatcher`: a routed decision. The mode of its source record is lost here."""

    dispatch_id: RecordRef
    status: Literal["awaiting-approval", "queued"]
    source_decision_id: Clean
    source_decision_file: FilePath
    requires_approval: bool


class ExecutionRecord(_Target):
    """`decision-consumer`: a request with an approval file, or one that needs none."""

    execution_id: RecordRef
    status: Literal["approved-ready"]
    source_dispatch_id: Clean
    approval: RecordApproval


class ExecutorAttempt(_Target):
    """`decision-executor`: what would be run."""

    attempt_id: RecordRef
    status: Literal["dry-run-ready"]
    source_execution_id: Clean
    source_execution_file: FilePath
    source_dispatch_id: Clean
    approval: RecordApproval


class MinimalArtifact(Model):
    """The public contract's minimal decision artifact (HybridOps, Decision-Driven DR Orchestration Contract)."""

    decision_id: RecordRef
    decision_type: Literal["failover", "failback_onprem", "failback", "burst", "hold"]
    target_cloud: LaneOrNone
    runner_ref: Short | None = None
    dr_mode: Literal["restore", "warm_promote", "managed_promote", "deny"]
    execution_plane: Literal["runner-local", "private-overlay", "bastion-explicit", "gcp-iap", "public-ephemeral", "workstation-direct"]
    requires_approval: bool
    rationale: Annotated[Clean, Field(min_length=1, max_length=2000)]
    repo_state_ref: Clean
