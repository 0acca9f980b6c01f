"""Check: the chosen runner says what would happen, before a person is asked. Nothing changes, no secret value is read.

caller -> plan -> look -> gates -> report -> request for approval
"""

from __future__ import annotations

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.run import State
from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.planning import checking
from hyops_ci.stages.approval import ask_for_approval
from hyops_ci.stages.context import World
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.job_identity import require_caller
from hyops_ci.stages.preview import look, require_plan
from hyops_ci.stages.runner import StageEnd, run_stage


def check(run: RunDir, world: World) -> StageEnd:
    """Tell the story; `run` then holds the report and the request for approval, or the refusal."""

    def story(part: PartRecorder) -> None:
        caller = require_caller("check", part, world)
        plan = require_plan(run)
        facts = look(plan, run, world, "check", caller)
        answers = checking.gates(plan, facts)
        run.write_json("gates-check.json", answers.document())
        run.write_model("runner.json", facts.runner)
        report = checking.check(plan, facts, run_id=world.job.run_id, checked_at=stamp(world.clock.now()))
        run.write_model("check.json", report)
        request = ask_for_approval(plan, report, run, world)
        part.note("request", nonce=request.subject.nonce, quorum=plan.approval.quorum, channels=list(plan.approval.channels))
        part.enter(State.CHECKED, check_digest=report.digest(), runner=facts.runner.name or facts.runner.hostname)

    return run_stage("check", run, world, story)
