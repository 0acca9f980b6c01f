"""The look that check and execute both take on the runner, so that "still holds" compares like with like.

Nothing changes here: HyOps' own preflight reads, and the authority is asked for names only.
"""

from __future__ import annotations

import platform
import shutil
import socket
from collections.abc import Mapping, Sequence
from getpass import getuser
from pathlib import Path
from typing import Any

from hyops_ci.blueprints.backup_identity import backup_identities
from hyops_ci.blueprints.forecast import forecast
from hyops_ci.blueprints.guards import opened, to_yaml
from hyops_ci.blueprints.reading import read_blueprint
from hyops_ci.config.file import read_config
from hyops_ci.config.host_trust import narrow, plan_fits
from hyops_ci.contracts.base import seconds
from hyops_ci.contracts.check import Check, RunnerIdentity
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.facts import CheckFacts, EffectiveBlueprint, PreflightFact
from hyops_ci.contracts.plan import Command, Plan
from hyops_ci.errors import Exit, Refusal
from hyops_ci.execution.command import Runtime, child_environment, command_line, hyops_version, require_env
from hyops_ci.execution.overlay import lent_overlay
from hyops_ci.execution.records import read_preflight, read_states
from hyops_ci.execution.run_handle import Supervisor
from hyops_ci.identity.claims import Caller
from hyops_ci.identity.oidc_request import job_identity
from hyops_ci.parsing.strict_yaml import read_yaml
from hyops_ci.secrets.connect import open_authority
from hyops_ci.secrets.port import Purpose, SecretAuthority
from hyops_ci.secrets.sync import check_names
from hyops_ci.stages.context import World
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.job_identity import OnRunner, require_its_plan

PRESENT = "present-at-the-authority"
"""Stands for a secret whose name the authority has: HyOps' preflight asks only whether the name is set (HyOps `blueprint/planner.py`)."""
STAND_IN = "+stand.in"


def look(
    plan: Plan, run: RunDir, world: World, stage: OnRunner, caller: Caller | None, *, known_names: Mapping[str, bool] | None = None
) -> CheckFacts:
    """Everything the check gates look at. Raises Refusal or Fault where a fact cannot be had at all.

    `known_names` stands for the authority's answer where somebody has asked already, or cannot ask from here.
    """
    if world.trust is not None:
        require_its_plan(caller, stage, plan, world)
        plan_fits(plan, world.trust)
        narrow(read_config(run.read("sources/config"))[0], world.trust)  # on GitHub nobody has compared the two yet
    runtime = Runtime.of(plan, world.home)
    root = require_env(runtime)
    overlay = run.read("sources/overlay")
    document = read_yaml(overlay, plan.overlay)
    blueprint = effective(document, digest_bytes(overlay), runtime)
    environment = child_environment(runtime, base=world.environ, env_pass=plan.env_pass)
    version = hyops_version(runtime.hyops, environment)
    names = dict(known_names) if known_names is not None else names_found(plan, blueprint.required_env(), run, world, stage)
    preflight = ask_preflight(plan, document, runtime, run, world, stage, {name: PRESENT for name, there in names.items() if there})
    states = read_states(root, [*(ref for step in blueprint.steps for ref in (*step.state_refs, step.publishes))], world.clock.now())
    return CheckFacts(
        now=world.clock.now(),
        runner=identity_of(plan, world),
        runner_verified=world.trust is not None and (caller is not None or not world.job.on_github),
        hyops_version=version,
        hyops_is_stand_in=version.endswith(STAND_IN),
        overlay_sha256=digest_bytes(overlay),
        blueprint=blueprint,
        states=states,
        secret_names=names,
        preflight=preflight,
        forecast=forecast(blueprint, states, preflight, opened=True),
        identities=backup_identities(blueprint),
        disk_free_bytes=shutil.disk_usage(root).free,
        clock_offset_seconds=world.clock_ahead(),
    )


def names_found(plan: Plan, required: Sequence[str], run: RunDir, world: World, stage: OnRunner) -> dict[str, bool]:
    """Which secrets the authority has, by name. Only the check asks: its role is bound to its own job (docs/vault-role.md).

    For `execute` the check's answer stands until the values are read, which refuses a missing one by name before HyOps starts.
    """
    if stage == "check":
        return check_names(plan.secrets, authority_of(plan, run, world, Purpose.CHECK), required)
    found = run.read_model("check.json", Check).secret_names
    return {name: name in found for name in sorted(set(required))}


def effective(document: Any, overlay_sha256: str, runtime: Runtime) -> EffectiveBlueprint:
    """The overlay merged over the runner's own module specs."""
    bare = read_blueprint(document, overlay_sha256)
    specs = {}
    for module_ref in {step.module_ref for step in bare.steps}:
        path = runtime.core_root / "modules" / module_ref / "spec.yml"
        if path.is_file():
            content = path.read_bytes()
            specs[module_ref] = (read_yaml(content, str(path)), digest_bytes(content))
    return read_blueprint(document, overlay_sha256, specs)


def ask_preflight(
    plan: Plan, document: Any, runtime: Runtime, run: RunDir, world: World, stage: str, names: dict[str, str]
) -> PreflightFact:
    """HyOps' own answer over the overlay as it would be deployed. The runtime copy is gone when this returns."""
    content = to_yaml(opened(document, plan.guards))
    command = command_of(plan, "preflight")
    environment = child_environment(runtime, base=world.environ, secrets=names, env_pass=plan.env_pass)
    with lent_overlay(runtime.root, f"{world.job.run_id}-{stage}", content) as overlay:
        asked = Supervisor.start(
            command_line(command, runtime, overlay),
            environment,
            run.private / f"{stage}-preflight",
            timeout=seconds(command.timeout),
            remove_after=[overlay],
        )
        ended = asked.wait()
    return read_preflight(asked.stdout(), ended.rc if ended is not None and ended.rc is not None else -1)


def command_of(plan: Plan, name: str) -> Command:
    """One of the planned commands."""
    return next(command for command in plan.commands if command.name == name)


def authority_of(plan: Plan, run: RunDir, world: World, purpose: Purpose) -> SecretAuthority:
    """The authority of the plan, to be entered with this job's identity; with GitHub down, with the token that a person put on the host."""
    token_for = world.token_for
    if token_for is None and world.job.on_github and plan.secrets.kind == "vault":
        token_for = job_identity(world.environ)
    vault = read_config(run.read("sources/config"))[0].vault
    glass = vault.break_glass if vault is not None and not world.job.on_github and token_for is None else None
    return open_authority(plan.secrets, plan.env_class, purpose, token_for=token_for, token_file=glass.path if glass else "")


def identity_of(plan: Plan, world: World) -> RunnerIdentity:
    """This host, as it knows itself and as GitHub calls it: its runner_ref from its own trust file, its labels unknown.

    A host whose trust lists the plan's runner is it; one that lists others only is one of those, and the gate says so.
    """
    refs = world.trust.runner_refs if world.trust is not None else ()
    boot_id = Path("/proc/sys/kernel/random/boot_id")
    return RunnerIdentity(
        name=world.job.runner_name,
        hostname=socket.gethostname(),
        labels=(),
        runner_ref=plan.runner_ref if plan.runner_ref in refs else next(iter(refs), ""),
        os=platform.system(),
        arch=platform.machine(),
        user=getuser(),
        boot_id=boot_id.read_text(encoding="ascii").strip() if boot_id.exists() else "",
        hosted=world.job.runner_environment == "github-hosted",
        trusted=world.trust is not None,
    )


def require_plan(run: RunDir) -> Plan:
    """The plan that was handed over, with the decision and the sources that it was made of. Raises Refusal (exit 4)."""
    plan = run.read_model("plan.json", Plan)
    for source in plan.sources:
        found = digest_bytes(run.read(f"sources/{source.role}"))
        if found != source.sha256:
            raise Refusal(
                "handover.source",
                f"the {source.role} that arrived is not the one that was planned",
                exit_code=Exit.POLICY,
                found=found,
                expected=source.sha256,
                fix="start a new run",
            )
    return plan
