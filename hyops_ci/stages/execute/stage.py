"""Execute: carry out the approved plan on the runner, once, and seal what happened (docs/design/workflows.md 4).

caller -> what the check saw still holds -> approvals -> claim -> secrets -> runtime copy of the overlay
-> HyOps preflight -> HyOps deploy -> outcome -> verification -> seal -> ledger -> wipe
"""

from __future__ import annotations

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.check import Check
from hyops_ci.contracts.config import EnvClass
from hyops_ci.contracts.decision import Decision
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.ledger import Claim
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import State
from hyops_ci.errors import DispatchError, Exit, Refusal
from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.execution.command import Runtime, require_env
from hyops_ci.execution.overlay import sweep
from hyops_ci.identity.claims import Caller
from hyops_ci.ledger.host_lock import host_lock
from hyops_ci.ledger.ledger import ClaimRequest
from hyops_ci.ledger.standby import merge
from hyops_ci.planning import checking
from hyops_ci.stages.approval import gather_envelopes, keep_envelopes, refuse_weaker_gate, weigh
from hyops_ci.stages.context import World
from hyops_ci.stages.execute.recovery import Act, bring_secrets, recover
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.job import Job
from hyops_ci.stages.job_identity import require_caller
from hyops_ci.stages.preview import look, require_plan
from hyops_ci.stages.runner import StageEnd, run_stage
from hyops_ci.stages.sealing import Ending, seal_run


def execute(run: RunDir, world: World, approvals: str = "") -> StageEnd:
    """Tell the story, seal, and tell the ledger. `approvals` is the JSON text of the signed envelopes."""
    act = Act()
    end = run_stage("execute", run, world, lambda part: _story(part, run, world, approvals, act))
    plan = run.read_model("plan.json", Plan) if run.has("plan.json") else None
    sealed = seal_run(
        run,
        world,
        end,
        Ending(
            plan=plan,
            act_claim=act.claim,
            outcome=act.outcome,
            verification=act.verification,
            approvals=act.approvals,
            redactor=act.redactor,
            previous=act.tip,
        ),
    )
    if act.claim is not None and plan is not None:
        tell_ledger(plan, act, end.state, sealed.sha256, world)
    return end


def _story(part: PartRecorder, run: RunDir, world: World, approvals: str, act: Act) -> None:
    caller = require_caller("execute", part, world)
    plan, check = require_plan(run), run.read_model("check.json", Check)
    refuse_unfit_job(plan, world)
    root = require_env(Runtime.of(plan, world.home))
    still_holds(plan, check, run, world, caller)
    act.tip = world.ledger(plan.service).tip()
    keep_envelopes(approvals, run)
    gather_envelopes(plan, check, act.tip, run, world)
    act.approvals = weigh(plan, check, act.tip, run, world, gate_passed=True)
    refuse_weaker_gate(plan, act.approvals, run, world)
    for approval in act.approvals:
        run.write_model(f"approvals/{approval.approver.login}.json", approval)
    part.enter(State.APPROVED, approvers=[each.approver.login for each in act.approvals])
    with host_lock(root) as lock:
        part.note("swept", files=[path.name for path in sweep(root)])
        act.claim = take_claim(plan, check, act, run, world)
        part.enter(State.CLAIMED, claim_id=act.claim.claim_id, epoch=act.claim.epoch)
        world.say(f"lock taken: {plan.service} epoch {act.claim.epoch}, run {act.claim.run_id}")
        synced = bring_secrets(plan, root, part, run, world, act)
        part.enter(State.SECRETS_READY, names=[each.key for each in synced.manifest.secrets])
        recover(plan, root, lock, synced, part, run, world, act)


def refuse_rerun(job: Job) -> None:
    """A re-run never starts an effect (docs/design/workflows.md 2). Raises Refusal (exit 6)."""
    if job.attempt > 1:
        raise Refusal(
            "run.attempt",
            "a re-run never starts a recovery",
            exit_code=Exit.APPROVAL,
            found=f"attempt {job.attempt}",
            expected="attempt 1 of a new run",
            fix="start a new run: what was approved was approved for the first attempt",
        )


def refuse_unfit_job(plan: Plan, world: World) -> None:
    """Neither a re-run, nor a debugging job where production's secrets are (docs/design/workflows.md 4). Raises Refusal."""
    refuse_rerun(world.job)
    if world.job.step_debug and plan.env_class is EnvClass.PRODUCTION:
        raise Refusal(
            "run.debug",
            "step debugging is on in production",
            exit_code=Exit.POLICY,
            found="ACTIONS_STEP_DEBUG is true",
            expected="no debug logging where production secrets are",
            fix="remove the variable or start without debug logging",
        )


def still_holds(plan: Plan, check: Check, run: RunDir, world: World, caller: Caller | None) -> None:
    """Look again: what the approver relied on must still be so. Raises Refusal (exit 4)."""
    facts = look(plan, run, world, "execute", caller)
    now = checking.check(plan, facts, run_id=world.job.run_id, checked_at=stamp(world.clock.now()))
    if now.digest() != check.digest():
        before = {step.id: step.outcome for step in check.steps}
        differs = [
            f"{step.id}: {before.get(step.id, 'absent')} then, {step.outcome} now"
            for step in now.steps
            if before.get(step.id) != step.outcome
        ]
        raise Refusal(
            "check.changed",
            "what was approved is no longer so",
            exit_code=Exit.POLICY,
            found="; ".join(differs) or "the effective blueprint differs",
            expected=f"as checked at {check.checked_at}",
            fix="start a new run: its approver reads what is true now",
        )


def take_claim(plan: Plan, check: Check, act: Act, run: RunDir, world: World) -> Claim:
    """The compare-and-swap. Raises Duplicate or Refusal (exit 5) where somebody else came first."""
    decision = run.read_model("decision.json", Decision)
    request = ClaimRequest(
        service=plan.service,
        decision_id=plan.decision_id,
        decision_type=plan.decision_type,
        drill=bool(plan.exercise),
        source_sha256=digest_bytes(run.read("decision.raw")),
        decision_digest=decision.digest(),
        run_id=world.job.run_id,
        run_url=world.job.url,
        at=stamp(world.clock.now()),
        target_site=plan.target_site,
        home_site=plan.source_site,
        plan_digest=plan.digest(),
        check_digest=check.digest(),
        approvals=tuple(each.digest() for each in act.approvals),
        nonces=tuple(each.subject.nonce for each in act.approvals),
    )
    claim = world.ledger(plan.service).claim(request)
    run.write_model("claim.json", claim)
    return claim


def tell_ledger(plan: Plan, act: Act, state: State, sha256: str, world: World) -> None:
    """The last transition, with the bundle's digest. A ledger that cannot be told leaves the claim open: the next run will ask."""
    if act.claim is None:
        return
    try:
        world.ledger(plan.service).advance(
            act.claim,
            state,
            at=stamp(world.clock.now()),
            past_no_return=act.outcome.past_no_return if act.outcome is not None else False,
            bundle_sha256=sha256,
            serves=plan.target_site,
        )
        bring_standby_up(plan.service, world)
    except DispatchError as error:
        world.say(f"the ledger was not told: {error.title()}. The lock stays until hyops-ci ledger settle")


def bring_standby_up(service: str, world: World) -> None:
    """Give the standby what the ledger in use has: it is worth as much as it knows. Its own trouble is said, and changes nothing."""
    standby, used = world.standby(service), world.ledger_in_use(service)
    if standby is None or used.risks:
        return
    try:
        merge(used.ledger, standby, follow=True)
    except DispatchError as error:
        world.say(f"the standby does not follow: {error.title()}")
