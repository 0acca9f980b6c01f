"""Start a recovery of several services: one run for each that plans and checks, and then waits for signatures. Nothing is changed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.run import State
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import DispatchError, Exit, Refusal
from hyops_ci.operations.dispatch.follow import RunOutcome, fetch, follow
from hyops_ci.operations.dispatch.start import DispatchedRun, StartRequest, dispatch
from hyops_ci.operations.recovery.context import Recovery, names, refuse_unknown, remaining, starting
from hyops_ci.planning.waves import TYPES, next_wave


@dataclass(frozen=True)
class Reasons:
    """What a person says of a recovery, for every service of it."""

    reason: str
    old_primary: str = "not-confirmed"


def recovery_id(name: str, now: datetime, token: str) -> str:
    """Return the id of a new recovery by plan `name`; `token`: four hex digits."""
    return f"{name}-{now:%Y%m%dT%H%M%SZ}-{token}"


def start(recovery: Recovery, why: Reasons, *, within: int) -> tuple[DispatchedRun, ...]:
    """Start a run for every service that is not proven yet, and follow them until each waits for its signatures. `within`: seconds, each.

    Raises Refusal where one of them does not get so far: then none is to be approved, and nothing was changed.
    """
    standing = recovery.standing(recovery.tips())
    number = next_wave(recovery.plan, standing)
    if not number:
        raise nothing_left(recovery)
    refuse_unknown(recovery, standing)
    services = remaining(recovery, standing)
    if done := [each for each in standing if each not in services]:
        recovery.say(f"already where it is to go: {names(done)}")
    started = _dispatch(recovery, why, services)
    ended = {service: _ended(recovery, run, within) for service, run in zip(services, started, strict=True)}
    refuse_half(recovery, ended)
    return started


def refuse_half(recovery: Recovery, ended: dict[str, RunOutcome]) -> None:
    """Refuse a recovery of which a part may not begin: nobody is asked to approve the rest of it. Raises Refusal with that run's code."""
    lost = {service: each.result for service, each in ended.items() if each.result.outcome is not State.UNSIGNED}
    if not lost:
        return
    first = next(iter(lost.values()))
    raise Refusal(
        "recovery.checks",
        "not every service of the recovery could begin, so none is to be approved",
        exit_code=Exit(first.exit_code) if first.exit_code else Exit.POLICY,
        found="; ".join(f"{service}: {each.headline}" for service, each in lost.items()),
        expected=f"{len(ended)} checks that wait for signatures",
        fix=f"mend it, then {starting(recovery.name)}; what waits ends by itself, and nothing was changed",
        docs="recovery-plans.md",
    )


def _dispatch(recovery: Recovery, why: Reasons, services: Iterable[str]) -> tuple[DispatchedRun, ...]:
    """Start one run for each service. Raises as `dispatch`, with a note on what was started already."""
    started: list[DispatchedRun] = []
    for service in services:
        request = StartRequest(workflow=recovery.workflow, decision=_decision(recovery, why, service))
        try:
            run = dispatch(request, recovery.client, recovery.clock, recovery.say)
        except DispatchError as error:
            if started:
                recovery.say(f"{len(started)} checks were started before; they wait for signatures, end by themselves and change nothing")
            raise error from None
        recovery.say(f"checks {service}   {run.url}")
        started.append(run)
    return tuple(started)


def _decision(recovery: Recovery, why: Reasons, service: str) -> bytes:
    document = {
        "api_version": "hybridops/v1",
        "kind": "Decision",
        "decision_id": recovery.decision_id(service),
        "decision_type": TYPES[recovery.plan.action].value,
        "service": service,
        "rationale": why.reason,
        "issued_at": stamp(recovery.clock.now().replace(microsecond=0)),
        "issuer": f"recovery plan {recovery.name}",
        "old_primary": why.old_primary,
        "part_of": {"recovery_plan": recovery.name, "recovery_id": recovery.id},
    }
    return json.dumps(document, indent=2, sort_keys=True).encode()


def _ended(recovery: Recovery, run: DispatchedRun, within: int) -> RunOutcome:
    """Return how the check of one service ended. Raises Refusal (exit 12) for a run that cannot be told from others."""
    if run.run_id is None:
        raise Refusal(
            "dispatch.which",
            "a run was started, but cannot be identified",
            exit_code=Exit.UNAVAILABLE,
            found=run.decision_id,
            expected="one run with that in its name",
            fix=f"look at {run.url}; the run-name of workflows-templates/dr-manual.yml makes it known, then start again",
            docs="dispatch.md",
        )
    fact = follow(recovery.client, run.run_id, within=within, clock=recovery.clock, say=recovery.say)
    return fetch(recovery.client, fact, decision_id=run.decision_id)


def nothing_left(recovery: Recovery) -> Refusal:
    """Return the refusal, exit 0, of what there is nothing to do for any more."""
    return Refusal(
        "recovery.done",
        "every service of the plan is where it is to go",
        exit_code=Exit.DONE,
        found=recovery.name,
        expected="a service that is not",
        fix="nothing is left to do",
        docs="recovery-plans.md",
    )
