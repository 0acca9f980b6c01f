"""Gates on where recovery runs: lanes, runners and planes are explicit (docs/design/anti-drift.md 2)."""

from __future__ import annotations

from hyops_ci.config.settings import data_home, lane_settings
from hyops_ci.contracts.base import moment
from hyops_ci.contracts.decision import DecisionType, ExecutionPlane
from hyops_ci.contracts.lanes import LANES, ON_PREM_LANES
from hyops_ci.errors import Exit
from hyops_ci.planning.case import GateFailure, GateOutcome, PlanCase, plan_gate


@plan_gate("lane.enabled", "anti-drift 4, contracts 2", Exit.POLICY, "Is the lane enabled?")
def lane_enabled(case: PlanCase) -> GateOutcome:
    """Azure and AWS are off until the config enables them."""
    if not case.lane.enabled:
        return GateFailure(
            f"lane {case.lane.name} is not enabled",
            f"{case.decision.decision_type} of {case.decision.service} at {case.lane.name}",
            "one of the enabled lanes " + ", ".join(name for name in LANES if lane_settings(case.config, name).enabled),
            f"make a runner there first, then set lanes.{case.lane.name}.enabled: true in a pull request",
        )
    return ""


@plan_gate("lane.mapping", "anti-drift 2.7", Exit.POLICY, "Does each lane have a runner of its own?")
def lane_mapping(case: PlanCase) -> GateOutcome:
    """Two enabled lanes with one runner or one label set would make the mapping a matter of luck."""
    lane = case.lane
    for name in LANES:
        other = lane_settings(case.config, name)
        same = other.runner_ref == lane.runner_ref or set(other.labels) == set(lane.labels)
        if name != lane.name and other.enabled and same:
            return GateFailure(
                "two lanes share one runner",
                f"{lane.name} and {name}: {lane.runner_ref}, labels {', '.join(lane.labels)}",
                "one runner and one label set for each lane",
                f"set lanes.{name}.runner_ref",
            )
    if "self-hosted" not in [label.lower() for label in lane.labels] or len(lane.labels) < 2:
        return GateFailure(
            "the labels could match a runner of another owner",
            f"labels {', '.join(lane.labels)}",
            "self-hosted and the runner's own label",
            f"set lanes.{lane.name}.labels, or leave the default",
        )
    return f"{lane.name} -> {lane.runner_ref} -> {', '.join(lane.labels)}"


@plan_gate("failback.onprem", "anti-drift 2.6", Exit.POLICY, "Does a failback run on-prem?")
def failback_onprem(case: PlanCase) -> GateOutcome:
    """A failback uses the on-prem runner, never a cloud's."""
    if case.decision.decision_type is DecisionType.FAILBACK_ONPREM and case.lane.name not in ON_PREM_LANES:
        return GateFailure(
            "a failback runs on the on-prem runner",
            f"failback of {case.decision.service} at lane {case.lane.name}",
            f"lane {' or '.join(ON_PREM_LANES)}",
            f"set failback: {{lane: {ON_PREM_LANES[0]}, ...}} for the service",
        )
    return ""


@plan_gate("site.failed", "contracts 3", Exit.POLICY, "Does the runner stand outside the site that may be gone?")
def site_failed(case: PlanCase) -> GateOutcome:
    """A failover's runner must survive the failure it answers."""
    home = data_home(case.config, case.decision.service)
    home_domain = lane_settings(case.config, home).failure_domain
    if case.decision.decision_type is DecisionType.FAILOVER and case.lane.failure_domain == home_domain:
        return GateFailure(
            "the runner stands in the site that failed",
            f"lane {case.lane.name} and data home {home} share the failure domain {home_domain}",
            "a runner in another failure domain",
            "choose another lane for the failover, or correct failure_domain",
        )
    return ""


@plan_gate("plane.allowed", "anti-drift 2.4, anti-drift 2.5", Exit.POLICY, "Is the way to the targets an allowed one?")
def plane_allowed(case: PlanCase) -> GateOutcome:
    """Planes of the policy, or break-glass with reason and end; the workstation never."""
    planes = {str(step.inputs["execution_plane"]) for step in case.blueprint.steps if step.inputs.get("execution_plane")}
    planes |= {case.decision.execution_plane.value} if case.decision.execution_plane else set()
    allowed = {plane.value for plane in case.config.policy.execution_planes}
    glass = {each.plane.value: each for each in case.config.policy.break_glass}
    notes = []
    for plane in sorted(planes):
        if plane == ExecutionPlane.WORKSTATION_DIRECT:
            return GateFailure(
                "recovery never runs from a workstation", plane, "runner-local", "set execution_plane: runner-local in the overlay"
            )
        if plane in allowed and plane != ExecutionPlane.BASTION_EXPLICIT:
            continue
        if plane not in glass or moment(glass[plane].until) <= case.facts.now:
            until = f", ended {glass[plane].until}" if plane in glass else ""
            return GateFailure(
                f"the plane {plane} is not allowed",
                f"{plane}{until}",
                f"{', '.join(sorted(allowed))}, or a break-glass entry with reason and until",
                "use runner-local; or add policy.break_glass in a pull request that says why and until when",
            )
        notes.append(f"break-glass {plane} until {glass[plane].until}: {glass[plane].reason}")
    return "; ".join(notes)


@plan_gate("gcp.roles", "anti-drift 2.1", Exit.POLICY, "Are GCP's project roles named apart?")
def gcp_roles(case: PlanCase) -> GateOutcome:
    """Where the config names GCP projects, host, control and workload are separate fields; one project for all is refused."""
    projects = case.config.gcp
    if projects and len({projects.host, projects.control, projects.workload}) == 1:
        return GateFailure(
            "one GCP project plays every role",
            f"host, control and workload are all {projects.host}",
            "the roles named apart; at least control apart from workload",
            "name the project of secrets and backups as gcp.control (docs/adopt.md)",
        )
    return ""
