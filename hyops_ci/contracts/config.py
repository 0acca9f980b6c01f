"""The caller's `.github/dr-dispatch.yml` (docs/design/contracts.md 2): a small file, every default visible.

The model is the file as written; `hyops_ci.config.settings` resolves it into effective values, each
with its origin. Defaults that do not depend on names live here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from hyops_ci.contracts.authorities import AuthorityName
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
    Origin,
    RepoPath,
    ServiceId,
    Short,
    Text,
    Utc,
)
from hyops_ci.contracts.decision import DecisionType, DrMode, ExecutionPlane
from hyops_ci.contracts.lanes import LaneName
from hyops_ci.contracts.public_key import PublicKey

Login = Annotated[str, Text(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,38}(\[bot\])?$")]
ApproverLogin = Annotated[str, Text(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,38}$")]
# A machine approves nothing: GitHub gives its login the ending [bot], which is that of no approver.
# Managed accounts of GitHub Enterprise have an underscore before their company's code.


class EnvClass(StrEnum):
    """How careful an env must be. Production unless the config says otherwise."""

    PRODUCTION = "production"
    DRILL = "drill"
    LAB = "lab"


class Lane(Model):
    """Where recovery runs. Absent values follow from the lane's name (docs/design/anti-drift.md 2.7)."""

    enabled: bool | None = None
    runner_ref: Name | None = None
    labels: Annotated[tuple[Label, ...], Field(min_length=1, max_length=10)] | None = None
    names: Annotated[tuple[Short, ...], Field(max_length=50)] = ()
    failure_domain: Name | None = None
    drill_runner_ref: Name | None = None


class ServiceAction(Model):
    """How one kind of decision is carried out for a service."""

    lane: LaneName
    blueprint: BlueprintRef
    overlay: RepoPath | None = None
    dr_mode: DrMode | None = None
    step_classes: dict[Short, Literal["mutate", "commit"]] = {}
    """Overrides of a step's class, upward only."""


class Service(Model):
    """What is recovered as one."""

    failover: ServiceAction | None = None
    failback: ServiceAction | None = None
    burst: ServiceAction | None = None
    data_home: LaneName | None = None


class EnvPolicy(Model):
    """What an env demands before anything runs in it."""

    env_class: EnvClass = Field(EnvClass.PRODUCTION, alias="class")
    github_environment: Short | None = None
    check_environment: Short = "dr-check"
    reviewers: Annotated[int, Field(ge=1, le=6), WHOLE] = 1


class Host(Model):
    """Where HyOps lives on the runner."""

    core_root: HostPath = "/opt/hybridops/core/app"
    hyops: HostPath = "/opt/hybridops/core/venv/bin/hyops"
    envs_base: HostPath | None = None
    vault_password_file: HostPath | None = None
    env_pass: tuple[EnvKey, ...] = ()


class HyOps(Model):
    """Which HyOps releases this config accepts."""

    versions: Short = "==0.1.4"


class VaultAddress(Model):
    """One address of the authority and the site it stands in."""

    url: Origin
    site: Name


class BreakGlassLogin(Model):
    """How `hyops-ci run` logs in with GitHub down; never used on GitHub runners."""

    method: Literal["token-file"]
    path: Clean


class Vault(Model):
    """The external secret authority (docs/design/anti-drift.md 2.8)."""

    address: Origin | None = None
    site: Name | None = None
    addresses: tuple[VaultAddress, ...] = ()
    kind: AuthorityName = "vault"
    path: Clean | None = None
    """Of a `file` authority; only in envs of class `lab`."""
    mount: Short = "secret"
    auth_path: Short = "auth/jwt"
    role: Short | None = None
    check_role: Short = "dr-check"
    max_token_ttl: Duration = "PT15M"
    secret_map: RepoPath | None = None
    profiles: tuple[Name, ...] = ("dr", "shared")
    break_glass: BreakGlassLogin | None = None


class Approvals(Model):
    """Who may approve, on which channel, for how long."""

    channels: tuple[Literal["environment", "signed"], ...] = ("environment",)
    approvers: dict[ApproverLogin, PublicKey] = {}
    quorum: Annotated[int, Field(ge=1, le=10), WHOLE] = 1
    lifetime: Duration = "PT60M"


class BreakGlass(Model):
    """A plane allowed for a while, with its reason."""

    plane: ExecutionPlane
    reason: Short
    until: Utc


class Policy(Model):
    """Limits on decisions and on how targets are reached."""

    decision_age: Duration = "PT15M"
    decision_lifetime: Duration = "PT60M"
    execution_planes: tuple[ExecutionPlane, ...] = (ExecutionPlane.RUNNER_LOCAL,)
    break_glass: tuple[BreakGlass, ...] = ()
    bootstrap_reasons: tuple[Literal["initial-bootstrap", "runner-recovery", "lab-fallback"], ...] = ()


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
    hold: Duration = "PT1M"
    """For how long it must hold without a break."""
    timeout: Duration = "PT2M"
    """How long the first success is waited for."""


class Objective(Model):
    """What the business was promised."""

    rto: Duration | None = None
    rpo: Duration | None = None


class EvidencePolicy(Model):
    """Who signs the bundle: the host where the config has `host_keys`, unless it says otherwise."""

    signer: Literal["none", "vault-transit", "host-key"] = "none"
    key: Short | None = None


class LedgerPolicy(Model):
    """Which repository holds the ledger branches; the caller's own when absent."""

    repository: Short | None = None
    standby: Short | None = None


class GcpProjects(Model):
    """The project roles, named apart (docs/design/anti-drift.md 2.1)."""

    host: Short
    control: Short
    workload: Short


class Route(Model):
    """Turns a HybridOps record into a decision for one service. Every given field must match the record."""

    service: ServiceId
    as_type: DecisionType = Field(alias="as")
    decision_type: Short | None = None
    module_ref: Short | None = None
    runtime_env: Short | None = None
    desired: Short | None = None
    target_kind: Short | None = None
    target_ref: Short | None = None
    target_env: Short | None = None
    accept_requests: bool = False


class DispatchConfig(Document):
    """The whole file; only `services` is required."""

    kind: Literal["DispatchConfig"] = "DispatchConfig"
    services: Annotated[dict[ServiceId, Service], Field(min_length=1, max_length=200)]
    lanes: dict[LaneName, Lane] = {}
    envs: dict[Name, EnvPolicy] = {}
    host: Host = Host()
    hyops: HyOps = HyOps()
    vault: Vault | None = None
    approvals: Approvals = Approvals()
    policy: Policy = Policy()
    verification: dict[ServiceId, tuple[Probe, ...]] = {}
    """How the recovery of a service is proven; absent: TCP and DNS at the overlay's endpoint (docs/verification.md)."""
    objectives: dict[ServiceId, Objective] = {}
    evidence: EvidencePolicy = EvidencePolicy()
    ledger: LedgerPolicy = LedgerPolicy()
    gcp: GcpProjects | None = None
    routes: tuple[Route, ...] = ()
    host_keys: Annotated[dict[Short, PublicKey], Field(max_length=50)] = {}
    """Public key of each recovery host, by any name: what such a key signed in the ledger is believed."""
