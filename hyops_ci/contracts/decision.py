"""What was decided (docs/design/contracts.md 1): type, service, mode and reason; never how to get there (docs/design/anti-drift.md 5)."""

import re
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from hyops_ci.contracts.base import DecisionId, Document, Model, Name, ServiceId, Short, StateRef, Text, Utc
from hyops_ci.contracts.lanes import TargetCloud
from hyops_ci.contracts.recovery import PartOf


class DecisionType(StrEnum):
    """What is to happen. `hold` is recorded and changes nothing."""

    FAILOVER = "failover"
    FAILBACK_ONPREM = "failback_onprem"
    BURST = "burst"
    HOLD = "hold"


class DrMode(StrEnum):
    """How data comes back."""

    RESTORE = "restore"
    WARM_PROMOTE = "warm_promote"
    MANAGED_PROMOTE = "managed_promote"
    DENY = "deny"


class ExecutionPlane(StrEnum):
    """HyOps' access modes. `workstation-direct` is accepted here, so that a gate can refuse it by name (docs/design/anti-drift.md 2.4)."""

    RUNNER_LOCAL = "runner-local"
    PRIVATE_OVERLAY = "private-overlay"
    BASTION_EXPLICIT = "bastion-explicit"
    GCP_IAP = "gcp-iap"
    PUBLIC_EPHEMERAL = "public-ephemeral"
    WORKSTATION_DIRECT = "workstation-direct"


class Exercise(Model):
    """Present when the decision is a drill; it changes neither gate, approvals nor lock."""

    kind: Literal["drill"]
    """A drill: nothing of production moves."""
    level: Literal["check", "isolated"]
    """`check` ends before anything is made; `isolated` recovers into an env of its own."""
    drill_id: DecisionId
    """The drill's own name."""


class Signal(Model):
    """One observation behind the decision, carried and shown, never interpreted. Numbers are text."""

    name: Short
    """What was observed."""
    value: Short
    """What it was. Numbers are text."""
    observed_at: Utc | None = None
    """When."""


_SEEN: Final = (
    "[^ \u00a0\u00ad\u034f\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u202f\u205f-\u206f\u2800\u3000\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0]"
)
"""A character that is more than room."""
Rationale = Annotated[
    str, Text(_SEEN, at_least=1, at_most=2000, patternErrorMessage="a reason that can be seen, of at most 2000 characters")
]
RestorePoint = Annotated[str, Text(r"^(latest|[A-Za-z0-9][A-Za-z0-9_.:-]{0,63})$")]


class Decision(Document):
    """One decision. Fields that select (lane, target, mode, plane) may be absent: config answers; given and different is refused."""

    kind: Literal["Decision"] = "Decision"
    """What this document is."""
    decision_id: DecisionId
    """Names the decision for ever: it acts at most once."""
    decision_type: DecisionType
    """What is to be done."""
    service: ServiceId
    """Which service, as the config names it."""
    rationale: Rationale
    """Why, for the approver and the evidence."""
    issued_at: Utc
    """When it was decided."""
    issuer: Short
    """Who decided: a login, or the name of a system."""
    expires_at: Utc | None = None
    """From when on it is worthless; `policy.decision_lifetime` after `issued_at` where it is left out."""
    target_cloud: TargetCloud | None = None
    """Which cloud it is to be; refused where the lane of the config is another."""
    runner_ref: Name | None = None
    """Which runner; refused where the config says another."""
    dr_mode: DrMode | None = None
    """How data comes back; refused where the config says another."""
    execution_plane: ExecutionPlane | None = None
    """HyOps' access mode; refused where the overlay says another."""
    requires_approval: bool = True
    """Whether a person is asked. Production refuses `false`."""
    restore_point: RestorePoint = "latest"
    """Which backup: `latest`, or its name."""
    repo_state_ref: StateRef | None = None
    """The HyOps state of the backup repository; refused where the overlay says another."""
    old_primary: Literal["confirmed-off", "not-confirmed"] = "not-confirmed"
    """Whether a person made sure that the old primary is off."""
    settles: Name | None = None
    """The site that serves, as a person found out after a run of this type was cut off: nothing is carried out, that run is settled."""
    exercise: Exercise | None = None
    """Present when this is a drill. It changes neither gate, approvals nor lock."""
    part_of: PartOf | None = None
    """Present when several services are recovered together: the plan of the config whose waves count."""
    signals: Annotated[tuple[Signal, ...], Field(max_length=50)] = ()
    """What was observed before. Shown, never interpreted."""
    workload_profile_ref: Short | None = None
    """Kept in the evidence, not interpreted."""
    secret_sync_profile: Name | None = None
    """The scope of the secret map to use; one of `vault.profiles`."""
    secondary_backup_copy_required: bool | None = None
    """Kept in the evidence, not interpreted."""
    cutover_policy: Short | None = None
    """Kept in the evidence, not interpreted."""
    extensions: Annotated[dict[Short, Short], Field(max_length=20)] = {}
    """Anything else, as text. Kept in the evidence, not interpreted."""


def is_seen(text: str) -> bool:
    """Return whether a reader of `text` sees anything."""
    return re.search(_SEEN, text) is not None
