"""`hyops-ci ensure-runner`: the runner that a watch called missing is made or repaired, as a step behind a gate of its own."""

from __future__ import annotations

import json
import os

import click

from hyops_ci.cli.options import format_option


@click.command("ensure-runner")
@format_option
def command(output: str) -> int:
    """Make or repair the planned run's runner: DR_HANDOVER is the plan's file, DR_HANDOVER_DIGEST its sha256.

    Only for a reason that plan and config allow, and behind the gate of the plan's reason.
    """
    from hyops_ci.cli.github_job import finish_stage, github_context, read_handover
    from hyops_ci.cli.render import say, summarize
    from hyops_ci.operations.runner_tools import tools_for
    from hyops_ci.stages.ensure_runner.stage import ensure_runner

    run, config = read_handover(os.environ, "ensure-runner")
    end = ensure_runner(run, github_context(config, on_runner=False), tools_for)
    outputs = {}
    if end.ensured is not None:
        outputs["ensured"] = json.dumps(end.ensured.document(), sort_keys=True)
        lines = end.ensured.lines()
        summarize(lines)
        for line in lines:
            say(line)
    return finish_stage(run, end, outputs, output)
