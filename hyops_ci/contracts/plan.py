"""The decision resolved against config and overlay (docs/design/contracts.md 4): everything that will be done, and nothing observed."""

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field
from typing_extensions import override

from hyops_ci.contracts.authorities import AuthorityName
from hyops_ci.contracts.base import (
    WHOLE,
    BlueprintRef,
    Clean,
    Digest,
    Document,
    Duration,
    EnvKey,
    HostPath,
    Label,
    Model,
    Name,
    Namespace,
    Origin,
    RepoPath,
    RunId,
    ServiceId,
    Sha,
    Short,
)
from hyops_ci.contracts.config import ApproverLogin, EnvClass, Objective, Probe
from hyops_ci.contracts.decision import DecisionType, DrMode, ExecutionPlane, RestorePoint
from hyops_ci.contracts.digest import digest
from hyops_ci.contracts.lanes import TargetCloud
from hyops_ci.contracts.public_key import PublicKey
from hyops_ci.contracts.runner_machine import BootstrapReason

MAX_PLAN_BYTES = 48 * 1024


class StepClass(StrEnum):
    """What a step does to the world; the first `commit` is the point of no return."""

    READ = "read"
    MUTATE = "mutate"
    COMMIT = "commit"


class Source(Model):
    """Bytes the plan was made of; they travel with it."""

    role: Literal["config", "secret_map", "overlay", "sibling"]
    """`sibling`: for a drill, an overlay of the same service in an env of class production."""
    path: RepoPath
    sha256: Digest

    @property
    def file(self) -> str:
        """Where the bytes lie in the folder of the run."""
        return f"sources/siblings/{self.sha256.partition(':')[2]}" if self.role == "sibling" else f"sources/{self.role}"


class Guard(Model):
    """One input of one step that the run sets, for this run only."""

    step: Short
    input: Short
    value: bool | Clean
    """What the input becomes: true for a guard, the label for a pinned restore point."""


class PlannedStep(Model):
    """One blueprint step as planned."""

    id: Short
    module_ref: Short
    state_instance: Clean = ""
    step_class: StepClass
    restores: bool = False
    """Puts data back; a skip of it is refused."""
    required_env: tuple[EnvKey, ...] = ()
    state_refs: tuple[Clean, ...] = ()


class SecretRef(Model):
    """One secret by name: where the authority keeps it. Never a value."""

    key: EnvKey
    path: Short
    """`<mount>/<path>` without the API's own segments."""
    field: Short


class SecretPlan(Model):
    """Which authority is asked, as which roles, for which names."""

    kind: AuthorityName
    addresses: tuple[tuple[Origin, Name | Literal[""]], ...]
    """Origin and site, in the order tried; the site is empty where the config does not say it, which no gate lets pass. A file has none."""
    path: Clean = ""
    mount: Short = "secret"
    auth_path: Short = "auth/jwt"
    namespace: Namespace | Literal[""] = ""
    proxy: Origin | Literal[""] = ""
    """The proxy in front of every address; none where empty."""
    role: Clean = ""
    check_role: Clean = ""
    max_token_ttl: Duration = "PT15M"
    refs: tuple[SecretRef, ...] = ()


class ApprovalDemand(Model):
    """The approvals that a run needs: how many, by whom, on which channel."""

    required: bool = True
    gate: Short
    check_gate: Short
    channels: tuple[Literal["environment", "signed"], ...]
    quorum: Annotated[int, Field(ge=1, le=10), WHOLE]
    reviewers: Annotated[int, Field(ge=1, le=6), WHOLE]
    approvers: dict[ApproverLogin, PublicKey] = {}
    lifetime: Duration


class Command(Model):
    """One exact HyOps command. Words in braces are places filled on the runner: `{hyops}`, `{overlay}`."""

    name: Literal["preflight", "deploy", "destroy"]
    argv: tuple[Short, ...]
    timeout: Duration


DESTROY: Final = "destroy"
"""Name of the command with which a drill removes what it made."""


class Undoes(Model):
    """The claim that a failback takes back."""

    claim_id: Short
    epoch: Annotated[int, Field(ge=0, le=2**53 - 1), WHOLE]


class Settles(Model):
    """The claim that was cut off, and which site serves: what is recorded instead of a recovery."""

    serves: Name
    claim_id: Short
    epoch: Annotated[int, Field(ge=0, le=2**53 - 1), WHOLE]
    run_id: RunId


class Bootstrap(Model):
    """What the run may do where its runner is missing, once somebody approved it at `gate`."""

    reason: BootstrapReason
    gate: Short
    """The GitHub environment that holds the job which does it."""
    provider: Literal["gcp", "proxmox"]
    machine: Name
    """What the machine is called, and its agent on GitHub."""
    settings: Digest
    """Of `lanes.<lane>.machine` of the config."""
    runs_on: Annotated[tuple[Label, ...], Field(min_length=1)]
    """Labels of the job: a machine of GitHub's, or the configured management runner."""


class GatePass(Model):
    """One plan gate that let this pass."""

    id: Short
    note: Clean = ""


class Plan(Document):
    """The plan. `plan_digest` covers decision, config and sources, so the same inputs give the same bytes tomorrow."""

    kind: Literal["Plan"] = "Plan"
    decision_id: Short
    decision_digest: Digest
    decision_type: DecisionType
    service: ServiceId
    env: Name
    env_class: EnvClass
    exercise: Literal["", "check", "isolated"] = ""
    config_digest: Digest
    config_commit: Sha | Literal[""]
    lane: Name
    source_site: Name
    """Where the service lives before the run: the site that may be gone."""
    target_site: Name
    target_cloud: TargetCloud
    runner_ref: Name
    runs_on: Annotated[tuple[Label, ...], Field(min_length=1)]
    runner_names: tuple[Short, ...] = ()
    dr_mode: DrMode
    execution_plane: ExecutionPlane
    restore_point: RestorePoint
    old_primary: Short
    blueprint: BlueprintRef
    overlay: RepoPath
    sources: tuple[Source, ...]
    guards: tuple[Guard, ...]
    commands: tuple[Command, ...]
    steps: Annotated[tuple[PlannedStep, ...], Field(min_length=1)]
    point_of_no_return: Clean
    """Id of the first commit step, or empty when no step commits."""
    core_root: HostPath
    hyops: HostPath
    hyops_versions: Short
    envs_base: HostPath | Literal[""] = ""
    vault_password_file: HostPath | Literal[""] = ""
    env_pass: tuple[EnvKey, ...] = ()
    host_env: dict[EnvKey, Clean] = {}
    """Settings of HyOps itself that its environment holds."""
    secrets: SecretPlan
    approval: ApprovalDemand
    verification: tuple[Probe, ...] = ()
    objective: Objective = Objective.model_construct()
    undoes: Undoes | None = None
    settles: Settles | None = None
    """Present where nothing is recovered: a person says how a run that was cut off has ended."""
    bootstrap: Bootstrap | None = None
    """Present where a reason was given and every gate let it pass."""
    gates: tuple[GatePass, ...] = ()
    warnings: tuple[Clean, ...] = ()

    @override
    def digest(self) -> str:
        """`plan_digest`.

        Outside stays the ledger's claim that a failback undoes, an observed fact; and whether a missing runner may be made, which has
        an approval of its own: the run that resumes this one needs no reason, and what was signed fits it.
        """
        return digest({key: value for key, value in self.document().items() if key not in ("undoes", "bootstrap")})

    @property
    def destroys(self) -> bool:
        """Whether the run removes what it made: a drill in an env of its own."""
        return any(command.name == DESTROY for command in self.commands)

    @property
    def probe_secrets(self) -> tuple[str, ...]:
        """Names of the secrets that probes log in with."""
        return tuple(sorted({probe.login.secret for probe in self.verification if probe.login is not None}))

    def step(self, step_id: str) -> PlannedStep:
        """Return the planned step with this id. Raises KeyError for a step that was not planned."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)
