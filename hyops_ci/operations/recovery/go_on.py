"""Carry a recovery on, wave by wave: start what is approved, follow it, and begin the next wave when this one is proven.

Whoever was cut off says it again, or somebody else does: where each service stands is its ledger's word, and a run that goes on
already is followed, not started twice.
"""

from __future__ import annotations

from collections.abc import Mapping

from hyops_ci.contracts.ledger import Tip
from hyops_ci.errors import Exit, Refusal
from hyops_ci.operations.approve import PendingRun, answer_status, may_resume, resume
from hyops_ci.operations.dispatch.follow import follow
from hyops_ci.operations.recovery.context import Recovery, approving, names, refuse_unknown, remaining, starting
from hyops_ci.operations.recovery.pending import pending_runs
from hyops_ci.planning.waves import next_wave


def go_on(recovery: Recovery, *, within: int) -> dict[str, Tip]:
    """Return the ledgers' words once no further wave may begin: all proven, or one not. `within`: seconds, for each run.

    Raises Refusal where a service's end is unknown (exit 5), or where not all that is left is approved (exit 6): then nothing begins.
    """
    tips, before = recovery.tips(), 0
    while number := next_wave(recovery.plan, recovery.standing(tips)):
        if number == before:
            return tips  # its runs have ended, and it is not proven
        before = number
        _carry_out(recovery, number, tips, within)
        tips = recovery.tips()
    return tips


def _carry_out(recovery: Recovery, number: int, tips: Mapping[str, Tip], within: int) -> None:
    """Start what is open in a wave, and follow all of it to its end."""
    standing, wave = recovery.standing(tips), recovery.plan.waves[number - 1]
    refuse_unknown(recovery, standing)
    working = {service: _run_of(tips[service]) for service in wave if standing[service] == "at work"}
    if waiting := [service for service in wave if standing[service] == "open"]:
        recovery.say(f"wave {number} of {len(recovery.plan.waves)}: {names(waiting)}")
        left = tuple(each for each in remaining(recovery, standing) if standing[each] == "open")
        pending = pending_runs(recovery, left)
        try:
            refuse_unapproved(recovery, pending)
        except Refusal:
            # The claim of a run that somebody else started takes the answers with it: meanwhile it may have come.
            if (newer := recovery.tips()) == tips:
                raise
            _carry_out(recovery, number, newer, within)
            return
        for service in waiting:
            begun = resume(recovery.client, pending[service], may_resume(recovery.client, pending[service]), recovery.clock)
            recovery.say(f"recovers {service}   {begun.url}")
            working[service] = begun.run_id or 0
    for run_id in filter(None, working.values()):
        follow(recovery.client, run_id, within=within, clock=recovery.clock, say=recovery.say)


def refuse_unapproved(recovery: Recovery, pending: Mapping[str, PendingRun]) -> None:
    """Refuse to begin a wave while a service of this or a later one lacks answers. Raises Refusal (exit 6)."""
    now = recovery.clock.now()
    known = {service: answer_status(run, recovery.opened(service), now) for service, run in pending.items()}
    if lacking := {service: each.summary for service, each in known.items() if not each.enough}:
        raise Refusal(
            "recovery.unapproved",
            "not everything that is left of the recovery is approved, so nothing of it begins",
            exit_code=Exit.APPROVAL,
            found="; ".join(f"{service}: {why}" for service, why in lacking.items()),
            expected=f"answers that suffice for {names(pending)}",
            fix=f"{approving(recovery.id)}; where their time is over: {starting(recovery.name)}",
            docs="recovery-plans.md",
        )


def _run_of(tip: Tip) -> int:
    """Return the number of the run on GitHub that holds a service; 0 for one from a shell."""
    number = tip.claim.run_id.partition("-")[0] if tip.claim is not None else ""
    return int(number) if number.isdigit() else 0
