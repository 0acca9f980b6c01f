"""Gates on where recovery runs: lanes, runners and planes are explicit (docs/design/anti-drift.md 2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from hyops_ci.config.settings import LaneSettings, data_home, lane_settings
from hyops_ci.contracts.base import moment
from hyops_ci.contracts.decision import DecisionType, ExecutionPlane
from hyops_ci.contracts.lanes import GITHUB_LABELS, LANES, ON_PREM_LANES
from hyops_ci.errors import Exit
from hyops_ci.planning.case import GateFailure, GateOutcome, PlanCase, plan_gate

Runner: TypeAlias = tuple[str, tuple[str, ...]]
"""Name and labels."""


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
    """A job goes to any runner that carries all of its labels, and perhaps more: no runner of one lane may carry all labels of another."""
    lane = case.lane
    for _, labels in _runners(lane):
        if "self-hosted" not in map(str.casefold, labels) or not _own(labels):
            return GateFailure(
                "the labels could match a runner of another owner",
                f"labels {', '.join(labels)}",
                "self-hosted and the runner's own label, which is none of GitHub's",
                f"set lanes.{lane.name}.labels, or leave the default",
            )
    for other, mine, theirs in _must_differ(case):
        if mine[0] == theirs[0] or _own(mine[1]) <= _own(theirs[1]) or _own(theirs[1]) <= _own(mine[1]):
            return GateFailure(
                "a drill would run on the lane's runner" if other == lane.name else "two lanes share one runner",
                f"{lane.name} and {other}: {mine[0]}, labels {', '.join(mine[1])}; {theirs[0]}, labels {', '.join(theirs[1])}",
                "one runner and one label set for each lane, each with a label that the other lacks",
                f"name the runner among lanes.{other}.labels" if other == lane.name else f"set lanes.{other}.runner_ref, or its labels",
            )
    for name, labels in _runners(lane):
        if name not in _own(labels):
            return GateFailure(
                "the labels do not ask for the lane's runner",
                f"runner {name}, labels {', '.join(labels)}",
                f"the name of the runner among its labels: {lane.runner_ref}",
                f"add {lane.runner_ref} to lanes.{lane.name}.labels and to the runner, or leave the default",
            )
    return f"{lane.name} -> {lane.runner_ref} -> {', '.join(lane.labels)}"


def _runners(lane: LaneSettings) -> tuple[Runner, ...]:
    return (lane.runner, lane.drill_runner) if lane.drill_runner_ref != lane.runner_ref else (lane.runner,)


def _must_differ(case: PlanCase) -> Iterator[tuple[str, Runner, Runner]]:
    """Yield (lane, a runner of this lane, a runner of that lane) of all that must not be one: lanes may share a runner of drills."""
    lane = case.lane
    for name in LANES:
        other = lane_settings(case.config, name)
        if name == lane.name:
            yield from ((name, lane.runner, drill) for drill in _runners(lane)[1:])
        elif other.enabled:
            yield from ((name, lane.runner, each) for each in _runners(other))
            yield from ((name, drill, other.runner) for drill in _runners(lane)[1:])


def _own(labels: Iterable[str]) -> frozenset[str]:
    """The labels that GitHub does not give to any runner."""
    return frozenset(label.casefold() for label in labels) - GITHUB_LABELS


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
