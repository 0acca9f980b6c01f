"""Observed facts, in the form in which stages pass them to other packages. No fact is part of a digest."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, Literal

from hyops_ci.contracts.approval import Person
from hyops_ci.contracts.base import Count, Model
from hyops_ci.contracts.check import RunnerIdentity, StateFact, StepForecast
from hyops_ci.contracts.ledger import Tip
from hyops_ci.contracts.limits import MIN_FREE_BESIDE, MIN_FREE_BYTES
from hyops_ci.contracts.readiness import ReadinessFact

GUARDS: Final = ("restore_confirm", "confirm", "promote_confirm", "destroy_confirm")
"""Inputs that stand for a person's confirmation (HyOps module specs): closed when false."""
ASSERTIONS: Final = "assertions"
"""Statements of a manual gate (HyOps `core/shared/manual-gate`); each is a guard, named `assertions.<name>`."""
RESTORE_PIN: Final = "restore_set"
"""Input that takes the label of the backup to restore."""
SELECTORS: Final = ("backup_state_ref", RESTORE_PIN, "restore_target_time")
"""Inputs by which a restore is told what to restore; HyOps runs none without one (`validators/platform/onprem/postgresql_ha.py`)."""


ALIASES: Final = {
    "platform/onprem/postgresql-ha": "platform/postgresql-ha",
    "platform/onprem/postgresql-ha-backup": "platform/postgresql-ha-backup",
}
"""First names of modules, by their second (HyOps `runtime/module_state.py`)."""


def canonical_ref(ref: str) -> str:
    """Return a state reference, `<module>` or `<module>#<instance>`, under its module's first name."""
    module, mark, instance = ref.partition("#")
    return f"{ALIASES.get(module, module)}{mark}{instance.lower()}"


class BranchRules(Model):
    """What rulesets demand of a branch. Who may bypass them is not shown to a job's token."""

    pull_request: bool = False
    approvals: Count = 0
    """Reviews that a pull request needs before it may be merged."""
    code_owners: bool = False
    """Whether one of these must come from the owner of what is changed."""
    dismiss_stale: bool = False
    last_push: bool = False
    """Whether another person than the last to push must approve."""
    no_deletion: bool = False
    no_force_push: bool = False


class RefFact(Model):
    """The commit that config and overlay were read at, and what guards its branch (gate `config.ref`)."""

    commit: str = ""
    """40 hex digits, or empty outside Git."""
    ref: str = ""
    default_branch: bool = False
    protected: bool = False
    local: bool = False
    """True for a shell run or a rehearsal, where the host trust takes GitHub's place."""
    classic: bool = False
    """Guarded by a branch protection rule, whose terms only administrators may read."""
    rules: BranchRules | None = None
    """None where GitHub was not asked, or did not answer."""
    unowned: tuple[str, ...] | None = None
    """Paths that decide a run and that no code owner has; None where that is not known."""
    private: bool | None = None
    """Of the repository; None where GitHub was not asked."""
    note: str = ""


class EnvironmentFact(Model):
    """What GitHub says of one environment. `readable` false means: asked, and no answer that can be trusted."""

    name: str
    readable: bool = True
    exists: bool = False
    reviewers: tuple[Person, ...] = ()
    teams: tuple[str, ...] = ()
    """Slugs. Who is in a team is not shown to a job's token."""
    prevent_self_review: bool = False
    branches: tuple[str, ...] | None = None
    """Which may pass: exact names or patterns, `tag:` before those of tags; None for any. See `protected_branches`."""
    protected_branches: bool = False
    """Protected branches only. Then `branches` is empty."""
    wait_minutes: Count = 0
    admins_bypass: bool | None = None
    """None where GitHub does not say."""
    private: bool = False
    """Of the repository: for these, only GitHub Enterprise has reviewers."""
    note: str = ""


class EffectiveStep(Model):
    """One blueprint step with its inputs merged: spec defaults < inputs_file < step inputs."""

    id: str
    module_ref: str
    state_instance: str = ""
    action: str = "deploy"
    phase: str = ""
    optional: bool = False
    skip_if_state_ok: bool = False
    verify_state_on_skip: bool = False
    with_deps: bool = False
    retain_on_destroy: bool = False
    requires: tuple[str, ...] = ()
    inputs: dict[str, Any] = {}
    origins: dict[str, Literal["spec", "inputs_file", "overlay", "guard"]] = {}
    """JSON pointer inside `inputs` -> where its value comes from."""
    required_env: tuple[str, ...] = ()
    state_refs: tuple[str, ...] = ()
    publishes: str = ""
    """State reference this step writes: `<module_ref>` or `<module_ref>#<instance>`."""
    spec_sha256: str = ""
    """Digest of the module spec used; empty where none was at hand (plan time)."""


def upstream_states(steps: Iterable[EffectiveStep]) -> tuple[tuple[str, str], ...]:
    """(step, reference) of every state that must be there before the run: those that no earlier step publishes."""
    needed: list[tuple[str, str]] = []
    published: set[str] = set()
    for step in steps:
        needed += [(step.id, ref) for ref in step.state_refs if canonical_ref(ref) not in published]
        published.add(canonical_ref(step.publishes))
    return tuple(needed)


class EffectiveBlueprint(Model):
    """An overlay read, alone (plan) or with the runner's module specs (check)."""

    ref: str
    mode: str
    steps: tuple[EffectiveStep, ...]
    overlay_sha256: str
    unknown_keys: tuple[str, ...] = ()
    """JSON pointers of keys that HyOps would silently ignore."""
    specs_missing: tuple[str, ...] = ()
    """Module refs whose spec was asked for and is not there."""

    def required_env(self) -> tuple[str, ...]:
        """Union over the steps, sorted."""
        return tuple(sorted({key for step in self.steps for key in step.required_env}))


class PlanFacts(Model):
    """What the plan gates may look at besides decision, config and overlay."""

    now: datetime
    ref: RefFact
    gate: EnvironmentFact | None = None
    """The approval gate; None where there is no GitHub (then only signed approvals count)."""
    check_gate: EnvironmentFact | None = None
    """The environment of the check, whose job has an identity at the authority, too."""
    bootstrap_reason: str = ""
    """Why the runner may be made where it is missing, as typed; empty for almost every run."""
    bootstrap_gate: EnvironmentFact | None = None
    """The environment of the job that would make it; looked at only with a reason."""
    requesters: tuple[Person, ...] = ()
    """Everybody who asked, as GitHub says it; the decision's issuer is not repeated here."""
    tip: Tip | None = None
    readiness: ReadinessFact | None = None
    """What the last checks of the move that comes next said; None where nobody was asked."""


class PreflightStep(Model):
    """HyOps' own preflight answer for one step."""

    id: str
    status: Literal["ready", "skipped", "blocked", "deferred"]
    reason: str = ""
    rerun: str = ""
    """Why a step runs again though its state is ok."""
    resolved: bool = False
    """Whether HyOps resolved the step's inputs, and so found every state that the step reads."""


class PreflightFact(Model):
    """`hyops blueprint preflight --json`, read."""

    rc: int
    status: str
    steps: tuple[PreflightStep, ...] = ()
    required_failures: tuple[str, ...] = ()
    error: str = ""


def demanded_states(steps: Iterable[EffectiveStep], preflight: PreflightFact, states: Iterable[StateFact]) -> tuple[tuple[str, str], ...]:
    """(step, reference) of every upstream state that HyOps demands: those that a step names, and HyOps did not do without.

    A module has references that it does not read for every kind of work (`org/gcp/cloudsql-external-replica` reads no managed target
    while it establishes one); HyOps' own preflight resolves every step, and one that it resolved, or skips, lacks none.
    """
    ok = {canonical_ref(state.ref) for state in states if state.status == "ok"}
    content = {step.id for step in preflight.steps if step.resolved or step.status == "skipped"}
    return tuple((step, ref) for step, ref in upstream_states(steps) if step not in content or canonical_ref(ref) in ok)


class BackupIdentity(Model):
    """What makes two clusters write to one backup: they must never all be equal between drill and production."""

    step: str
    repository: str
    path: str
    stanza: str
    dns_name: str = ""
    state_instance: str = ""


class DiskSpace(Model):
    """Room on one file system that a run writes to."""

    place: str
    free_bytes: Count
    holds_env: bool = False
    """Whether HyOps works there."""

    @property
    def wanted(self) -> int:
        """Bytes that must be free there."""
        return MIN_FREE_BYTES if self.holds_env else MIN_FREE_BESIDE


class Trouble(Model):
    """What this host would be refused for once the run is approved, looked at before: the words of that refusal."""

    gate: str
    reason: str
    found: str
    expected: str
    fix: str


class CheckFacts(Model):
    """What the check gates may look at besides the plan."""

    now: datetime
    runner: RunnerIdentity
    runner_verified: bool
    """Whether the caller's identity was compared with the host trust."""
    host_keys: tuple[str, ...] = ()
    """Names of the hosts whose signatures in the ledger are believed. None: nobody signs it."""
    unsigned_ledger: str = ""
    """Why this host signs no transition of the ledger that others believe; empty where it does."""
    unsigned_end: str = ""
    """Which end of the last run in the ledger no host signed, though hosts sign this ledger; empty where there is none such."""
    missed: tuple[str, ...] = ()
    """For a real run: what the config owes for the service and was not done in time, in words."""
    job_hook: bool = False
    """Whether this job began behind a job-started hook that only root can change; in a shell there is no job."""
    hyops_version: str
    hyops_is_stand_in: bool = False
    overlay_sha256: str
    """Of the overlay bytes that HyOps will read, before guards are opened."""
    blueprint: EffectiveBlueprint
    states: tuple[StateFact, ...] = ()
    secret_names: dict[str, bool] = {}
    preflight: PreflightFact
    logins: dict[str, str] = {}
    """By step, the secret with which HyOps' preflight logs in: left out before the approval, done after it."""
    forecast: tuple[StepForecast, ...] = ()
    """What would happen to each step; a step without a forecast is taken for one that would not run."""
    identities: tuple[BackupIdentity, ...] = ()
    """Of the plan's own blueprint."""
    siblings: tuple[BackupIdentity, ...] = ()
    """For a drill: of every overlay of the same service in an env of class production."""
    sibling_specs_missing: tuple[str, ...] = ()
    """Module refs of those overlays whose spec is not on the runner: what their defaults name is not known."""
    disks: tuple[DiskSpace, ...] = ()
    """Room where this run writes: env, run folder, temporary files, each file system once. None: not measured."""
    troubles: tuple[Trouble, ...] = ()
    """Before the approval only: what stands against a start here."""
    clock_offset_seconds: float | None = None
