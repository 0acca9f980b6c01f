"""What a person does after a run, by how it ended (docs/design/texts.md 4)."""

from __future__ import annotations

from collections.abc import Iterator

from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import State
from hyops_ci.dataclass import dataclass
from hyops_ci.evidence.conclusions import RECOVERED
from hyops_ci.ledger.settling import by_key, on_github
from hyops_ci.report.looking import look_lines
from hyops_ci.text import shell


@dataclass(frozen=True)
class Left:
    """What a run left behind that decides what comes next."""

    kept: bool
    """Only a settlement frees the lock."""
    past_no_return: bool = False
    at_work: bool | None = None
    """Whether HyOps is still at work on the runner; None where that is not known here."""
    last_word: str = ""
    """What its supervisor last wrote there; empty where that is not known here."""


def next_of(state: State, plan: Plan | None, left: Left) -> tuple[str, ...]:
    """Return what a person does next: never a new run where clients may have moved and nobody has said where they are."""
    if plan is None or state is State.SETTLED:
        return ()
    if plan.settles is not None:
        return (f"the lock of {plan.service} is kept until it is settled: start a new settlement once its cause is gone",)
    if state is State.NOT_CLEANED:
        return tuple(_remove(plan, left))
    if left.kept or state is State.INDETERMINATE:
        return tuple(_look_and_settle(state, plan, left))
    match state:
        case _ if plan.destroys:
            return ("a failed drill is what a night would have been: mend its cause, then drill again",) if state not in RECOVERED else ()
        case _ if state in RECOVERED and plan.exercise:
            return (f"what the drill made stays in env {plan.env} until it is destroyed with HyOps",)
        case _ if state in RECOVERED and plan.decision_type == "failover":
            form = shell("gh workflow run dr.yml -f service={}", plan.service)
            return (f"keep {plan.source_site} fenced. Failback: {form} -f action=failback -f reason=...",)
        case State.CHECK_PASSED if plan.decision_type == "failover" and plan.env_class != "drill":
            form = shell("gh workflow run dr.yml -f service={}", plan.service)
            return (f"a failover is asked for by: {form} -f action=failover -f reason=...",)
        case State.FAILED | State.CANCELLED | State.NOT_PROVEN:
            return ("start a NEW run, do not re-run this one",)
        case _:
            return ()


def _remove(plan: Plan, left: Left) -> Iterator[str]:
    if left.at_work:
        yield at_work_line(plan.runner_ref, left.at_work)
    yield "drill again, which begins by removing what is left: " + shell(
        "gh workflow run dr.yml -f action=drill -f service={} -f reason=...", plan.service
    )
    yield f"or remove it by hand as the refusal says, look that nothing is left in env {plan.env}, then settle: {by_key(plan.service)}"


def _look_and_settle(state: State, plan: Plan, left: Left) -> Iterator[str]:
    if state is State.INDETERMINATE:
        yield at_work_line(plan.runner_ref, left.at_work)
        if left.last_word:
            yield left.last_word
    if plan.exercise:
        yield f"look what the drill left in env {plan.env}, and that production of the service is as before"
        if plan.destroys:
            yield "a new drill of the service begins by removing what is left, and needs no settlement"
    else:
        yield from (f"look: {line}" for line in look_lines(plan))
    yield f"then settle: {on_github(plan.service)}"
    yield f"or, where no host signs the ledger or GitHub is down: {by_key(plan.service)}"


def at_work_line(runner: str, at_work: bool | None) -> str:
    """Return whether HyOps is at work on the runner: while it is, what people see can change under them."""
    if at_work is False:
        return f"HyOps is no longer at work on {runner}"
    word = "is still" if at_work else "may still be"
    return f"HyOps {word} at work on {runner}: wait until hyops-ci doctor shows no lock.host there, or end it there, before you settle"
