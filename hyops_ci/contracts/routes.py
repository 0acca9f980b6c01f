"""The part `routes` of the config: what a record of the decision service means."""

from pydantic import Field

from hyops_ci.contracts.base import Model, ServiceId, Short
from hyops_ci.contracts.decision import DecisionType


class Route(Model):
    """Turns a HybridOps record into a decision for one service. Every given field must match the record."""

    service: ServiceId
    """The service that such a record is about."""
    as_type: DecisionType = Field(alias="as")
    """The decision that it is turned into."""
    decision_type: Short | None = None
    """The record's own `decision_type`."""
    module_ref: Short | None = None
    """The HyOps module that the record names."""
    runtime_env: Short | None = None
    """The env that the record names."""
    desired: Short | None = None
    """The state that the record wants, such as `secondary`."""
    target_kind: Short | None = None
    """What kind of thing the record's target is."""
    target_ref: Short | None = None
    """The blueprint or module that is the record's target."""
    target_env: Short | None = None
    """The env of the record's target."""
    accept_requests: bool = False
    """Take also records that do not say whether they were a rehearsal. The approver's page then warns."""
