"""The lanes, one row each: every list of lanes in configs, schemas, options, refusals and docs follows from this table."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from hyops_ci.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class LaneSpec:
    """What is fixed about a lane. What a config may change (labels, names of runners, failure domain) is in `config.Lane`."""

    name: str
    site: Literal["cloud", "on-prem"]
    """A failback runs on-prem; a failover that `hyops-ci init` writes goes to a cloud."""
    runner_ref: str
    """The standing runner, unless the config names another."""
    enabled: bool
    """Whether the lane is open unless the config closes it (docs/design/anti-drift.md 4)."""
    modules: str
    """Prefix of the HyOps modules that make machines there; empty where targets lie behind the Proxmox host."""
    remote_command: str
    """Runs `{command}` on the host of the runner `{name}`."""


ON_PREM: Final = LaneSpec("onprem", "on-prem", "proxmox-ops-runner", enabled=True, modules="", remote_command="ssh {name} '{command}'")
"""Where a service lives unless its config says otherwise, and where a failback goes."""
_ROWS: Final = (
    LaneSpec(
        "gcp",
        "cloud",
        "gcp-ops-runner",
        enabled=True,
        modules="gcp/",
        remote_command="gcloud compute ssh {name} --tunnel-through-iap -- '{command}'",
    ),
    ON_PREM,
    LaneSpec(
        "azure",
        "cloud",
        "azure-ops-runner",
        enabled=False,
        modules="azure/",
        remote_command="az ssh vm --name {name} --resource-group <its group> -- '{command}'",
    ),
    LaneSpec(
        "aws",
        "cloud",
        "aws-ops-runner",
        enabled=False,
        modules="aws/",
        remote_command="aws ssm start-session --target <instance id of {name}>, there: {command}",
    ),
)
GITHUB_LABELS: Final = frozenset({"self-hosted", "linux", "windows", "macos", "x64", "arm", "arm64"})
"""Labels that GitHub gives every runner of its kind, whoever owns it. GitHub compares labels without regard to case."""
LANES: Final = {row.name: row for row in _ROWS}
CLOUDS: Final = tuple(row.name for row in _ROWS if row.site == "cloud")
ON_PREM_LANES: Final = tuple(row.name for row in _ROWS if row.site == "on-prem")
CLOUD_MODULES: Final = (*(row.modules for row in _ROWS if row.modules), "hetzner/")
"""Prefixes of the HyOps modules that make machines in a cloud. HyOps has modules for Hetzner; no lane runs there."""

if TYPE_CHECKING:
    LaneName: TypeAlias = str
    LaneOrNone: TypeAlias = str

    class TargetCloud(StrEnum):
        """A lane, or `none`. Its members are made from the table."""

else:
    LaneName = Literal[*LANES]
    LaneOrNone = Literal[*LANES, "none"]
    TargetCloud = StrEnum("TargetCloud", {name.upper(): name for name in (*LANES, "none")}, module=__name__)
    TargetCloud.__doc__ = "Where recovery is to run; `none` for a hold."
