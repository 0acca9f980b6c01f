"""The claims of a job's token against what the host pins (docs/design/workflows.md 6). Pure: no network, no clock, no file.

GitHub docs, *OpenID Connect reference*: every claim that is compared here is text, ids and `run_attempt` included.
A claim that is absent or of another type fits nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, Final

from hyops_ci.contracts.host_trust import HostTrust
from hyops_ci.dataclass import asdict, dataclass, field
from hyops_ci.errors import Exit, Refusal

SELF_HOSTED: Final = "self-hosted"
ABSENT: Final = "absent"
_LONGEST_SHOWN: Final = 120
_RERUN: Final = "start a new run: a re-run never starts a recovery"
_PINNED: Final = "start the run from the pinned caller; or, as root on the host, correct /etc/dr-dispatch/trust.json"
_FIXES: Final[Mapping[str, str]] = {
    "job_workflow_sha": "pin dr-dispatch at that commit in the caller; or, rolling over, add the new one to workflow_shas on the host",
    "job_workflow_ref": "call dispatch.yml of that repository; or, as root on the host, correct workflow_ref",
    "workflow_ref": "start the run by a workflow that caller_workflows of the host's trust file lists; or, as root, add this one",
    "ref": "start the workflow on the pinned branch",
    "ref_protected": "protect the branch with a ruleset: pull request required, code owners over .github/**",
    "event_name": "start the workflow by hand, by repository_dispatch or on a schedule",
    "environment": "look at the job's environment and at check_gate and gates of the host's trust file",
    "run_attempt": _RERUN,
    "run_id": "start a new run: this token belongs to another one",
    "runner_environment": "look at runs-on: GitHub says that this is not a self-hosted runner",
    "sha": "start a new run: what was planned was read at another commit",
}


@dataclass(frozen=True)
class Expected:
    """What this one job must be, beside what the host pins for every job."""

    gates: tuple[str, ...]
    """Environments, one of which must have held the job."""
    first_attempt: bool
    """Whether a re-run is refused."""
    said: Mapping[str, str] = field(default_factory=dict)
    """claim -> what the job's own environment says. GitHub's signature must say the same."""


@dataclass(frozen=True)
class Caller:
    """A job whose token was verified and that the host accepts: what GitHub signed."""

    issuer: str
    token_id: str
    """`sha256:<hex>` of the token's `jti`: what is remembered of a used token. The token itself is kept nowhere."""
    repository_id: int
    repository_owner_id: int
    ref: str
    sha: str
    event: str
    environment: str
    workflow_ref: str
    workflow_sha: str
    run_id: str
    run_attempt: int
    actor_id: str
    keys: str = ""
    """Where the issuer's keys came from: `issuer`, or `kept <time>` with the issuer out of reach."""

    def evidence(self) -> dict[str, Any]:
        """Return the facts for the evidence."""
        return asdict(self)


def audience_of(trust: HostTrust) -> str:
    """Return the audience of tokens for this host: tokens for another host, or for the authority, are not accepted here."""
    return f"dr-dispatch:{trust.runner_refs[0]}"


def token_id(claims: Mapping[str, object]) -> str:
    """Return the hash by which a used token is remembered."""
    return "sha256:" + sha256(f"{claims['iss']}\n{claims['jti']}".encode()).hexdigest()


def accept_caller(claims: Mapping[str, object], trust: HostTrust, expected: Expected, *, keys: str = "") -> Caller:
    """Return the caller if every claim fits. `claims` are those of a verified token. Raises Refusal (exit 7) `host.caller`."""
    differs = [
        (claim, _shown(claims.get(claim)), allowed) for claim, allowed in _demands(trust, expected) if not _fits(claim, claims, allowed)
    ]
    if differs:
        names = list(dict.fromkeys(claim for claim, _, _ in differs))
        raise caller_refusal(
            "this host does not accept this caller: " + ", ".join(names),
            found="; ".join(dict.fromkeys(f"{claim} {found}" for claim, found, _ in differs)),
            expected="; ".join(f"{claim} {' or '.join(allowed) or 'one that the host lists'}" for claim, _, allowed in differs),
            fix=_FIXES.get(names[0], _PINNED),
        )
    text = {name: value for name, value in claims.items() if isinstance(value, str)}
    return Caller(
        issuer=text["iss"],
        token_id=token_id(claims),
        repository_id=trust.repository_id,
        repository_owner_id=trust.repository_owner_id,
        ref=text["ref"],
        sha=text.get("sha", ""),
        event=text["event_name"],
        environment=text["environment"],
        workflow_ref=text.get("job_workflow_ref", ""),
        workflow_sha=text["job_workflow_sha"],
        run_id=text["run_id"],
        run_attempt=int(text["run_attempt"]),
        actor_id=text.get("actor_id", ""),
        keys=keys,
    )


def require_plan(caller: Caller, trust: HostTrust, *, env: str, commit: str, approved: bool) -> None:
    """Require that the accepted caller may bring this plan: `env`, and the `commit` its config was read at (empty: not known).

    `approved` asks for the env's own gate. Raises Refusal (exit 7) `host.caller`.
    """
    gate = trust.gates.get(env)
    if gate is None:
        raise caller_refusal(
            f"this host does not recover env {env}",
            found=f"env {env} in the plan",
            expected=" or ".join(sorted(trust.gates)) or "an env in `gates` of the trust file: there is none",
            fix=f"as root on the host, add {env} and its approval gate to gates in /etc/dr-dispatch/trust.json",
        )
    if approved and caller.environment != gate:
        raise caller_refusal(
            "the job was held by the gate of another env",
            found=f"environment {caller.environment}, env {env} in the plan",
            expected=f"environment {gate}",
            fix=_FIXES["environment"],
        )
    if commit and caller.sha != commit:
        raise caller_refusal(
            "the plan was made at another commit", found=f"sha {caller.sha or ABSENT}", expected=f"sha {commit}", fix=_FIXES["sha"]
        )


def caller_refusal(reason: str, *, found: str, expected: str, fix: str) -> Refusal:
    """Return the refusal of a caller."""
    return Refusal("host.caller", reason, exit_code=Exit.RUNNER, found=found, expected=expected, fix=fix, docs="host-trust.md")


def _demands(trust: HostTrust, expected: Expected) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each claim with the values that fit, the most telling first."""
    yield "repository_id", (str(trust.repository_id),)
    yield "repository_owner_id", (str(trust.repository_owner_id),)
    yield "ref", (trust.ref,)
    yield "ref_protected", ("true",)
    yield "event_name", trust.events
    yield "job_workflow_sha", trust.workflow_shas
    if trust.workflow_ref is not None:
        yield "job_workflow_ref", (trust.workflow_ref,)
    if trust.caller_workflows:
        yield "workflow_ref", tuple(f"{path}@{trust.ref}" for path in trust.caller_workflows)
    yield "environment", expected.gates
    yield "runner_environment", (SELF_HOSTED,)
    yield "run_id", tuple(value for name, value in expected.said.items() if name == "run_id")
    yield "run_attempt", ("1",) if expected.first_attempt else tuple(v for name, v in expected.said.items() if name == "run_attempt")
    yield from ((claim, (value,)) for claim, value in expected.said.items() if claim not in ("run_id", "run_attempt"))


def _fits(claim: str, claims: Mapping[str, object], allowed: tuple[str, ...]) -> bool:
    value = claims.get(claim)
    if not isinstance(value, str):
        return False
    if claim == "job_workflow_ref":  # `<path>@<ref>`; the commit behind the ref is a claim of its own
        return any(value.startswith(f"{path}@") for path in allowed)
    return value in allowed


def _shown(value: object) -> str:
    if value is None:
        return ABSENT
    if isinstance(value, str):
        return value[:_LONGEST_SHOWN] or "empty"
    return f"of type {type(value).__name__}"
