"""What a runner accepts (`/etc/dr-dispatch/trust.json`, docs/design/contracts.md 2). The config may narrow it, never widen it."""

from typing import Annotated, Final, Literal

from pydantic import Field

from hyops_ci.contracts.base import HOST, PORT, TOO_LONG, WHOLE, Document, Duration, Model, Name, Namespace, Origin, Sha, Short, Text, Utc
from hyops_ci.contracts.config import ApproverLogin, Host
from hyops_ci.contracts.public_key import PublicKey

CallerEvent = Literal["workflow_dispatch", "repository_dispatch", "schedule"]
Issuer = Annotated[
    str,
    Text(
        rf"^(https://{HOST}|http://(127\.0\.0\.1|localhost))(:{PORT})?(/[A-Za-z0-9_~-][A-Za-z0-9._~-]{{0,99}}){{0,8}}$",
        never=TOO_LONG,
        patternErrorMessage="an https address with at most eight folders, as the claim iss spells it; http on this machine only",
    ),
]
"""As the claim `iss` spells it; in clear on this machine only."""
WorkflowPath = Annotated[str, Text(r"^[A-Za-z0-9-]{1,39}/[A-Za-z0-9._-]{1,100}/\.github/workflows/[A-Za-z0-9._-]{1,100}\.ya?ml$")]


MAX_CALLERS: Final = 200
"""As many as the config has services: each may have a workflow of its own."""


class ApproverTrust(Model):
    """One approver as the host knows them."""

    id: Annotated[int, Field(ge=1, le=2**53 - 1), WHOLE]
    """The number of the account: a login can be given to another person."""
    login: ApproverLogin
    """The account's login, for people."""
    key: PublicKey | None = None
    """The public key with which this person signs."""
    not_before: Utc | None = None
    """When that key begins to count."""
    not_after: Utc | None = None
    """When it ceases to count."""


class AuthorityTrust(Model):
    """One authority this host may ask, and as which roles."""

    origin: Origin
    """Scheme, host and port."""
    roles: tuple[Short, ...]
    """Roles that may be asked for there."""
    namespace: Namespace | Literal[""] = ""
    """The namespace that these roles are in; empty for an authority without."""


class HostTrust(Document):
    """What a runner accepts, pinned on the host (`/etc/dr-dispatch/trust.json`); config may narrow it, never widen it."""

    kind: Literal["HostTrust"] = "HostTrust"
    """What this document is."""
    repository_id: Annotated[int, Field(ge=1, le=2**53 - 1), WHOLE]
    """The number of the caller's repository: a name can be given to another."""
    repository_owner_id: Annotated[int, Field(ge=1, le=2**53 - 1), WHOLE]
    """The number of its owner."""
    ref: Short
    """The branch that callers run on; it must be protected."""
    events: Annotated[tuple[CallerEvent, ...], Field(min_length=1)] = ("workflow_dispatch", "repository_dispatch", "schedule")
    """What may start a run."""
    workflow_shas: Annotated[tuple[Sha, ...], Field(min_length=1)]
    """Commits of dr-dispatch that callers may pin; two while rolling over."""
    workflow_ref: WorkflowPath | None = None
    """`<owner>/dr-dispatch/.github/workflows/dispatch.yml`: the one workflow whose jobs come here."""
    caller_workflows: Annotated[tuple[WorkflowPath, ...], Field(max_length=MAX_CALLERS)] = ()
    """`<owner>/<repository>/.github/workflows/dr.yml`: the workflows that may start a run; none listed: any of the repository, on `ref`."""
    issuer: Issuer = "https://token.actions.githubusercontent.com"
    """Who signs the jobs' tokens; on GitHub Enterprise Server `https://<host>/_services/token`."""
    runner_refs: Annotated[tuple[Name, ...], Field(min_length=1)]
    """What this host is called; the first is its name in the audience of tokens."""
    approvers: tuple[ApproverTrust, ...]
    """Who may approve what runs here."""
    apps: Annotated[tuple[Annotated[int, Field(ge=1, le=2**53 - 1), WHOLE], ...], Field(max_length=20)] = ()
    """Numeric user ids of the bots that may start a run (`gh api users/<app>[bot] --jq .id`). None by default."""
    evidence_keys: tuple[PublicKey, ...] = ()
    """Public keys of recovery hosts, this one's and others': they sign evidence and transitions of the ledger."""
    quorum: Annotated[int, Field(ge=1, le=10), WHOLE] = 1
    """How many people must agree at least."""
    max_decision_lifetime: Duration = "PT60M"
    """How long a decision may live at most."""
    max_approval_lifetime: Duration = "PT60M"
    """How long an approval may count at most."""
    check_gate: Short = "dr-check"
    """The environment of every check."""
    gates: dict[Name, Short] = {}
    """env -> approval gate. On GitHub an env that is not listed is not recovered from this host."""
    drill_envs: Annotated[tuple[Name, ...], Field(max_length=50)] = ()
    """Envs in which a drill may destroy what it made, with HyOps. None by default, whatever class the config gives an env."""
    authorities: tuple[AuthorityTrust, ...] = ()
    """Where secrets may come from, and as which roles."""
    host: Host | None = None
    """HyOps on this host, with a user of its own: then the config's `host` must be the same."""
    ledger: Short | None = None
    """Path or URL of the ledger that this host takes part in, for `hyops-ci run`."""
