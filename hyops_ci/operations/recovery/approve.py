"""One page that lists every service of a recovery, and one person's answer to all of them: each signed, none of them started."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal

from hyops_ci.contracts.approval import ApprovalRequest
from hyops_ci.errors import DispatchError
from hyops_ci.operations.approve import AnswerStatus, PendingRun, push_answer
from hyops_ci.operations.recovery.context import Recovery
from hyops_ci.planning.waves import wave_of
from hyops_ci.report.approval_page import approval_lines

Verdict = Literal["approve", "deny"]


def page(recovery: Recovery, pending: Mapping[str, PendingRun]) -> list[str]:
    """Return the page of the approver, line by line: the recovery, then wave by wave what each service asks."""
    plan = recovery.plan
    asking = sorted({person.login for each in pending.values() for person in each.request.requesters})
    lines = [
        f"APPROVE?  RECOVERY {recovery.name}: {plan.action} of {len(pending)} services in {len(plan.waves)} waves",
        f"Asked      {', '.join(asking) or 'nobody by name'}; recovery {recovery.id}",
        "Does       one run for each service; a wave begins when every service of the one before is proven. Your answer is for all of them",
    ]
    for number, wave in enumerate(plan.waves, 1):
        lines += ["", f"WAVE {number} of {len(plan.waves)}: {', '.join(wave)}"]
        for service in wave:
            asked = pending.get(service)
            lines += ["", *(approval_lines(asked.request, run_url=asked.run.url) if asked else [f"{service} is where it is to go already"])]
    return lines


def answer_all(
    recovery: Recovery,
    pending: Mapping[str, PendingRun],
    sign: Callable[[ApprovalRequest], Mapping[str, Any]],
    now: datetime,
) -> dict[str, AnswerStatus]:
    """Push an answer to every service's ledger, and return whether those that are there suffice. An answer that is there stays one.

    Nothing is started. Raises as `push_answer`; what was pushed before then stays, and the same command pushes the rest.
    """
    found: dict[str, AnswerStatus] = {}
    for service, each in pending.items():
        try:
            found[service] = push_answer(each, sign(each.request), recovery.opened(service), now)
        except DispatchError:
            recovery.say(
                f"{len(found)} of {len(pending)} answers are in their ledgers; nothing begins until all are. Say it again for the rest"
            )
            raise
        recovery.say(f"wave {wave_of(recovery.plan, service)}  {service}: {found[service].summary}")
    return found
