"""Which real run a drill gave way to, as GitHub shows it: who cancels a run is not told, who waited for its runner is."""

from __future__ import annotations

from hyops_ci.contracts.github_facts import RunFact
from hyops_ci.contracts.plan import Plan
from hyops_ci.errors import DispatchError, shown
from hyops_ci.github.api.client import Client
from hyops_ci.github.jobs import jobs
from hyops_ci.github.runs import unfinished_runs
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.job import is_dispatch, is_drill_job


def gave_way_to(plan: Plan, client: Client, context: RunContext) -> str:
    """Return, for a drill whose job was cancelled, the run that waits for its runner or has it by now; empty where none is seen.

    It is told to people and decides nothing. Never raises.
    """
    try:
        others = [run for run in unfinished_runs(client) or () if run.run_id != context.job.run_number]
        calling = [run for run in others if any(is_dispatch(path) for path, _ in run.referenced)]
        found = next((run for run in calling if _wants(run, plan, client)), None)
    except DispatchError as error:
        context.say(f"not known whether this drill gave way to a real run: {error.title()}")
        return ""
    return f"to run {found.run_id} ({shown(found.title, 100)}), which needs {plan.runner_ref}: {found.url}" if found is not None else ""


def _wants(run: RunFact, plan: Plan, client: Client) -> bool:
    labels = {label.casefold() for label in plan.runs_on}
    return any(
        job.status in ("queued", "in_progress") and {label.casefold() for label in job.labels} == labels and not is_drill_job(job)
        for job in jobs(client, run.run_id, run.attempt)
    )
