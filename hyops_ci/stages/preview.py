"""What check, execute and doctor read on the runner before anything changes, in one way, so that check and execute can be compared.

Nothing changes here: HyOps' own preflight reads, and the authority is asked for names only. The check asks the preflight with words in
place of secrets and without what HyOps would log in for, execute with the real ones, after the claim and before the first effect.
"""

from __future__ import annotations

import platform
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from hyops_ci.blueprints.backup_identity import backup_identities
from hyops_ci.blueprints.cleaned import as_cleaned
from hyops_ci.blueprints.forecast import forecast
from hyops_ci.blueprints.guards import open_guards, to_yaml
from hyops_ci.blueprints.logins import as_without_switch, logins, without_logins
from hyops_ci.contracts.authorities import AUTHORITIES
from hyops_ci.contracts.check import RunnerIdentity
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.facts import CheckFacts, EffectiveBlueprint, PreflightFact
from hyops_ci.contracts.plan import Command, Plan
from hyops_ci.dataclass import dataclass, field
from hyops_ci.evidence.conclusions import STAND_IN_VERSION
from hyops_ci.execution.command import Runtime
from hyops_ci.files import only_root_writes
from hyops_ci.hyops_access.own import OwnAccess
from hyops_ci.hyops_access.port import JOURNALS, HyOpsAccess, Place, lent_overlay
from hyops_ci.identity.oidc_request import job_identity
from hyops_ci.ledger.host_word import unsigned_end
from hyops_ci.parsing.strict_yaml import read_yaml
from hyops_ci.planning.case import CheckCase
from hyops_ci.report.track_record import obligation_line
from hyops_ci.secrets.connect import open_authority
from hyops_ci.secrets.port import Access, Purpose, SecretAuthority
from hyops_ci.secrets.sync import check_names
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.host_needs import disks_of
from hyops_ci.stages.module_specs import effective
from hyops_ci.stages.planned_run import PlannedRun
from hyops_ci.stages.track_record import track_record_in

PRESENT = "present-at-the-authority"
"""Stands for a secret whose name the authority has: HyOps' preflight asks whether the name is set (HyOps `blueprint/planner.py`).

Where it would log in with the value, it is told not to (`hyops_ci/blueprints/logins.py`)."""
JOB_HOOK: Final = "ACTIONS_RUNNER_HOOK_JOB_STARTED"
"""Names the script that GitHub's agent starts before a job (docs/host-trust.md)."""


@dataclass(frozen=True)
class HyOpsView:
    """What this runner's HyOps makes of the planned overlay, as far as its files and its version say."""

    access: HyOpsAccess
    document: Any
    overlay_sha256: str
    blueprint: EffectiveBlueprint
    asked: Future[str] = field(repr=False)

    @property
    def version(self) -> str:
        """What HyOps says its version is. Raises Refusal (exit 7) for a program that is not there, Fault (exit 9) where it says none."""
        return self.asked.result()

    @property
    def runtime(self) -> Runtime:
        """Where HyOps is, and its env."""
        return self.access.place.runtime

    @property
    def opened(self) -> bytes:
        """The overlay as it is deployed: exactly the planned guards open."""
        return to_yaml(self.document)


@contextmanager
def hyops_access(run: PlannedRun) -> Iterator[HyOpsAccess]:
    """Yield the way to HyOps and its files on this runner, for the length of a stage: by sudo where the config gives HyOps a user.

    Raises Refusal (exit 7) `hyops.user` where this host does not give it one, or where that user is no wall.
    """
    plan, context, host = run.plan, run.context, run.config.host
    if host.user:
        from hyops_ci.hyops_access.sudo import SudoAccess

        with closing(SudoAccess(host, plan.env, context.job.run_id, context.environ)) as behind:
            behind.require_wall()
            for name in JOURNALS:
                with suppress(FileExistsError):  # where whoever finds this run's folder looks for the journals of its commands
                    (run.folder.private / name).symlink_to(behind.place.journal(name))
            yield behind
    else:
        with closing(OwnAccess(Place(Runtime.of(plan, context.home), run.folder.private, context.environ, plan.env_pass))) as access:
            yield access


def look(run: PlannedRun, *, known_names: Mapping[str, bool] | None = None, learn: Callable[[str], None] | None = None) -> CheckFacts:
    """Return the facts for the check gates before an approval: no secret value is read.

    Raises Refusal or Fault where a fact cannot be had at all.

    `known_names` stands for the authority's answer where it was asked already, or cannot be asked from here. `learn` is called with each
    token of the login there.
    """
    with hyops_access(run) as access:
        with ThreadPoolExecutor(1) as beside:
            view = view_hyops(run, access, beside)
            needed = view.blueprint.required_env()
            required = (*needed, *run.plan.probe_secrets)
            names = (
                known_names if known_names is not None else check_names(run.plan.secrets, authority_of(run, Purpose.CHECK, learn), required)
            )
            view.asked.result()
        there = {name: PRESENT for name, found in names.items() if found and name in needed}
        overlay = f"{run.context.job.run_id}-check"
        withheld = logins_of(run, view)
        with lent_overlay(access, overlay, to_yaml(without_logins(view.document, withheld))):
            preflight = as_without_switch(access.preflight(overlay, command_of(run.plan, "preflight"), there), withheld)
        return facts_of(run, view, names, preflight).model_copy(update={"troubles": access.troubles()})


def view_hyops(run: PlannedRun, access: HyOpsAccess, beside: Executor) -> HyOpsView:
    """Return what HyOps' files say, and its version once it has answered `beside`. Raises Refusal for an env that is not there."""
    access.require_env(alone=run.plan.destroys)
    asked = beside.submit(access.version)
    overlay = run.folder.read("sources/overlay")
    document, sha256 = read_yaml(overlay, run.plan.overlay), digest_bytes(overlay)
    found = effective(document, sha256, access.place.runtime.core_root)
    return HyOpsView(access, open_guards(document, run.plan.guards), sha256, found, asked)


def with_ledger(case: CheckCase, run: PlannedRun) -> CheckCase:
    """Return the case with what the ledger says of the last run. Raises as `PlannedRun.head`."""
    return CheckCase(case.plan, case.facts.model_copy(update={"unsigned_end": unsigned_end(run.head, run.ledger.vouchers)}))


def facts_of(run: PlannedRun, view: HyOpsView, names: Mapping[str, bool], preflight: PreflightFact) -> CheckFacts:
    """Return the facts for the check gates, from what HyOps said and what else the runner shows now."""
    plan, context, blueprint, access = run.plan, run.context, view.blueprint, view.access
    siblings = [
        effective(read_yaml(run.folder.read(source.file), source.path), source.sha256, view.runtime.core_root)
        for source in plan.sources
        if source.role == "sibling"
    ]
    states = access.states(tuple(ref for step in blueprint.steps for ref in (*step.state_refs, step.publishes)), context.clock.now())
    if plan.destroys:
        states, preflight = as_cleaned(blueprint, states, preflight)
    return CheckFacts(
        now=context.clock.now(),
        runner=identity_of(plan, context, access),
        runner_verified=run.caller_verified,
        host_keys=tuple(run.host_key.trusted),
        unsigned_ledger=run.host_key.trouble,
        missed=missed_in(run),
        job_hook=behind_job_hook(context),
        hyops_version=view.version,
        hyops_is_stand_in=view.version.endswith(STAND_IN_VERSION),
        overlay_sha256=view.overlay_sha256,
        blueprint=blueprint,
        states=states,
        secret_names=dict(names),
        preflight=preflight,
        logins=logins_of(run, view),
        forecast=forecast(blueprint, states, preflight, opened=True),
        identities=backup_identities(blueprint),
        siblings=tuple(identity for each in siblings for identity in backup_identities(each)),
        sibling_specs_missing=tuple(sorted({ref for each in siblings for ref in each.specs_missing})),
        disks=disks_of(run, access),
        clock_offset_seconds=context.clock_ahead(),
    )


def missed_in(run: PlannedRun) -> tuple[str, ...]:
    """Return what was missed, as the plan knew it: the same words at the check and before the start. A drill is no deviation of itself."""
    known = track_record_in(run.folder) if not run.plan.exercise else None
    return tuple(obligation_line(each) for each in known.missed()) if known is not None else ()


def logins_of(run: PlannedRun, view: HyOpsView) -> dict[str, str]:
    """Return, by step, the secret of the plan with which HyOps' preflight would log in."""
    return logins(view.blueprint, {ref.key for ref in run.plan.secrets.refs})


def behind_job_hook(context: RunContext) -> bool:
    """Return whether the agent starts its jobs behind a hook that only root can change: it hands its own environment on to them.

    In a shell there is no job that could have begun.
    """
    hook = context.environ.get(JOB_HOOK, "")
    return not context.job.on_github or (hook.startswith("/") and Path(hook).is_file() and only_root_writes(Path(hook)))


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


def identity_of(plan: Plan, context: RunContext, access: HyOpsAccess) -> RunnerIdentity:
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
        user=access.user(),
        boot_id=boot_id.read_text(encoding="ascii").strip() if boot_id.exists() else "",
        hosted=context.job.runner_environment == "github-hosted",
        trusted=context.trust is not None,
    )
