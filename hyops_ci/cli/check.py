"""`hyops-ci check`: the check stage, as a step on the runner."""

from __future__ import annotations

import os

import click

from hyops_ci.cli.options import format_option
from hyops_ci.text import shell


@click.command("check")
@format_option
def command(output: str) -> int:
    """Ask this runner what would happen: DR_HANDOVER is the plan's file, DR_HANDOVER_DIGEST its sha256. Changes nothing."""
    from hyops_ci.cli.github_job import finish_stage, github_context, read_handover, show_gates
    from hyops_ci.cli.render import say, summarize
    from hyops_ci.contracts.approval import ApprovalRequest
    from hyops_ci.operations.host_look import host_notes
    from hyops_ci.report.approval_page import approval_lines
    from hyops_ci.stages.approval import REQUEST, may_proceed, reviewers_in
    from hyops_ci.stages.check.stage import check
    from hyops_ci.stages.track_record import track_record_in

    run, config = read_handover(os.environ, "check")
    world = github_context(config, on_runner=True)
    end = check(run, world, host_notes)
    show_gates(run, "gates-check.json")
    outputs = {"ready": "false"}
    if end.run is not None:
        request = run.read_model(REQUEST, ApprovalRequest)
        ready = may_proceed(end.run)
        outputs = {"check_digest": request.check.digest(), "ready": "true" if ready else "false"}
        lines = approval_lines(
            request, demand=end.run.demand, reviewers=reviewers_in(run), run_url=world.job.url, known=track_record_in(run)
        )
        summarize(lines)
        for line in lines:
            say(line)
        if not ready:
            command = shell("hyops-ci approve {} --key FILE", world.job.url)
            say(f"WAITING FOR A SIGNATURE: {command}   (without GitHub's API: --request handover.tar)")
    return finish_stage(run, end, outputs, output)
