"""Gates on a machine that a run may make on Google Cloud, before anything is (docs/runners-gcp.md).

Only for a run that may make it: a recovery on a runner that is there does not fail for settings that it does not use.
"""

from __future__ import annotations

import re
from typing import Final

from hyops_ci.contracts.runner_machine import GcpMachine
from hyops_ci.planning.case import GateFailure, GateOutcome
from hyops_ci.planning.machine_case import MachineCase, machine_gate

PROJECT: Final = re.compile(r"([a-z][a-z0-9.-]*:)?[a-z][a-z0-9-]{4,28}[a-z0-9]", re.ASCII)
"""An id, not a number and not a display name; those of a domain carry it in front."""


@machine_gate("gcp.projects", "anti-drift 2.1", "Is it said in which projects the machine and its network are?")
def gcp_projects(case: MachineCase) -> GateOutcome:
    """The roles that a machine needs are named under `gcp`, by the ids of projects."""
    machine, projects = case.machine, case.config.gcp
    if not isinstance(machine, GcpMachine):
        return ""
    if projects is None:
        return GateFailure(
            "the config does not name the projects",
            f"lanes.{case.lane.name}.machine.project: {machine.project}; no gcp",
            "gcp: {host: ..., control: ..., workload: ...}",
            "name the three projects under gcp in a pull request",
            "runners-gcp.md",
        )
    named = {"host": projects.host, machine.project: getattr(projects, machine.project)}
    if wrong := [f"gcp.{role}: {name}" for role, name in named.items() if not PROJECT.fullmatch(name)]:
        return GateFailure(
            "a project has another name than its id",
            ", ".join(wrong),
            "6 to 30 lower-case letters, digits and dashes, a letter first",
            "take the project's id, as gcloud projects list shows it",
            "runners-gcp.md",
        )
    return f"machine in {named[machine.project]}, network in {projects.host}"


@machine_gate("gcp.zones", "anti-drift 2.1", "Are the machine's zones those of one region?")
def gcp_zones(case: MachineCase) -> GateOutcome:
    """Its subnetwork, router and NAT are in one region; a zone counts once."""
    machine = case.machine
    if not isinstance(machine, GcpMachine):
        return ""
    zones, regions = machine.zones, {zone.rpartition("-")[0] for zone in machine.zones}
    if len(regions) > 1 or len(set(zones)) < len(zones):
        return GateFailure(
            "the zones are not different ones of one region",
            ", ".join(zones),
            "zones of the subnetwork's region, each once",
            f"correct lanes.{case.lane.name}.machine.zones",
            "runners-gcp.md",
        )
    return ", ".join(zones)


@machine_gate("gcp.accounts", "anti-drift 2.1", "Does the machine run as another account than the one that makes it?")
def gcp_accounts(case: MachineCase) -> GateOutcome:
    """Whatever runs on the machine could make machines otherwise."""
    machine = case.machine
    if not isinstance(machine, GcpMachine):
        return ""
    if machine.service_account == machine.bootstrap_account:
        return GateFailure(
            "the machine would run as the account that makes machines",
            machine.service_account,
            "an account without a role for service_account",
            f"correct lanes.{case.lane.name}.machine.service_account",
            "runners-gcp.md",
        )
    return f"runs as {machine.service_account}"
