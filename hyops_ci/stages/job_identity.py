"""The identity of the calling job: the first thing that check and execute verify, before a plan is trusted (docs/design/workflows.md 6).

the job's own token -> signature -> claims against the host trust -> used once -> Caller
"""

from __future__ import annotations

from typing import Final, Literal

from hyops_ci.contracts.host_trust import HostTrust
from hyops_ci.contracts.plan import Plan
from hyops_ci.errors import DispatchError
from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.identity.claims import Caller, Expected, accept_caller, audience_of, require_plan
from hyops_ci.identity.issuer_keys import IssuerKeys
from hyops_ci.identity.oidc_request import job_identity
from hyops_ci.identity.replay import spend_token
from hyops_ci.identity.token import token_unavailable, verify_token
from hyops_ci.stages.context import RunContext

OnRunner = Literal["check", "execute"]
NOTE: Final = "caller"


def require_caller(stage: OnRunner, part: PartRecorder, context: RunContext) -> Caller | None:
    """Return the caller, on a host that pins its callers; None where it pins none, and in a shell, where the trust itself stands in.

    Raises Refusal (exit 7) `host.token` or `host.caller`, or Fault (exit 12) where GitHub gives no answer.
    """
    trust = context.trust
    if trust is None or not context.job.on_github:
        return None
    keys = IssuerKeys(
        trust.issuer,
        context.state_dir,
        context.clock.now(),
        environment=context.environ,
        sleep=context.clock.sleep,
    )
    now = context.clock.now().timestamp()
    claims = verify_token(own_token(trust, context), keys, issuer=trust.issuer, audience=audience_of(trust), now=now)
    caller = accept_caller(claims, trust, expected_of(stage, trust, context), keys=keys.source)
    spend_token(context.state_dir, caller.token_id, expires=claims["exp"], now=now, sleep=context.clock.sleep)
    part.note(NOTE, **caller.evidence())
    return caller


def require_its_plan(caller: Caller | None, stage: OnRunner, plan: Plan, context: RunContext) -> None:
    """Require that this caller may bring this plan here. Raises Refusal (exit 7) `host.caller`."""
    if caller is not None and context.trust is not None:
        require_plan(caller, context.trust, env=plan.env, commit=plan.config_commit, approved=stage == "execute")


def own_token(trust: HostTrust, context: RunContext) -> str:
    """Return a fresh token of this job for this host. Raises Refusal (exit 7) or Fault (exit 12) `host.token`."""
    try:
        token_for = context.token_for or job_identity(context.environ, sleep=context.clock.sleep)
        return token_for(audience_of(trust))
    except DispatchError as error:
        problem = token_unavailable(error)
    raise problem


def expected_of(stage: OnRunner, trust: HostTrust, context: RunContext) -> Expected:
    """Return what the token must say of this job beside what the host pins: what the job says of itself must be what GitHub signed."""
    job = context.job
    said = {
        "run_id": job.run_id.partition("-")[0],
        "run_attempt": str(job.attempt),
        "repository_id": str(job.repository_id or ""),
        "ref": job.ref,
        "sha": job.sha,
        "event_name": job.event,
        "actor_id": str(job.actor_id or ""),
    }
    gates = (trust.check_gate,) if stage == "check" else tuple(trust.gates.values())
    return Expected(gates, stage == "execute", {claim: value for claim, value in said.items() if value})
