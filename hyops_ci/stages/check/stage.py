"""Check: the chosen runner reports what would happen, before anyone is asked to approve. Nothing changes, no secret value is read.

caller -> plan -> look -> gates -> report -> request for approval; whatever it found, its host signs that as the service's readiness
"""

from __future__ import annotations

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.readiness import READINESS
from hyops_ci.contracts.run import State
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import DispatchError
from hyops_ci.evidence.conclusions import WAITED
from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.github.jobs import jobs
from hyops_ci.planning import checking
from hyops_ci.planning.case import CheckCase, run_gates
from hyops_ci.redaction import Redactor
from hyops_ci.stages.approval import approval_until, ask_for_approval, refuse_old_decision
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.job import waited_for_runner
from hyops_ci.stages.job_identity import require_caller
from hyops_ci.stages.planned_run import CheckedRun, PlannedRun, checked_run, planned_run, require_plan
from hyops_ci.stages.preview import look, with_ledger
from hyops_ci.stages.readiness import HostNotes, sign_readiness
from hyops_ci.stages.runner import StageEnd, run_stage
from hyops_ci.stages.settle import settlement_facts, settlement_gates
from hyops_ci.stages.telling import tell_waiting


@dataclass(frozen=True)
class CheckEnd(StageEnd):
    """Where the check left the run."""

    run: CheckedRun | None = None
    """The run as it was checked; None where it was refused."""


def check(folder: RunDir, context: RunContext, notes: HostNotes | None = None) -> CheckEnd:
    """Check the planned run in `folder`, which then holds the report and the request for approval, or the refusal.

    `notes` asks the host about itself, for the readiness that it signs.
    """
    planned: list[PlannedRun] = []
    checked: list[CheckedRun] = []
    end = run_stage("check", folder, context, lambda part: checked.append(_check(part, folder, context, planned, notes)))
    for run in planned if end.state is not State.CHECKED else ():
        sign_readiness(run, end, notes)
    return CheckEnd(end.state, end.refusal, checked[0] if checked else None)


def _check(part: PartRecorder, folder: RunDir, context: RunContext, begun: list[PlannedRun], notes: HostNotes | None) -> CheckedRun:
    caller = require_caller("check", part, context)
    planned = planned_run(require_plan(folder), folder, context, stage="check", caller=caller)
    begun.append(planned)
    is_settlement = planned.plan.settles is not None
    tokens: list[str] = []

    def learn(token: str) -> None:
        tokens.append(token)
        part.redact = Redactor(tokens).json

    with planned.reading_ahead():
        refuse_old_decision(planned, context.judged_at())
        note_wait(part, planned)
        case = CheckCase(planned.plan, settlement_facts(planned) if is_settlement else look(planned, learn=learn))
    case = with_ledger(case, planned)
    answers = run_gates("check", case)
    answers = settlement_gates(answers) if is_settlement else answers
    folder.write_json("gates-check.json", answers.document())
    for line in answers.also():
        context.say(line)
    folder.write_model("runner.json", case.facts.runner)
    report = checking.report(case, answers, run_id=context.job.run_id, checked_at=stamp(context.clock.now()))
    folder.write_model("check.json", report)
    run = checked_run(planned, report)
    request = ask_for_approval(run)
    part.note("request", nonce=request.subject.nonce, quorum=run.demand.quorum, channels=list(run.demand.channels))
    runner = case.facts.runner
    sign_readiness(planned, StageEnd(State.CHECKED), notes)
    left = folder.digests(READINESS)
    part.enter(State.CHECKED, check_digest=report.digest(), runner=runner.name or runner.hostname, left=left)
    tell_waiting(part, run, stamp(approval_until(request)))
    return run


def note_wait(part: PartRecorder, run: PlannedRun) -> None:
    """Write down what making the runner cost this run, as GitHub shows the queue of this job. Without a reason nobody is asked."""
    if run.plan.bootstrap is None or run.context.github is None:
        return
    try:
        waited = waited_for_runner(jobs(run.context.github, run.context.job.run_number, run.context.job.attempt), run.plan)
    except DispatchError as error:
        part.note(WAITED, reason=run.plan.bootstrap.reason, not_known=error.title())
        return
    if waited is not None:
        part.note(WAITED, reason=run.plan.bootstrap.reason, seconds=waited)
        run.context.say(f"the runner was made or repaired for this run ({run.plan.bootstrap.reason}): the check waited {waited} s for it")
