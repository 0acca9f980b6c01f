"""What a runner accepts (`/etc/dr-dispatch/trust.json`, docs/design/contracts.md 2). The config may narrow it, never widen it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hyops_ci.contracts.base import HOST, PORT, WHOLE, Document, Duration, Model, Name, Origin, Sha, Short, Text, Utc
from hyops_ci.contracts.config import ApproverLogin
from hyops_ci.contracts.public_key import PublicKey

CallerEvent = Literal["workflow_dispatch", "repository_dispatch", "schedule"]
Issuer = Annotated[
    str,
    Text(rf"^(https://{HOST}|http://(127\.0\.0\.1|localhost))(:{PORT})?(/[A-Za-z0-9_~-][A-Za-z0-9._~-]{{0,99}}){{0,8}}$"),
]
"""As the claim `iss` spells it; in clear on this machine only."""
WorkflowPath = Annotated[str, Text(r"^[A-Za-z0-9-]{1,39}/[A-Za-z0-9._-]{1,100}/\.github/workflows/[A-Za-z0-9._-]{1,100}\.ya?ml$")]


class ApproverTrust(Model):
    """One approver as the host knows them."""

    id: Annotated[int, Field(ge=1, le=2**53 - 1), WHOLE]
    login: ApproverLogin
    key: PublicKey | None = None
    not_before: Utc | None = None
    not_after: Utc | None = None


class AuthorityTrust(Model):
    """One authority this host may ask, and as which roles."""

    origin: Origin
    roles: tuple[Short, ...]


class HostTrust(Document):
    """What a runner accepts, pinned on the host (`/etc/dr-dispatch/trust.json`); config may narrow it, never widen it."""

    kind: Literal["HostTrust"] = "HostTrust"
    repository_id: Annotated[int, Field(ge=1, le=2**53 - 1), WHOLE]
    repository_owner_id: Annotated[int, Field(ge=1, le=2**53 - 1), WHOLE]
    ref: Short
    events: Annotated[tuple[CallerEvent, ...], Field(min_length=1)] = ("workflow_dispatch", "repository_dispatch", "schedule")
    workflow_shas: Annotated[tuple[Sha, ...], Field(min_length=1)]
    """Commits of dr-dispatch that callers may pin; two while rolling over."""
    workflow_ref: WorkflowPath | None = None
    """`<owner>/dr-dispatch/.github/workflows/dispatch.yml`: the one workflow whose jobs come here."""
    caller_workflows: Annotated[tuple[WorkflowPath, ...], Field(max_length=20)] = ()
    """`<owner>/<repository>/.github/workflows/dr.yml`: the workflows that may start a run; none listed: any of the repository, on `ref`."""
    issuer: Issuer = "https://token.actions.githubusercontent.com"
    """Who signs the jobs' tokens; on GitHub Enterprise Server `https://<host>/_services/token`."""
    runner_refs: Annotated[tuple[Name, ...], Field(min_length=1)]
    """What this host is called; the first is its name in the audience of tokens."""
    approvers: tuple[ApproverTrust, ...]
    apps: Annotated[tuple[Annotated[int, Field(ge=1, le=2**53 - 1), WHOLE], ...], Field(max_length=20)] = ()
    """Numeric user ids of the bots that may start a run (`gh api users/<app>[bot] --jq .id`). None by default."""
    evidence_keys: tuple[PublicKey, ...] = ()
    quorum: Annotated[int, Field(ge=1, le=10), WHOLE] = 1
    max_decision_lifetime: Duration = "PT60M"
    max_approval_lifetime: Duration = "PT60M"
    check_gate: Short = "dr-check"
    """The environment of every check."""
    gates: dict[Name, Short] = {}
    """env -> approval gate. On GitHub an env that is not listed is not recovered from this host."""
    authorities: tuple[AuthorityTrust, ...] = ()
    ledger: Short | None = None
    """Path or URL of the ledger that this host takes part in, for `hyops-ci run`."""
