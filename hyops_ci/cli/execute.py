"""`hyops-ci execute`: the execute stage, as a step on the runner."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from hyops_ci.cli.options import format_option

if TYPE_CHECKING:
    from hyops_ci.contracts.run import RefusalRecord, State


@click.command("execute")
@format_option
def command(output: str) -> int:
    """Carry out the approved plan: DR_HANDOVER is the check's file, DR_HANDOVER_DIGEST its sha256. Seals the evidence."""
    from hyops_ci.cli.github_job import github_context, read_handover
    from hyops_ci.cli.render import say, set_outputs, workflow
    from hyops_ci.contracts.digest import digest_bytes
    from hyops_ci.contracts.run import Result
    from hyops_ci.errors import Exit
    from hyops_ci.report.text import summary_lines
    from hyops_ci.stages.execute.stage import execute, refuse_rerun
    from hyops_ci.stages.job import read_job
    from hyops_ci.stages.sealing import bundle_path

    # A re-run seals nothing: what became of the first attempt, which may hold the lock, is for `conclude` to say.
    refuse_rerun(read_job(os.environ))
    run, config = read_handover(os.environ, "execute")
    world = github_context(config, on_runner=True)
    ended = execute(run, world)
    if not ended.sealed and ended.refusal is not None:
        return _show_unsealed(ended.state, ended.refusal, output)
    result, bundle = run.read_model("result.json", Result), bundle_path(run)
    flow, digest = workflow(), digest_bytes(bundle.read_bytes())
    lines = summary_lines(result, run.read_json("objectives.json"), f"{bundle.name}, {digest}")
    for line in lines:  # first: a full disk may take no outputs
        say(line)
    set_outputs(
        {
            "outcome": result.outcome.value,
            "exit_code": str(result.exit_code),
            "check_digest": result.check_digest or "",
            "claim_id": result.claim_id,
            "epoch": str(result.epoch or ""),
            "evidence": str(bundle),
            "evidence_digest": digest,
        },
        output,
    )
    if ended.problems:
        flow.annotate("error", "INVALID evidence", "\n".join(ended.problems))
        return int(Exit.EVIDENCE)
    if result.exit_code:
        flow.annotate("error", lines[0], "\n".join(lines))
    return result.exit_code


def _show_unsealed(state: State, refusal: RefusalRecord, output: str) -> int:
    """Show the end of a run that left no evidence, without anything that needs room on the disk. Return the exit code."""
    from hyops_ci.cli.render import say, set_outputs, workflow
    from hyops_ci.report.text import refusal_lines

    lines = refusal_lines(state, refusal)
    for line in lines:
        say(line)
    workflow().annotate("error", lines[0], "\n".join(lines))
    with suppress(OSError):
        set_outputs({"outcome": state.value, "exit_code": str(refusal.exit_code)}, output)
    return refusal.exit_code
