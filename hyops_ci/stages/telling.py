"""What people are told of a run, one line at each moment (docs/notify.md)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hyops_ci.contracts.notify import Moment
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import Result
from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.report.headline import title_of
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.notifier import HASTY, WAIT
from hyops_ci.stages.planned_run import CheckedRun


def name_of(plan: Plan) -> str:
    """Return what a run is about, as people call it."""
    if plan.settles is not None:
        return f"settlement of {plan.service}"
    drill = "drill of " if plan.exercise else ""
    return f"{drill}{plan.decision_type.value} {plan.service}, {plan.source_site} -> {plan.target_site}"


def tell(context: RunContext, moment: Moment, plan: Plan, text: str) -> None:
    """Begin to tell people `text`."""
    context.notifier.tell(moment, text, context.clock.now(), service=plan.service)


def tell_waiting(part: PartRecorder, run: CheckedRun, until: str) -> None:
    """Tell people that an approval is waited for, where one is, and note who was told."""
    plan = run.plan
    if plan.approval.required and plan.exercise != "check":
        with telling(part, run.context, WAIT):
            tell(run.context, Moment.WAITING, plan, f"WAITING FOR APPROVAL  {name_of(plan)}, until {until}")


def tell_started(context: RunContext, plan: Plan) -> None:
    """Tell people that the run has taken the lock."""
    tell(context, Moment.STARTED, plan, f"STARTED  {name_of(plan)}")


def tell_no_return(context: RunContext, plan: Plan, step: str) -> None:
    """Tell people that clients are being moved."""
    tell(context, Moment.PAST_NO_RETURN, plan, f"PAST NO RETURN  {name_of(plan)}: step {step} has begun, cancelling does not undo it")


def tell_ended(context: RunContext, result: Result) -> None:
    """Tell people how the run ended."""
    notifier, now = context.notifier, context.clock.now()
    service, outcome = result.service or "", result.outcome.value
    notifier.tell(Moment.ENDED, title_of(result), now, service=service, outcome=outcome, exit_code=result.exit_code)
    notifier.close(context.say)


@contextmanager
def telling(part: PartRecorder, context: RunContext, seconds: float = HASTY) -> Iterator[None]:
    """Note in the evidence who was told while the block ran. Neither a receiver nor a full disk stops anything."""
    try:
        yield
    finally:
        if told := context.notifier.close(context.say, seconds):
            with suppress(OSError):
                part.note("notify", told=told)
