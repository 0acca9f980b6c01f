"""Gates on what HyOps will really use: the overlay merged over the runner's module specs. The dangerous value is often a default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hyops_ci.contracts.decision import ExecutionPlane
from hyops_ci.contracts.facts import EffectiveBlueprint, EffectiveStep
from hyops_ci.contracts.lanes import CLOUD_MODULES
from hyops_ci.errors import Exit
from hyops_ci.planning.case import CheckCase, GateFailure, GateOutcome, check_gate
from hyops_ci.planning.gates.overlay import open_ports, public_addresses

READINESS = "post_apply_ssh_readiness"


def _fix(case: CheckCase, what: str) -> str:
    return f"{what} in {case.plan.overlay}, in a pull request"


@check_gate("overlay.bytes", "contracts 3", Exit.POLICY, "Is the overlay on the runner the one that was planned?")
def overlay_bytes(case: CheckCase) -> GateOutcome:
    """Byte for byte: the runner reads what the plan's digest covers."""
    planned = next((source.sha256 for source in case.plan.sources if source.role == "overlay"), "none")
    if not case.facts.overlay_sha256 == planned == case.facts.blueprint.overlay_sha256:
        return GateFailure(
            "the overlay on the runner is not the planned one",
            case.facts.overlay_sha256,
            planned,
            "start a new run: the overlay changed in between",
        )
    return ""


@check_gate("specs.present", "contracts 3", Exit.HYOPS, "Are all module specs on the runner?")
def specs_present(case: CheckCase) -> GateOutcome:
    """Without a spec its defaults are unknown, and the effective inputs are unknown, too."""
    missing = case.facts.blueprint.specs_missing
    unread = tuple(sorted({step.module_ref for step in case.facts.blueprint.steps if not step.spec_sha256} - set(missing)))
    if missing or unread:
        return GateFailure(
            "module specs are missing on the runner",
            ", ".join(missing + unread),
            f"specs below {case.plan.core_root}/modules",
            "install the HyOps release that has them; or correct host.core_root",
        )
    return f"{len({step.module_ref for step in case.facts.blueprint.steps})} specs"


@check_gate("effective.plane", "anti-drift 2.4", Exit.POLICY, "Does every step work from the planned plane?")
def effective_plane(case: CheckCase) -> GateOutcome:
    """HyOps' own default is `workstation-direct`; a step that leaves it so was written for a laptop."""
    planned = case.plan.execution_plane.value
    found = [
        (step.id, f"{step.id}.execution_plane: {plane} ({_origin(step, 'execution_plane')})")
        for step in case.facts.blueprint.steps
        if (plane := step.inputs.get("execution_plane")) is not None and plane != planned
    ]
    if found:
        return GateFailure(
            "a step works from another plane", _all(found), planned, _fix(case, f"set execution_plane: {planned} on {_ids_in(found)}")
        )
    return ""


@check_gate("effective.bastion", "anti-drift 2.5", Exit.POLICY, "Is no bastion inferred?")
def effective_bastion(case: CheckCase) -> GateOutcome:
    """A jump host by name, or one that HyOps would find by itself where the target is on-prem (HyOps `connectivity.py`)."""
    if case.plan.execution_plane is ExecutionPlane.BASTION_EXPLICIT:
        return "break-glass: bastion by name"
    found = [(step.id, live) for step in case.facts.blueprint.steps if (live := live_bastion(step))]
    if found:
        orders = [f"{live.partition(':')[0]} to {'false' if 'auto' in live else 'empty'} on {step}" for step, live in found]
        return GateFailure(
            "a step would go through a bastion that the config does not name",
            _all([(step, f"{step}.{live}") for step, live in found]),
            "ssh_proxy_jump_auto: false, and no ssh_proxy_jump_host",
            _fix(case, f"set {', '.join(orders)}"),
        )
    return ""


def live_bastion(step: EffectiveStep) -> str:
    """`input: value (origin)` of the bastion that this step would use, or empty.

    `ssh_proxy_jump_auto` is inert where the inventory or target comes from a cloud's state: HyOps looks for the Proxmox
    host only for on-prem targets (hyops.md 8.2).
    """
    for name in ("ssh_proxy_jump_host", f"{READINESS}/ssh_proxy_jump_host"):
        if host := _at(step.inputs, name):
            return f"{name}: {host} ({_origin(step, name)})"
    if step.inputs.get("ssh_proxy_jump_auto") is True and _reaches_hosts(step) and not _in_cloud(step):
        return f"ssh_proxy_jump_auto: true ({_origin(step, 'ssh_proxy_jump_auto')})"
    readiness = step.inputs.get(READINESS)
    if isinstance(readiness, dict) and readiness.get("enabled") is True:
        auto = readiness.get("ssh_proxy_jump_auto", not _in_cloud(step))
        if auto is True and not _in_cloud(step):
            return f"{READINESS}/ssh_proxy_jump_auto: true ({_origin(step, READINESS + '/ssh_proxy_jump_auto')})"
    return ""


@check_gate("effective.ssh", "anti-drift 2.5", Exit.POLICY, "Is the way of SSH said, not inferred?")
def effective_ssh(case: CheckCase) -> GateOutcome:
    """Left empty, HyOps takes `gcp-iap` for machines of `platform/gcp/platform-vm`, whatever the plane says."""
    plane, found = case.plan.execution_plane, []
    for step in case.facts.blueprint.steps:
        mode = str(step.inputs.get("ssh_access_mode") or "")
        inventory = str(step.inputs.get("inventory_state_ref") or "")
        implicit = not mode and inventory.partition("#")[0] == "platform/gcp/platform-vm"
        used = "gcp-iap" if implicit else mode
        if used in ("gcp-iap", "bastion-explicit") and used != plane.value:
            origin = f"inferred from {inventory}" if implicit else _origin(step, "ssh_access_mode")
            found.append((step.id, f"{step.id}.ssh_access_mode: {used} ({origin})"))
    if found:
        return GateFailure(
            "a step reaches its targets by another way than planned",
            _all(found),
            f"direct, as {plane.value} means",
            _fix(case, f"set ssh_access_mode: direct on {_ids_in(found)}"),
        )
    return ""


@check_gate("effective.public", "anti-drift 3", Exit.POLICY, "Do the targets stay private, defaults included?")
def effective_public(case: CheckCase) -> GateOutcome:
    """Public addresses and ports open to the world, also where a spec's default opens them."""
    doors = public_addresses(case.facts.blueprint) + open_ports(case.facts.blueprint)
    if doors:
        return GateFailure("targets would be reachable from anywhere", ", ".join(doors), "private targets", _fix(case, "close them"))
    return ""


@check_gate("effective.steps", "contracts 4", Exit.POLICY, "Are the steps the planned ones?")
def effective_steps(case: CheckCase) -> GateOutcome:
    """Ids and order of the overlay read on the runner equal the plan's."""
    found = _ids(case.facts.blueprint)
    planned = tuple(step.id for step in case.plan.steps)
    if found != planned:
        return GateFailure("the steps are not the planned ones", " ".join(found), " ".join(planned), "start a new run")
    return f"{len(planned)} steps"


def _all(found: Sequence[tuple[str, str]]) -> str:
    """Return every offender, so that one pull request closes them all."""
    return ", ".join(text for _, text in found)


def _ids_in(found: Sequence[tuple[str, str]]) -> str:
    return ", ".join(step for step, _ in found)


def _ids(blueprint: EffectiveBlueprint) -> tuple[str, ...]:
    return tuple(step.id for step in blueprint.steps)


def _in_cloud(step: EffectiveStep) -> bool:
    refs = [step.module_ref, *(str(step.inputs.get(name) or "") for name in ("inventory_state_ref", "target_state_ref"))]
    return any(cloud in ref for ref in refs for cloud in CLOUD_MODULES)


def _reaches_hosts(step: EffectiveStep) -> bool:
    names = ("inventory_state_ref", "inventory_groups", "target_state_ref", "target_host")
    return any(step.inputs.get(name) for name in names)


def _at(inputs: dict[str, Any], path: str) -> object:
    value: object = inputs
    for part in path.split("/"):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _origin(step: EffectiveStep, path: str) -> str:
    origin = step.origins.get("/" + path)
    return {"spec": "default of the module spec", None: "default of HyOps"}.get(origin, f"set in the {origin}")
