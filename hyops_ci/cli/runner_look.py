"""`hyops-ci runner lanes` and `look`: what runner.yml starts on a schedule, and a look at the host of a runner by a job on it."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyops_ci.cli.given import given
from hyops_ci.cli.options import config_option, format_option
from hyops_ci.contracts.lanes import LANES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hyops_ci.contracts.config import DispatchConfig
    from hyops_ci.evidence.bundle import Sealed
    from hyops_ci.evidence.recorder import PartRecorder
    from hyops_ci.operations.host_look import HostLook
    from hyops_ci.stages.context import RunContext
    from hyops_ci.stages.handover import RunDir

lane_option = click.option("--lane", envvar="DR_LANE", type=click.Choice(["", *LANES]), default="", help="This lane only.")
folder_option = click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), help="Where the evidence is made; else a new folder, which is said."
)


@click.command("lanes")
@config_option
@lane_option
@format_option
def lanes(config_file: Path, lane: str, output: str) -> int:
    """Print the standing runners as runner.yml takes them: a job for each, and where one is made the job that makes it."""
    from hyops_ci.cli.render import emit, set_outputs
    from hyops_ci.config.file import read_config

    config, _ = read_config(given(config_file), str(config_file))
    found = rows(config, lane)
    names = [str(row["runner_ref"]) for row in found]
    if os.environ.get("GITHUB_ACTIONS") == "true":
        from hyops_ci.config.machines import machine_of

        machine = machine_of(config, lane)
        values = {"lanes": json.dumps(found), "gate": config.policy.bootstrap_environment, "makes_on": json.dumps(makes_on(config, lane))}
        set_outputs(values | {"provider": machine.provider if machine else ""}, output, required=tuple(values))
    else:
        emit(output, names, found)
    return 0


def rows(config: DispatchConfig, lane: str) -> list[dict[str, Any]]:
    """Return each runner once: its lane, its labels, its names, and what the job that looks at it is called."""
    from hyops_ci.stages.watch.runner_status import lanes_of

    return [
        {
            "lane": each.name,
            "runner_ref": each.runner_ref,
            "runs_on": list(each.labels),
            "names": list(each.names),
            "title": f"Look at {each.runner_ref}",
        }
        for each in lanes_of(config, lane)
    ]


def makes_on(config: DispatchConfig, lane: str) -> list[str]:
    """Return the labels of the job that makes a lane's runner; those of a machine of GitHub's where nothing is made."""
    from hyops_ci.config.machines import machine_of
    from hyops_ci.contracts.runner_machine import HOSTED

    machine = machine_of(config, lane)
    return list(HOSTED if machine is None else machine.made_on)


@click.command("look")
@config_option
@lane_option
@folder_option
@format_option
def look(config_file: Path, lane: str, folder: Path | None, output: str) -> int:
    """On a runner's host, as the user of its jobs: agent, room, certificates, keys, and what the release needs. Changes nothing.

    Leaves a sealed bundle. Exit 7 where a recovery would fail on this host, or soon be refused.
    """
    from hyops_ci.cli.render import workflow
    from hyops_ci.config.file import read_config
    from hyops_ci.errors import Exit
    from hyops_ci.operations.host_look import HostSenses, host_look
    from hyops_ci.operations.runner_record import Occasion, record
    from hyops_ci.report.text import refusal_lines

    content = given(config_file)
    config, _ = read_config(content, str(config_file))
    world, made = context(config), []

    def body(part: PartRecorder, run: RunDir) -> None:
        found = host_look(config, lane, world.clock.now(), HostSenses(os.environ))
        made.append(found)
        part.note("looked", host=found.host, failed=found.failed)
        run.write_model("host-look.json", found)

    where = folder or Path(tempfile.mkdtemp(prefix="dr-look-"))
    done = record(Occasion("check", f"a look at the host of lane {lane or 'any'}", content), where, world, body, [])
    shown = lines_of(made[0]) if made else refusal_lines(done.end.state, done.end.refusal) if done.end.refusal else []
    code = done.exit_code or (int(Exit.RUNNER) if any(each.failed for each in made) else 0)
    show_recorded(done.sealed, code, shown, made[0].document() if made else {}, output)
    if code and world.job.on_github:
        workflow().annotate("error", f"The host of lane {lane} would fail a recovery", "\n".join(shown))
    return code


def show_recorded(sealed: Sealed, code: int, shown: Sequence[str], document: Mapping[str, Any], output: str) -> None:
    """Show what was recorded outside a run: as outputs, log and summary of a job, or in a shell as `output` says."""
    from hyops_ci.cli.render import emit, say, set_outputs, summarize

    if os.environ.get("GITHUB_ACTIONS") != "true":
        emit(output, [*shown, f"evidence {sealed.path}"], document)
        return
    outputs = {"exit_code": str(code), "evidence": str(sealed.path), "evidence_digest": sealed.sha256}
    set_outputs(outputs, output, required=tuple(outputs))
    for line in shown:
        say(line)
    summarize(shown)


def context(config: DispatchConfig) -> RunContext:
    """Return the context of a job, or of a person's shell."""
    from hyops_ci.cli.github_job import github_context
    from hyops_ci.cli.shell import shell_context

    return github_context(config, on_runner=True) if os.environ.get("GITHUB_ACTIONS") == "true" else shell_context(config)


def lines_of(found: HostLook) -> list[str]:
    """Return the lines of a look."""
    return [f"{line.status:<5} {line.topic:<11} {line.text}" for line in found.lines]
