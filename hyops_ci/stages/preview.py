"""What check, execute and doctor read on the runner before anything changes, in one way, so that check and execute can be compared.

Nothing changes here: HyOps' own preflight reads, and the authority is asked for names only. The check asks the preflight with words in
place of secrets, execute with the real ones.
"""

from __future__ import annotations

import platform
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hyops_ci import files
from hyops_ci.blueprints.backup_identity import backup_identities
from hyops_ci.blueprints.forecast import forecast
from hyops_ci.blueprints.guards import open_guards, to_yaml
from hyops_ci.blueprints.reading import read_blueprint
from hyops_ci.contracts.authorities import AUTHORITIES
from hyops_ci.contracts.base import seconds
from hyops_ci.contracts.check import RunnerIdentity
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.facts import CheckFacts, EffectiveBlueprint, PreflightFact
from hyops_ci.contracts.plan import Command, Plan
from hyops_ci.evidence.conclusions import STAND_IN_VERSION
from hyops_ci.execution.command import Runtime, child_environment, command_line, hyops_version, require_env
from hyops_ci.execution.overlay import runtime_overlay
from hyops_ci.execution.question import Answer, ask
from hyops_ci.execution.records import MAX_FILE, read_preflight, read_states
from hyops_ci.files import UnsafeFile, only_root_writes
from hyops_ci.identity.oidc_request import job_identity
from hyops_ci.parsing.strict_yaml import read_yaml
from hyops_ci.portable import user_name
from hyops_ci.secrets.connect import open_authority
from hyops_ci.secrets.port import Access, Purpose, SecretAuthority
from hyops_ci.secrets.sync import check_names
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.host_needs import disks_of, troubles_of
from hyops_ci.stages.planned_run import PlannedRun

PRESENT = "present-at-the-authority"
"""Stands for a secret whose name the authority has: HyOps' preflight asks only whether the name is set (HyOps `blueprint/planner.py`)."""
JOB_HOOK: Final = "ACTIONS_RUNNER_HOOK_JOB_STARTED"
"""Names the script that GitHub's agent starts before a job (docs/host-trust.md)."""


@dataclass(frozen=True)
class HyOpsView:
    """What this runner's HyOps makes of the planned overlay, as far as its files and its version say."""

    runtime: Runtime
    document: Any
    overlay_sha256: str
    blueprint: EffectiveBlueprint
    asked: Future[str] = field(repr=False)

    @property
    def version(self) -> str:
        """What HyOps says its version is. Raises Refusal (exit 7) for a program that is not there, Fault (exit 9) where it says none."""
        return self.asked.result()

    @property
    def opened(self) -> bytes:
        """The overlay as it is deployed: exactly the planned guards open."""
        return to_yaml(self.document)


def look(run: PlannedRun, *, known_names: Mapping[str, bool] | None = None) -> CheckFacts:
    """Return the facts for the check gates before an approval: no secret value is read.

    Raises Refusal or Fault where a fact cannot be had at all.

    `known_names` stands for the authority's answer where it was asked already, or cannot be asked from here.
    """
    with ThreadPoolExecutor(1) as beside:
        view = view_hyops(run, beside)
        required = view.blueprint.required_env()
        names = known_names if known_names is not None else check_names(run.plan.secrets, authority_of(run, Purpose.CHECK), required)
        view.asked.result()
    there = {name: PRESENT for name, found in names.items() if found}
    environment = child_environment(view.runtime, base=run.context.environ, secrets=there, env_pass=run.plan.env_pass)
    with runtime_overlay(view.runtime.root, f"{run.context.job.run_id}-check", view.opened) as overlay:
        preflight = ask_preflight(run, overlay, environment)
    return facts_of(run, view, names, preflight).model_copy(update={"troubles": troubles_of(run, view.runtime)})


def view_hyops(run: PlannedRun, beside: Executor) -> HyOpsView:
    """Return what HyOps' files say, and its version once it has answered `beside`. Raises Refusal for an env that is not there."""
    plan, runtime = run.plan, Runtime.of(run.plan, run.context.home)
    require_env(runtime)
    asked = beside.submit(hyops_version, runtime.hyops, child_environment(runtime, base=run.context.environ, env_pass=plan.env_pass))
    overlay = run.folder.read("sources/overlay")
    document, sha256 = read_yaml(overlay, plan.overlay), digest_bytes(overlay)
    return HyOpsView(runtime, open_guards(document, plan.guards), sha256, effective(document, sha256, runtime.core_root), asked)


def facts_of(run: PlannedRun, view: HyOpsView, names: Mapping[str, bool], preflight: PreflightFact) -> CheckFacts:
    """Return the facts for the check gates, from what HyOps said and what else the runner shows now."""
    plan, context, blueprint, root = run.plan, run.context, view.blueprint, view.runtime.root
    siblings = [
        effective(read_yaml(run.folder.read(source.file), source.path), source.sha256, view.runtime.core_root)
        for source in plan.sources
        if source.role == "sibling"
    ]
    states = read_states(root, [*(ref for step in blueprint.steps for ref in (*step.state_refs, step.publishes))], context.clock.now())
    return CheckFacts(
        now=context.clock.now(),
        runner=identity_of(plan, context),
        runner_verified=run.caller_verified,
        host_keys=tuple(run.host_key.trusted),
        unsigned_ledger=run.host_key.trouble,
        job_hook=behind_job_hook(context),
        hyops_version=view.version,
        hyops_is_stand_in=view.version.endswith(STAND_IN_VERSION),
        overlay_sha256=view.overlay_sha256,
        blueprint=blueprint,
        states=states,
        secret_names=dict(names),
        preflight=preflight,
        forecast=forecast(blueprint, states, preflight, opened=True),
        identities=backup_identities(blueprint),
        siblings=tuple(identity for each in siblings for identity in backup_identities(each)),
        sibling_specs_missing=tuple(sorted({ref for each in siblings for ref in each.specs_missing})),
        disks=disks_of(run, root),
        clock_offset_seconds=context.clock_ahead(),
    )


def behind_job_hook(context: RunContext) -> bool:
    """Return whether the agent starts its jobs behind a hook that only root can change: it hands its own environment on to them.

    In a shell there is no job that could have begun.
    """
    hook = context.environ.get(JOB_HOOK, "")
    return not context.job.on_github or (hook.startswith("/") and Path(hook).is_file() and only_root_writes(Path(hook)))


def effective(document: Any, overlay_sha256: str, core_root: Path) -> EffectiveBlueprint:
    """Return the overlay merged over the module specs of the HyOps in `core_root`."""
    bare = read_blueprint(document, overlay_sha256)
    specs = {}
    for module_ref in {step.module_ref for step in bare.steps}:
        path = core_root / "modules" / module_ref / "spec.yml"
        # What is no file that can be read counts as missing: a gate says so.
        with suppress(OSError, UnsafeFile):
            content = files.read(path, MAX_FILE, follow=True)
            specs[module_ref] = (read_yaml(content, str(path)), digest_bytes(content))
    return read_blueprint(document, overlay_sha256, specs)


def ask_preflight(run: PlannedRun, overlay: Path, environment: Mapping[str, str], redact: Callable[[str], str] = str) -> PreflightFact:
    """Return HyOps' own answer over the runtime copy of the overlay, read after `redact`. One that cannot be had is one that blocks."""
    command = command_of(run.plan, "preflight")
    argv = command_line(command, Runtime.of(run.plan, run.context.home), overlay)
    try:
        answer = ask(argv, environment, timeout=seconds(command.timeout))
    except OSError as error:
        answer = Answer(None, error=f"{argv[0]}: {error.strerror}")
    if answer.rc is None:
        return PreflightFact(rc=-1, status="failed", error=answer.error)
    return read_preflight(redact(answer.stdout), answer.rc)


def command_of(plan: Plan, name: str) -> Command:
    """Return one of the planned commands."""
    return next(command for command in plan.commands if command.name == name)


def authority_of(run: PlannedRun, purpose: Purpose, learn: Callable[[str], None] | None = None) -> SecretAuthority:
    """Return the plan's authority, not yet logged in: as this job, or with GitHub down by the token that a person put on the host.

    `learn` is called with each token of the login, for the redactor.
    """
    plan, context, vault = run.plan, run.context, run.config.vault
    token_for = context.token_for
    if token_for is None and context.job.on_github and AUTHORITIES[plan.secrets.kind].remote:
        token_for = job_identity(context.environ, learn=learn)
    glass = vault.break_glass if vault is not None and not context.job.on_github and token_for is None else None
    return open_authority(plan.secrets, Access(plan.env_class, purpose, token_for, glass.path if glass else "", learn=learn))


def identity_of(plan: Plan, context: RunContext) -> RunnerIdentity:
    """Return this host as it knows itself and as GitHub calls it: its runner_ref from its own trust file. No job is told a runner's labels.

    A host whose trust lists the plan's runner is it; one that lists others only is one of those, and the gate says so.
    """
    refs = context.trust.runner_refs if context.trust is not None else ()
    boot_id = Path("/proc/sys/kernel/random/boot_id")
    return RunnerIdentity(
        name=context.job.runner_name,
        hostname=socket.gethostname(),
        runner_ref=plan.runner_ref if plan.runner_ref in refs else next(iter(refs), ""),
        os=platform.system(),
        arch=platform.machine(),
        user=user_name(),
        boot_id=boot_id.read_text(encoding="ascii").strip() if boot_id.exists() else "",
        hosted=context.job.runner_environment == "github-hosted",
        trusted=context.trust is not None,
    )
