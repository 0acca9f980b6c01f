"""Why a run that was planned or checked did not go on, in the order of docs/design/workflows.md 2.

denied -> no runner -> past its time -> not approved -> cancelled
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

from hyops_ci.contracts.approval import ApprovalRequest
from hyops_ci.contracts.base import stamp, whole_second
from hyops_ci.contracts.ensured import Ensured
from hyops_ci.contracts.run import State
from hyops_ci.errors import DispatchError, Exit, Refusal
from hyops_ci.stages.approval import REQUEST, approval_until, decision_until, granted_approvals
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.planned_run import CheckedRun, checked_run, planned_run, require_plan
from hyops_ci.stages.watch.stage import Watched

Seen: TypeAlias = Watched | Ensured
"""What another job saw while the run waited for a runner."""


def stopped_because(
    state: State, folder: RunDir, context: RunContext, results: Mapping[str, str], watches: Sequence[Seen] = ()
) -> DispatchError:
    """Return what ended a run in `state`. `results` is GitHub's result of each job, `watches` what was seen of them."""
    cancelled = "cancelled" in results.values()
    unseen = _no_runner(state, watches)
    if state is State.PLANNED:
        return unseen or (_cancelled(state, results) if cancelled else _check_failed(results))
    if state is not State.CHECKED:
        return _cancelled(state, results) if cancelled else _lost(state, results)
    run = checked_run(planned_run(require_plan(folder), folder, context))
    until = min(approval_until(folder.read_model(REQUEST, ApprovalRequest)), decision_until(run))
    said = approval_outcome(run, until)
    if said is not None and said.gate == "approval.denied":
        return said
    too_late = _too_late(until, context.judged_at(), approved=said is None)
    if cancelled:
        return unseen or too_late or _cancelled(state, results)
    return unseen or too_late or said or _lost(state, results)


def approval_outcome(run: CheckedRun, until: datetime) -> DispatchError | None:
    """Return why the run was not approved as of `until`, None where it was.

    A denial submitted in time counts even if it is read later.
    """
    in_time = min(run.context.judged_at(), until - timedelta(microseconds=1))
    try:
        granted_approvals(run, at=in_time)
    except DispatchError as error:
        return error
    return None


def _no_runner(state: State, watches: Sequence[Seen]) -> Refusal | None:
    """Return why the job that this state waited for had no runner: where one was to be made, by that job's own word first.

    It came as a job's output: of a watch no other gate is accepted, and no other exit code.
    """
    waited = ("bootstrap", "check") if state is State.PLANNED else ("execute",)
    made = [each.refusal for each in watches if isinstance(each, Ensured) and state is State.PLANNED]
    watched = [each.refusal for which in waited for each in watches if isinstance(each, Watched) and each.watched == which]
    said = (*made, *(each for each in watched if each is not None and each.gate.startswith("runner.")))
    found = next((each for each in said if each is not None and each.exit_code == Exit.RUNNER), None)
    return found.refusal() if found is not None else None


def _too_late(until: datetime, now: datetime, *, approved: bool) -> Refusal | None:
    """Return the refusal of a run that was not approved, or not started, in time; also where it was cancelled for that."""
    if now < until:
        return None
    return Refusal(
        "approval.expired",
        "the approval ran out before it was used" if approved else "nobody approved in time",
        exit_code=Exit.APPROVAL,
        found=f"valid until {whole_second(stamp(until))}",
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


def _lost(state: State, results: Mapping[str, str]) -> Refusal:
    """Return the refusal of a run whose process was gone before it took the lock."""
    return Refusal(
        "runner.lost",
        "the process of this run was gone before it took the lock",
        exit_code=Exit.RUNNER,
        found=f"in {state}, {_jobs(results)}; nobody cancelled it",
        expected="an end that the run writes itself",
        fix="look at the log of its last job, and at the runner: was it killed, restarted, out of memory? Then a new run",
    )


def _jobs(results: Mapping[str, str]) -> str:
    return "jobs " + ", ".join(f"{name} {result}" for name, result in results.items()) if results else "no result of a job"


def _cancelled(state: State, results: Mapping[str, str]) -> Refusal:
    return Refusal(
        "run.cancelled",
        "the run was cancelled",
        exit_code=Exit.CANCELLED,
        found=f"in {state}, {_jobs(results)}; GitHub does not say by whom",
        expected="a run to its end",
        fix="start a new run",
    )
