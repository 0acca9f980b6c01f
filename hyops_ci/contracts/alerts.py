"""What Alertmanager sends of its alerts, and what the reviewed config says that they may ask for.

An alert is a reason to ask, never an answer: it names no service and no action, and its own text decides nothing.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

from hyops_ci.contracts.base import YEAR, Model, ServiceId, Short, Text

_DAY = r"((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|[12][0-9]))"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
AlertTime = Annotated[str, Text(rf"^{YEAR}-{_DAY}T{_CLOCK}$")]
"""As Go writes a time: up to nine digits after the point, any offset."""
Labels = dict[str, str]
"""Name -> value, of any text: they are compared with the config's, and shown nowhere."""


def _named(labels: dict[str, str]) -> dict[str, str]:
    if "alertname" not in labels:
        raise ValueError("names no alertname: it would be a rule for alerts of any kind")
    return labels


class _Foreign(Model):
    """A document of another project: what is needed is checked, what its next release adds is let be."""

    model_config = ConfigDict(extra="ignore")


class Alert(_Foreign):
    """One alert of a notification."""

    status: Literal["firing", "resolved"]
    """Whether it fires now."""
    startsAt: AlertTime  # noqa: N815 - Alertmanager's name
    """Since when."""
    fingerprint: Annotated[str, Text(r"^[0-9a-f]{16}$")]
    """The digest of its labels: the same whenever it fires."""


class AlertNotification(_Foreign):
    """A notification of Alertmanager, as its webhook sends it, or as a `payload` of `toJson .` does."""

    version: Literal["4"] | None = None
    """Of the webhook's form; a `payload` of one's own has none."""
    status: Literal["firing", "resolved"]
    """`firing` while one of its alerts is."""
    alerts: Annotated[tuple[Alert, ...], Field(min_length=1, max_length=100)]
    """The alerts of one group."""
    commonLabels: Labels  # noqa: N815 - Alertmanager's name
    """The labels that all of them have."""
    commonAnnotations: Labels = {}  # noqa: N815 - Alertmanager's name
    """The annotations that all of them have."""


class AlertRule(Model):
    """What an alert may ask for: every label that is named here must be one that all alerts of the notification have."""

    service: ServiceId
    """The service that such an alert is about."""
    action: Literal["check", "failover"] = "check"
    """`check` changes nothing and asks nobody: its answer is there when people decide. `failover` asks the approvers."""
    labels: Annotated[
        dict[Short, Short], Field(min_length=1, max_length=20, json_schema_extra={"required": ["alertname"]}), AfterValidator(_named)
    ]
    """Label -> value; `alertname` is one of them."""
