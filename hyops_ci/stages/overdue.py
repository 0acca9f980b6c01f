"""Cancel the runs that wait longer than an approval can count, so that none is released by mistake.

An approval of such a run would be refused at the claim; this only tidies up, and its own errors stop nothing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from hyops_ci.contracts.base import moment, seconds
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.github_facts import RunFact
from hyops_ci.errors import DispatchError
from hyops_ci.github.api.client import Client
from hyops_ci.github.jobs import cancel
from hyops_ci.github.runs import waiting_runs
from hyops_ci.stages.context import RunContext

CHECKING: Final = timedelta(minutes=30)
"""How long plan and check may take before the wait for an approval begins."""


def cancel_overdue(config: DispatchConfig, workflow: str, context: RunContext) -> tuple[int, ...]:
    """Cancel the runs of `workflow` (a file's name) that can no longer be approved, and return their numbers."""
    if context.github is None or not workflow:
        return ()
    limit = CHECKING + timedelta(seconds=seconds(config.approvals.lifetime))
    try:
        waiting = waiting_runs(context.github, workflow)
        own, now = context.job.run_number, context.judged_at()  # after GitHub's first answer, which says how late it is there
        late = [run for run in waiting if run.run_id != own and now - moment(run.created_at) > limit]
    except DispatchError as error:
        context.say(f"runs that wait too long were not looked for: {error.title()}")
        return ()
    return tuple(run.run_id for run in late if _cancel(run, context.github, context))


def _cancel(run: RunFact, client: Client, context: RunContext) -> bool:
    """Cancel one run. An error with one does not keep the others."""
    try:
        ended = cancel(client, run.run_id)
    except DispatchError as error:
        context.say(f"run {run.run_id} waits too long and was not ended: {error.title()}")
        return False
    if ended:
        context.say(f"run {run.run_id} waited for an approval that can count no more: cancelled")
    return ended
