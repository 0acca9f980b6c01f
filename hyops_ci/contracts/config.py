"""The caller's `.github/dr-dispatch.yml` (docs/design/contracts.md 2): a small file, every default visible.

The model is the file as written; `hyops_ci.config.settings` resolves it into effective values, each
with its origin. Defaults that do not depend on names live here.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from hyops_ci.contracts.alerts import AlertRule
from hyops_ci.contracts.base import (
    WHOLE,
    BlueprintRef,
    Clean,
    Document,
    Duration,
    EnvKey,
    HostPath,
    Label,
    Model,
    Name,
    RepoPath,
    ServiceId,
    Short,
    Span,
    Text,
    Utc,
)
from hyops_ci.contracts.decision import DrMode, ExecutionPlane
from hyops_ci.contracts.drills import Drills
from hyops_ci.contracts.gcp_projects import GcpProjects
from hyops_ci.contracts.lanes import LaneName
from hyops_ci.contracts.notify import Notify
from hyops_ci.contracts.public_key import PublicKey
from hyops_ci.contracts.recovery import RecoveryPlan
from hyops_ci.contracts.routes import Route
from hyops_ci.contracts.runner_machine import BootstrapReason, Machine, Registration
from hyops_ci.contracts.vault import Vault

Login = Annotated[str, Text(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,38}(\[bot\])?$")]
ApproverLogin = Annotated[str, Text(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,38}$")]
# A machine approves nothing: its login ends in [bot]. Managed accounts have an underscore before their company's code.


class EnvClass(StrEnum):
    """How careful an env must be. Production unless the config says otherwise."""

    PRODUCTION = "production"
    DRILL = "drill"
    LAB = "lab"


class Lane(Model):
    """Where recovery runs. Absent values follow from the lane's name (docs/design/anti-drift.md 2.7)."""

    enabled: bool | None = None
    """Whether services may recover here."""
    runner_ref: Name | None = None
    """What the standing runner is called: a label of it, and its name in tokens and texts."""
    labels: Annotated[tuple[Label, ...], Field(min_length=1, max_length=10)] | None = None
    """Labels that the runner must carry, all of them; `self-hosted` and `runner_ref` where they are left out."""
    names: Annotated[tuple[Short, ...], Field(max_length=50)] = ()
    """The runners that may take jobs of this lane, by name. None listed: any with the labels."""
    failure_domain: Name | None = None
    """What fails together: a failover never goes to the domain that the service lives in. The lane's name where it is left out."""
    drill_runner_ref: Name | None = None
    """A second runner service for drills, so that a drill never keeps a recovery waiting."""
    machine: Machine | None = None
    """How its runner is made where it is missing; without it, none is made."""


class ServiceAction(Model):
    """How one kind of decision is carried out for a service."""

    lane: LaneName
    """Where the recovery runs: its runner, and the site that serves afterwards."""
    blueprint: BlueprintRef
    """The HyOps blueprint that does the work, `<name>@<version>`."""
    overlay: RepoPath | None = None
    """The committed overlay of that blueprint; `.github/dr/<env>/<blueprint name>.yml` where it is left out."""
    dr_mode: DrMode | None = None
    """How data comes back; read from the overlay's steps where it is left out."""
    step_classes: dict[Short, Literal["mutate", "commit"]] = {}
    """Overrides of a step's class, upward only."""


class Service(Model):
    """What is recovered as one."""

    failover: ServiceAction | None = None
    """How the service moves away from its home."""
    failback: ServiceAction | None = None
    """How it comes home."""
    burst: ServiceAction | None = None
    """How it gets capacity elsewhere beside its home."""
    data_home: LaneName | None = None
    """The lane where the primary lives in normal operation; that of the failback where it is left out, else on-prem."""


class EnvPolicy(Model):
    """What an env demands before anything runs in it."""

    env_class: EnvClass = Field(EnvClass.PRODUCTION, alias="class")
    """How careful the env is; `production` demands all of it."""
    github_environment: Short | None = None
    """The GitHub environment that holds `execute` until somebody approves; `dr-<env>` where it is left out."""
    check_environment: Short = "dr-check"
    """The GitHub environment of the check. It needs no reviewers."""
    reviewers: Annotated[int, Field(ge=1, le=6), WHOLE] = 1
    """How many people the approval gate must be able to ask."""


UserName = Annotated[str, Text(r"^[a-z_][a-z0-9_-]{0,31}$")]


class Host(Model):
    """Where HyOps lives on the runner."""

    core_root: HostPath = "/opt/hybridops/core/app"
    """The checkout of HyOps: blueprints and modules are read there."""
    hyops: HostPath = "/opt/hybridops/core/venv/bin/hyops"
    """The program `hyops` itself."""
    envs_base: HostPath | None = None
    """The folder of HyOps' envs; `envs` below the HyOps home of the runner's user where it is left out."""
    vault_password_file: HostPath | None = None
    """The file with the password of the env's secrets bundle, mode 0600. Needed only where there is a bundle."""
    env_pass: tuple[EnvKey, ...] = ()
    """Names of the runner's own environment that HyOps gets, too. Names that steer a shell, a tool or HyOps are refused."""
    env: dict[EnvKey, Clean] = {}
    """Settings of HyOps itself, of the list in docs/hyops.md, such as `HYOPS_TERRAFORM_BACKEND_MODE: local`. Any other is refused."""
    user: UserName | None = None
    """The user that HyOps runs as, by one sudo rule of the host; absent: the one that the runner's agent runs as."""


class HyOps(Model):
    """Which HyOps releases this config accepts."""

    versions: Short = "==0.1.4"
    """Accepted releases, as a Python version specifier such as `==0.1.4`."""


class Approvals(Model):
    """Who may approve, on which channel, for how long."""

    channels: tuple[Literal["environment", "signed"], ...] = ("environment",)
    """How people may answer: by a review of the GitHub environment, by a signature, or either."""
    approvers: dict[ApproverLogin, PublicKey] = {}
    """Who may sign: login and public key, `ed25519:` and the base64 of its 32 bytes."""
    quorum: Annotated[int, Field(ge=1, le=10), WHOLE] = 1
    """How many people must agree."""
    lifetime: Duration = "PT60M"
    """How long an approval counts after the end of the check."""


class BreakGlass(Model):
    """A plane allowed for a while, with its reason."""

    plane: ExecutionPlane
    """The access mode that is allowed meanwhile."""
    reason: Short
    """Why; every run under it says so."""
    until: Utc
    """When it ends."""


class Policy(Model):
    """Limits on decisions and on how targets are reached."""

    decision_age: Duration = "PT15M"
    """How old a decision may be when it arrives."""
    decision_lifetime: Duration = "PT60M"
    """How long a decision may live at most."""
    execution_planes: tuple[ExecutionPlane, ...] = (ExecutionPlane.RUNNER_LOCAL,)
    """HyOps' access modes that overlays may use. `runner-local`: the runner reaches the targets itself."""
    break_glass: tuple[BreakGlass, ...] = ()
    """Further access modes, each for a while."""
    bootstrap_reasons: tuple[BootstrapReason, ...] = ()
    """Reasons for which a run may make or repair its runner where it is missing; none listed: no run does."""
    bootstrap_environment: Short = "dr-bootstrap"
    """The GitHub environment that holds that job until somebody approves."""
    readiness_age: Span | None = None
    """How old the last passed check of the same move may be where a real run is planned; absent: its age is shown, and refuses nothing."""


class ProbeLogin(Model):
    """Who a probe logs in as to ask PostgreSQL whether it takes writes. A user without any privilege is enough."""

    user: Short
    """The user's name in the database."""
    secret: EnvKey
    """The name in the secret map whose value is the password. HyOps does not get it, unless a step needs it too."""
    database: Short = "postgres"
    """The database that is logged in to."""
    freshness: Annotated[Clean, Field(min_length=1, max_length=500)] | None = None
    """A query that yields one time, that of the newest data, such as `select max(at) from heartbeat`: asked once, when the probe first
    succeeds, in a session that may only read. How much data was lost is not measured without one."""


class Probe(Model):
    """One look at the recovered service, held for its time."""

    kind: Literal["tcp", "dns", "http", "postgres", "command"]
    """What is asked: a port, a name, a page, PostgreSQL itself. `command` is run by no release yet."""
    target: Short
    """`host:port` (tcp, postgres), a name (dns), a URL (http), a path (command)."""
    expect: Short | None = None
    """The address that every resolver must give (dns), or the status of the answer (http); absent: any address, 200 to 299."""
    resolvers: tuple[Short, ...] = ()
    """Name servers that are asked (dns), `address` or `address:port`; absent: the runner's own."""
    login: ProbeLogin | None = None
    """Asks a PostgreSQL (postgres) whether it takes writes or is in recovery; absent: whether it answers."""
    hold: Duration = "PT1M"
    """For how long it must hold without a break."""
    timeout: Duration = "PT2M"
    """How long the first success is waited for."""


class Objective(Model):
    """What the business was promised."""

    rto: Duration | None = None
    """How long a recovery may take, from the request to the proof."""
    rpo: Duration | None = None
    """How much data may be lost: the time from the newest data that was recovered to the request. Judged where a probe names that data."""


class EvidencePolicy(Model):
    """Who signs the bundle: the host where the config has `host_keys`, unless it says otherwise."""

    signer: Literal["none", "vault-transit", "host-key"] = "none"
    """`host-key` where the config has `host_keys`, else `none`. `vault-transit` is refused: no release has it yet."""
    key: Short | None = None
    """The file of the host's private key; `/etc/dr-dispatch/host.key` where it is left out."""


class LedgerPolicy(Model):
    """Which repository holds the ledger branches; the caller's own when absent."""

    repository: Short | None = None
    """An address that git understands, or `<owner>/<name>` on the server of the run."""
    standby: Short | None = None
    """A second remote for a run with GitHub down."""


class DispatchConfig(Document):
    """The whole file; only `services` is required."""

    kind: Literal["DispatchConfig"] = "DispatchConfig"
    """What this document is."""
    services: Annotated[dict[ServiceId, Service], Field(min_length=1, max_length=200)]
    """What can be recovered, by `<name>/<env>`."""
    lanes: dict[LaneName, Lane] = {}
    """Where recovery runs. A lane that is not mentioned has its defaults."""
    envs: dict[Name, EnvPolicy] = {}
    """What each env demands. One that is not mentioned is production."""
    host: Host = Host.model_construct()
    """Where HyOps lives on the runner."""
    hyops: HyOps = HyOps.model_construct()
    """Which HyOps releases are accepted."""
    vault: Vault | None = None
    """Where secrets come from."""
    approvals: Approvals = Approvals.model_construct()
    """Who may approve, how, and for how long."""
    policy: Policy = Policy.model_construct()
    """Limits on decisions, and on how targets are reached."""
    verification: dict[ServiceId, tuple[Probe, ...]] = {}
    """How the recovery of a service is proven; absent: TCP and DNS at the overlay's endpoint (docs/verification.md)."""
    objectives: dict[ServiceId, Objective] = {}
    """What was promised for each service. Times are judged by it."""
    drills: dict[ServiceId, Drills] = {}
    """What is owed for each service, and how often: a check of its next move, and a restore into an env of class drill."""
    evidence: EvidencePolicy = EvidencePolicy.model_construct()
    """Who signs the evidence."""
    ledger: LedgerPolicy = LedgerPolicy.model_construct()
    """Where the ledger is."""
    notify: Notify | None = None
    """Who is told of a run ([notify.md](notify.md))."""
    gcp: GcpProjects | None = None
    """The projects of Google Cloud, where the blueprints use it."""
    registration: Registration | None = None
    """How a runner that is made is registered ([runner-recovery.md](runner-recovery.md)); needed with `policy.bootstrap_reasons`."""
    routes: tuple[Route, ...] = ()
    """How records of the decision service become decisions."""
    alerts: Annotated[tuple[AlertRule, ...], Field(max_length=200)] = ()
    """What alerts of Alertmanager may ask for ([alerts.md](alerts.md)); without a rule, nothing."""
    recovery_plans: Annotated[dict[Name, RecoveryPlan], Field(max_length=20)] = {}
    """Services that are recovered together, in waves ([recovery-plans.md](recovery-plans.md))."""
    host_keys: Annotated[dict[Short, PublicKey], Field(max_length=50)] = {}
    """Public key of each recovery host, by any name: what such a key signed in the ledger is believed."""
