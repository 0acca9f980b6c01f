"""Why a run that was planned or checked went no further, in the order of docs/design/workflows.md 2.

denied -> no runner -> past its time -> not approved -> cancelled
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from hyops_ci.config.file import read_config
from hyops_ci.contracts.approval import ApprovalRequest
from hyops_ci.contracts.base import moment, seconds, stamp
from hyops_ci.contracts.check import Check
from hyops_ci.contracts.decision import Decision
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import RefusalRecord, State
from hyops_ci.errors import DispatchError, Exit, Fault, Refusal
from hyops_ci.stages.approval import REQUEST, decision_until, weigh
from hyops_ci.stages.context import World
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.watch.stage import Watched


def why_no_further(state: State, run: RunDir, world: World, results: Mapping[str, str], watches: Sequence[Watched]) -> DispatchError:
    """What ended a run in `state`. `results` is GitHub's word on each job, `watches` what was seen of them."""
    cancelled = "cancelled" in results.values()
    unseen = _no_runner(state, watches)
    if state is State.PLANNED:
        return unseen or (_cancelled(state, results) if cancelled else _check_failed(results))
    if state is not State.CHECKED:
        return _cancelled(state, results)
    said = _no_yes(run, world)
    if said is not None and said.gate == "approval.denied":
        return said
    return unseen or _too_late(run, world, approved=said is None) or (None if cancelled else said) or _cancelled(state, results)


def _no_yes(run: RunDir, world: World) -> DispatchError | None:
    """What the approvers said in time, as far as it can be asked now: a no counts, however late it is read."""
    plan, check = run.read_model("plan.json", Plan), run.read_model("check.json", Check)
    in_time = min(world.judged_at(), min(_ends(run)) - timedelta(microseconds=1))
    try:
        weigh(plan, check, world.ledger(plan.service).tip(), run, world, at=in_time)
    except (Refusal, Fault) as error:
        return error
    return None


def _ends(run: RunDir) -> tuple[datetime, datetime]:
    """When the time to approve ends, and when the decision does."""
    plan, request = run.read_model("plan.json", Plan), run.read_model(REQUEST, ApprovalRequest)
    approval = moment(request.requested_at) + timedelta(seconds=seconds(plan.approval.lifetime))
    return approval, decision_until(run.read_model("decision.json", Decision), read_config(run.read("sources/config"))[0])


def _no_runner(state: State, watches: Sequence[Watched]) -> Refusal | None:
    """The watch's own refusal, of the job that this state waited for. It came as text of a job's output: another gate's it cannot be."""
    which = "check" if state is State.PLANNED else "execute"
    said = (each.refusal for each in watches if each.watched == which and each.refusal is not None)
    found = next((each for each in said if each.gate.startswith("runner.") and each.exit_code == Exit.RUNNER), None)
    return _again(found) if found is not None else None


def _again(record: RefusalRecord) -> Refusal:
    return Refusal(
        record.gate,
        record.reason,
        exit_code=Exit(record.exit_code),
        found=record.found,
        expected=record.expected,
        fix=record.fix,
        docs=record.docs,
    )


def _too_late(run: RunDir, world: World, *, approved: bool) -> Refusal | None:
    """Nobody answered while an answer could count, or what was answered was not used in time: also where the run was cancelled for that."""
    until, now = min(_ends(run)), world.judged_at()
    if now < until:
        return None
    return Refusal(
        "approval.expired",
        "the approval ran out before it was used" if approved else "nobody approved in time",
        exit_code=Exit.APPROVAL,
        found=f"valid until {stamp(until)}",
        expected="a claim before that" if approved else "a yes before that",
        fix="start a new run",
    )


def _check_failed(results: Mapping[str, str]) -> Refusal:
    return Refusal(
        "runner.silent",
        "no runner did the check",
        exit_code=Exit.RUNNER,
        found=f"job check: {results.get('check', 'no result')}",
        expected="one online runner with the plan's labels, able to run the job",
        fix="look at the log of the check job; repair the runner; then a new run",
    )


def _cancelled(state: State, results: Mapping[str, str]) -> Refusal:
    return Refusal(
        "run.cancelled",
        "the run was cancelled",
        exit_code=Exit.CANCELLED,
        found=f"in {state}, jobs {dict(results)}",
        expected="a run to its end",
        fix="start a new run",
    )
