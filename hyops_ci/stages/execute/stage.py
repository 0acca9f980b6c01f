"""Execute: carry out the approved plan on the runner, once, and seal what happened (docs/design/workflows.md 4).

caller -> the blueprint that was checked -> approvals -> claim -> secrets -> runtime copy of the overlay
-> HyOps preflight -> what the check saw still holds -> HyOps deploy -> outcome -> bundle put back -> verification -> seal -> ledger
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress

from hyops_ci.approvals.requesters import unique_people
from hyops_ci.contracts.approval import Approval, Person
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.config import EnvClass
from hyops_ci.contracts.ledger import Claim
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import RefusalRecord, State
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import DispatchError, Exit, Fault, Refusal
from hyops_ci.evidence.bundle import Sealed
from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.execution.kept_journals import keep
from hyops_ci.hyops_access.port import DEPLOY_JOURNAL, JOURNALS
from hyops_ci.ledger.ledger import ClaimRequest
from hyops_ci.ledger.settling import to_settle
from hyops_ci.ledger.standby import merge
from hyops_ci.ledger.vouched_history import previous_bundle
from hyops_ci.redaction import Redactor
from hyops_ci.room import Reserve
from hyops_ci.stages.approval import gather_envelopes, granted_approvals, keep_envelopes, refuse_weaker_gate
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.execute.recovery import Recovery
from hyops_ci.stages.execute.refusals import changed
from hyops_ci.stages.execute.waves import refuse_early_wave
from hyops_ci.stages.execute.working import SET_ASIDE
from hyops_ci.stages.execution_state import ExecutionState
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.job import Job
from hyops_ci.stages.job_identity import require_caller
from hyops_ci.stages.origin import DECISION, ORIGIN, Origin, who_asked
from hyops_ci.stages.planned_run import CheckedRun, checked_run, planned_run, require_plan
from hyops_ci.stages.preview import HyOpsView, hyops_access, view_hyops
from hyops_ci.stages.runner import StageEnd, run_stage
from hyops_ci.stages.sealing import seal_run
from hyops_ci.stages.settle import note_earlier, settle
from hyops_ci.stages.telling import tell_started, telling


@dataclass(frozen=True)
class ExecuteEnd(StageEnd):
    """Where execute left the run."""

    problems: tuple[str, ...] = ()
    """What the verifier says of the bundle; none where it holds."""
    sealed: bool = True
    """Whether there is a bundle: a full disk leaves none, and the refusal says so."""


def execute(folder: RunDir, context: RunContext, approvals: str = "") -> ExecuteEnd:
    """Carry out the run in `folder`, seal it, and record its end in the ledger. `approvals` is the JSON text of the signed envelopes."""
    state = ExecutionState(redactor=Redactor({}))
    context = context.cleaned(state.clean)
    try:
        end = run_stage("execute", folder, context, lambda part: _told(part, folder, context, approvals, state))
        if state.plan is None and folder.has("plan.json"):
            state.plan = folder.read_model("plan.json", Plan)
        sealed = seal_what_fits(folder, context, end, state)
    except OSError as error:
        lost = unsealed_end(state, error)
        record_end(state, lost.state, None, context)
        return lost
    record_end(state, end.state, sealed.sha256, context)
    for problem in sealed.problems:
        context.say(f"the evidence of this run does not verify: {problem}")
    return ExecuteEnd(end.state, end.refusal, sealed.problems)


def seal_what_fits(folder: RunDir, context: RunContext, end: StageEnd, state: ExecutionState) -> Sealed:
    """Seal the run; on a full disk without HyOps' own records, which are the most of it. Raises OSError where nothing fits."""
    try:
        return seal_run(folder, context, end, state)
    except OSError:
        shutil.rmtree(folder.root / "hyops", ignore_errors=True)
        sealed = seal_run(folder, context, end, state)
        context.say("the disk is full: the evidence is sealed without HyOps' own records, which stay on this runner")
        return sealed


def unsealed_end(state: ExecutionState, error: OSError) -> ExecuteEnd:
    """Return the end of a run that could not be written down: once HyOps may have begun it is unknown, whatever this process knew."""
    ended = State.INDETERMINATE if state.begun else State.FAILED if state.claim is not None else State.BLOCKED
    fault = Fault(
        "evidence.unwritten",
        "the evidence of this run could not be written",
        exit_code=Exit.INDETERMINATE if state.begun else Exit.EVIDENCE,
        found=f"{error.strerror or type(error).__name__}; HyOps goes on to its own end" if state.begun else str(error.strerror),
        expected="room for the end of the run where the runner writes",
        fix="make room on the runner; look which side serves, then settle" if state.begun else "make room on the runner, then a new run",
        docs="ledger.md",
    )
    return ExecuteEnd(ended, RefusalRecord.of(fault), sealed=False)


def _told(part: PartRecorder, folder: RunDir, context: RunContext, approvals: str, state: ExecutionState) -> None:
    with telling(part, context):
        _execute(part, folder, context, approvals, state)


def _execute(part: PartRecorder, folder: RunDir, context: RunContext, approvals: str, state: ExecutionState) -> None:
    caller = require_caller("execute", part, context)
    plan = state.plan = require_plan(folder)
    refuse_unfit_job(plan, context)
    run = checked_run(planned_run(plan, folder, context, stage="execute", caller=caller))
    refuse_changed_plan(run)
    refuse_early_wave(run)
    if plan.settles is not None:
        state.asked_by = everybody_who_asked(run)
        approve(part, run, approvals, state)
        settle(run, plan.settles, state.approvals, part)
        bring_standby_up(plan.service, context)
        return
    with hyops_access(run) as access:
        with run.reading_ahead() as beside:
            view = view_hyops(run, access, beside)
            state.asked_by = everybody_who_asked(run)
        view.asked.result()
        _carry_out(part, run, view, approvals, state)


def _carry_out(part: PartRecorder, run: CheckedRun, view: HyOpsView, approvals: str, state: ExecutionState) -> None:
    refuse_changed_blueprint(run, view)
    approve(part, run, approvals, state)
    part.reserve = state.reserve = Reserve(run.folder.private / "reserve", SET_ASIDE)
    view.access.lock()
    part.note("swept", **view.access.sweep())
    claim = state.claim = take_claim(run, state.approvals)
    part.enter(State.CLAIMED, claim_id=claim.claim_id, epoch=claim.epoch)
    keep_journal(part, run)
    tell_started(run.context, run.plan)
    run.context.say(f"lock taken: {run.plan.service} epoch {claim.epoch}, run {claim.run_id}")
    Recovery(run, view, claim, state, part).carry_out()


def approve(part: PartRecorder, run: CheckedRun, approvals: str, state: ExecutionState) -> None:
    """Judge the answers to this run, and enter APPROVED. Raises Refusal (exit 6 or 4)."""
    folder = run.folder
    state.previous_bundle = previous_bundle(run.head, run.ledger.vouchers)
    keep_envelopes(approvals, folder)
    gather_envelopes(run)
    state.approvals = granted_approvals(run, gate_passed=True, requesters=state.asked_by)
    refuse_weaker_gate(run, state.approvals)
    for approval in state.approvals:
        folder.write_model(f"approvals/{approval.approver.login}.json", approval)
    part.enter(State.APPROVED, approvers=[each.approver.login for each in state.approvals])


def everybody_who_asked(run: CheckedRun) -> tuple[Person, ...]:
    """Return who asked, as GitHub says now: the machine that took the check could have left somebody out. Raises as `who_asked`."""
    if not run.plan.approval.required:
        return ()
    asked = who_asked(run.folder.read_model(ORIGIN, Origin), run.folder.read(DECISION), run.context)
    return unique_people(asked, issuer=run.decision.issuer)


def keep_journal(part: PartRecorder, run: CheckedRun) -> None:
    """Let the journals of HyOps outlive this job, and record the last word of the run before."""
    note_earlier(part, run)
    for name in JOURNALS if run.plan.destroys else (DEPLOY_JOURNAL,):
        with suppress(OSError):  # what HyOps does is worth more than where its journal lies
            keep(run.context.state_dir, run.context.job.run_id, run.folder.private / name, name)


def refuse_rerun(job: Job) -> None:
    """Refuse a re-run: it never starts a recovery (docs/design/workflows.md 2). Raises Refusal (exit 6)."""
    if job.attempt > 1:
        raise Refusal(
            "run.attempt",
            "a re-run never starts a recovery",
            exit_code=Exit.APPROVAL,
            found=f"attempt {job.attempt}",
            expected="attempt 1 of a new run",
            fix="start a new run: what was approved was approved for the first attempt",
        )


def refuse_unfit_job(plan: Plan, context: RunContext) -> None:
    """Refuse a re-run, a drill of the check alone, and a debugging job in production.

    Raises Refusal (docs/design/workflows.md 4).
    """
    refuse_rerun(context.job)
    if plan.exercise == "check":
        raise Refusal(
            "drill.level",
            "this drill ends with its check",
            exit_code=Exit.POLICY,
            found=f"exercise check of {plan.service}, whose job was started all the same",
            expected="no recovery: the check is the whole drill",
            fix="nothing is to be done; for a recovery into an env of class drill, decide with level isolated",
        )
    if context.job.step_debug and plan.env_class is EnvClass.PRODUCTION:
        raise Refusal(
            "run.debug",
            "step debugging is on in production",
            exit_code=Exit.POLICY,
            found="ACTIONS_STEP_DEBUG is true",
            expected="no debug logging where production secrets are",
            fix="remove the variable or start without debug logging",
        )


def refuse_changed_plan(run: CheckedRun) -> None:
    """Refuse before the claim a check of another plan. Raises Refusal (exit 4)."""
    if run.check.plan_digest != run.plan.digest():
        raise changed(run, "the plan is not the one that was checked")


def refuse_changed_blueprint(run: CheckedRun, view: HyOpsView) -> None:
    """Refuse before the claim other steps than those that were checked: the files of this runner make them. Raises Refusal (exit 4)."""
    if view.blueprint.digest() != run.check.blueprint_digest:
        raise changed(run, "the effective blueprint differs")


def take_claim(run: CheckedRun, approvals: Sequence[Approval]) -> Claim:
    """Take the lock by compare-and-swap. Raises Duplicate or Refusal (exit 5) where another run came first."""
    plan, job = run.plan, run.context.job
    request = ClaimRequest(
        service=plan.service,
        decision_id=plan.decision_id,
        decision_type=plan.decision_type,
        drill=bool(plan.exercise),
        source_sha256=run.source_sha256,
        decision_digest=run.decision.digest(),
        run_id=job.run_id,
        run_url=job.url,
        at=stamp(run.context.clock.now()),
        target_site=plan.target_site,
        home_site=plan.source_site,
        plan_digest=plan.digest(),
        check_digest=run.check.digest(),
        approvals=tuple(each.digest() for each in approvals),
        nonces=tuple(each.subject.nonce for each in approvals),
    )
    claim = run.ledger.claim(request)
    run.folder.write_model("claim.json", claim)
    return claim


def record_end(state: ExecutionState, end: State, sha256: str | None, context: RunContext) -> None:
    """Record the last transition, with the bundle's digest. Where that fails the claim stays open: the next run will ask."""
    if state.claim is None or state.plan is None:
        return
    try:
        ledger = context.ledger(state.plan.service)
        ledger.advance(
            state.claim,
            end,
            at=stamp(context.clock.now()),
            past_no_return=state.past_no_return,
            bundle_sha256=sha256,
            figures=state.figures if sha256 is not None and not ledger.lacks_key else None,
            serves=state.plan.target_site,
            unseen=state.unseen,
        )
        bring_standby_up(state.plan.service, context)
    except DispatchError as error:
        context.say(f"the ledger was not updated: {error.title()}. The lock stays until {to_settle(state.plan.service)}")


def bring_standby_up(service: str, context: RunContext) -> None:
    """Bring the standby up to the ledger in use. An error is reported, and changes nothing."""
    standby, used = context.standby(service), context.ledger_in_use(service)
    if standby is None or used.risks:
        return
    try:
        merge(used.ledger, standby, follow=True)
    except DispatchError as error:
        context.say(f"the standby does not follow: {error.title()}")
