"""`hyops-ci watch`: whether a runner takes the job, as a step beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

import click

from hyops_ci.cli.options import format_option, gather
from hyops_ci.dataclass import dataclass, replace
from hyops_ci.parsing.documents import read_json
from hyops_ci.parsing.strict_json import JsonError

if TYPE_CHECKING:
    from hyops_ci.stages.watch.stage import Watched


@dataclass(frozen=True)
class WatchOptions:
    """Which job is watched, and the runner that the plan is about: outputs of the plan step as they are."""

    which: Literal["check", "execute", "bootstrap"]
    job: str
    runs_on: str
    runner_ref: str
    runner_names: str
    runner_group: str
    lane: str
    bootstrap_reason: str
    preempts: bool
    gate: str
    organization: str
    limit: int


@click.command("watch")
@click.option("--which", type=click.Choice(["check", "execute", "bootstrap"]), envvar="DR_WHICH", default="check", show_default=True)
@click.option("--job", envvar="DR_JOB", required=True, help="Name of the job to watch, as its workflow gives it.")
@click.option("--runs-on", envvar="DR_RUNS_ON", required=True, help="The plan's labels, a JSON array.")
@click.option("--runner-ref", envvar="DR_RUNNER_REF", required=True, help="The plan's runner.")
@click.option("--runner-names", envvar="DR_RUNNER_NAMES", default="[]", help="Names of the runners that may take it, a JSON array.")
@click.option("--runner-group", envvar="DR_RUNNER_GROUP", default="", help="The runner group that it must belong to.")
@click.option("--lane", envvar="DR_LANE", default="", help="The lane, for the command that helps.")
@click.option(
    "--bootstrap-reason",
    envvar="DR_BOOTSTRAP_REASON",
    type=click.Choice(["", "initial-bootstrap", "runner-recovery", "lab-fallback"]),
    default="",
    help="Why a runner may be made, as the plan allowed it.",
)
@click.option(
    "--preempts", envvar="DR_PREEMPTS", is_flag=True, help="This is a real recovery: it ends a drill that its runner is busy with."
)
@click.option("--gate", envvar="DR_GATE", default="", help="The environment whose reviewer is named.")
@click.option("--organization", envvar="DR_RUNNER_ORG", default="", help="Whose runners may serve the repository, too.")
@click.option("--limit", envvar="DR_LIMIT", type=click.IntRange(30, 3600), default=120, show_default=True, help="Seconds in the queue.")
@format_option
@gather(WatchOptions)
def command(options: WatchOptions, output: str) -> int:
    """Watch one job of this run until a runner has it; cancel the run where none comes, or a stranger.

    DR_TOKEN needs actions: write. With DR_RUNNER_TOKEN, or DR_APP_ID and DR_APP_KEY_FILE, it also knows whether the runner is online.
    """
    from hyops_ci.cli.connect import connect, connect_for_runners
    from hyops_ci.cli.github_job import github_context
    from hyops_ci.stages.watch.queue import ExpectedJob
    from hyops_ci.stages.watch.stage import WatchRequest, watch

    world = github_context(None, on_runner=False)
    labels, names, group = listed(options.runs_on, at_least=1), listed(options.runner_names), options.runner_group
    expected = ExpectedJob(job=options.job, attempt=world.job.attempt, labels=labels, names=names, group=group, limit=options.limit)
    if not expected.self_hosted:  # GitHub's own machines can be late for all of GitHub, and come
        expected = replace(expected, limit=expected.busy_limit)
    request = WatchRequest(
        options.which,
        expected,
        options.runner_ref,
        options.lane,
        options.bootstrap_reason,
        preempts=options.preempts,
        gate=options.gate,
        org=options.organization,
    )
    client, runners = world.github or connect(world.job.repository), connect_for_runners(world.job.repository)
    watched = watch(request, client, world, runners=runners, report=lambda found: report(found, output))
    return watched.refusal.exit_code if watched.refusal else 0


def listed(text: str, at_least: int = 0) -> tuple[str, ...]:
    """Return the names in a JSON array of `at_least` names. Raises Refusal (exit 2)."""
    from hyops_ci.errors import Exit, Refusal

    try:
        found = read_json(text or "[]")
    except JsonError:
        found = None
    if isinstance(found, list) and len(found) >= at_least and all(isinstance(name, str) for name in found):
        return tuple(found)
    raise Refusal(
        "watch.labels",
        "not a list of names",
        exit_code=Exit.USAGE,
        found=text,
        expected='a JSON array such as ["self-hosted", "gcp-ops-runner"]',
        fix="hand over the outputs of the plan step as they are",
    )


def report(watched: Watched, output: str) -> None:
    """Write outputs, annotation and summary, before the run is cancelled: that ends this step as well."""
    from hyops_ci.cli.render import say, set_outputs, summarize, workflow
    from hyops_ci.contracts.run import State
    from hyops_ci.report.text import refusal_lines

    flow, refusal = workflow(), watched.refusal
    set_outputs(
        {
            "verdict": watched.verdict.value,
            "runner_name": watched.runner_name,
            "runner_id": str(watched.runner_id or ""),
            "waited_seconds": str(watched.waited_seconds),
            "cause": watched.cause,
            "exit_code": str(refusal.exit_code if refusal else 0),
            "watched": json.dumps(watched.document(), sort_keys=True),
        },
        output,
        required=("verdict", "exit_code", "watched"),
    )
    if refusal is not None:
        lines = refusal_lines(State.NO_RUNNER, refusal)
        flow.annotate("error", lines[0], "\n".join(lines))
        summarize(lines)
        for line in lines:
            say(line)
    elif watched.verdict == "unknown":
        flow.annotate("warning", "Not known whether a runner takes the job", watched.cause)
