"""`hyops-ci runner bootstrap`: a lane's runner made or repaired outside a run."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from hyops_ci.cli.given import given
from hyops_ci.cli.options import config_option, format_option, gather, repository_option
from hyops_ci.cli.runner_look import folder_option, show_recorded
from hyops_ci.contracts.lanes import LANES
from hyops_ci.contracts.runner_machine import BootstrapReason
from hyops_ci.dataclass import dataclass, replace

if TYPE_CHECKING:
    from hyops_ci.contracts.config import DispatchConfig
    from hyops_ci.stages.context import RunContext
    from hyops_ci.stages.ensure_runner.tools import Tools, ToolsFor, ToolsRequest


@dataclass(frozen=True)
class BootstrapOptions:
    """Whose runner, why, and where it is written down."""

    config_file: Path
    repository: str
    lane: str
    reason: BootstrapReason
    callers: tuple[str, ...]
    folder: Path | None
    dry_run: bool


@click.command("bootstrap")
@config_option
@repository_option
@click.option("--lane", envvar="DR_LANE", type=click.Choice(list(LANES)), required=True, help="Whose runner.")
@click.option("--reason", envvar="DR_REASON", type=click.Choice(list(get_args(BootstrapReason))), required=True, help="Why.")
@click.option("--caller", "callers", multiple=True, help="A workflow that the host is to accept; else all here that call dr-dispatch.")
@click.option("--dry-run", envvar="DR_DRY_RUN", is_flag=True, help="Say what would be done.")
@folder_option
@format_option
@gather(BootstrapOptions)
def bootstrap(options: BootstrapOptions, output: str) -> int:
    """Make or repair the runner of a lane, where the config allows the reason. Never part of a recovery: that has a job of its own.

    In a job, somebody who did not ask must have let it through the environment of the config. In a shell you act, with GH_TOKEN, the
    provider's credentials and the authority's token. Leaves a sealed bundle. Exit 4 where it is not allowed, 7 where it did not come up.
    """
    from hyops_ci.config.file import read_config
    from hyops_ci.operations.runner_bootstrap import Bootstrap
    from hyops_ci.operations.runner_record import Occasion, record
    from hyops_ci.report.text import refusal_lines

    content = given(options.config_file)
    config, _ = read_config(content, str(options.config_file))
    hidden: list[str] = []
    world = context(config, options.repository)
    made = Bootstrap(config, options.lane, options.reason, world, tools_by(options), hidden, dry_run=options.dry_run)
    words = f"{'what would be done about' if options.dry_run else 'work on'} the runner of lane {options.lane}, {options.reason}"
    where = options.folder or Path(tempfile.mkdtemp(prefix="dr-runner-"))
    done = record(Occasion("ensure-runner", words, content), where, world, made.carry_out, hidden)
    ensured = made.document(made.work) if made.work is not None else None
    shown = [*(ensured.lines() if ensured else ()), *(refusal_lines(done.end.state, done.end.refusal) if done.end.refusal else ())]
    show_recorded(done.sealed, done.exit_code, shown, ensured.document() if ensured else {}, output)
    return done.exit_code


def context(config: DispatchConfig, repository: str) -> RunContext:
    """Return the context of a job, or of a person's shell that knows its repository."""
    from hyops_ci.cli.connect import connect, server_url
    from hyops_ci.cli.github_job import github_context
    from hyops_ci.cli.shell import shell_context
    from hyops_ci.github.repository import repository as facts_of

    if os.environ.get("GITHUB_ACTIONS") == "true":
        return github_context(config, on_runner=False)
    world, client = shell_context(config), connect(repository)
    about = facts_of(client)
    job = replace(world.job, repository=about.name, repository_id=about.id, default_branch=about.default_branch, server_url=server_url())
    return replace(world, job=job, github=client)


def tools_by(options: BootstrapOptions) -> ToolsFor:
    """Return what makes the tools: those of a run, but the host's trust file names the workflows of this checkout."""
    from hyops_ci.operations.runner_tools import tools_for, trust_file
    from hyops_ci.runners.troubles import lacking

    def made(request: ToolsRequest) -> Tools:
        def trust() -> bytes:
            if request.context.github is None:
                raise lacking("no token of the job")
            pin = called(options)
            return trust_file(request, request.context.github, pin, callers_of(options, pin))

        return replace(tools_for(request), trust=trust)

    return made


def called(options: BootstrapOptions) -> tuple[str, str]:
    """Return the reusable workflow and the commit that the callers of this checkout pin. Raises Refusal where that is not one."""
    from hyops_ci.operations.callers import recovering, workflows_of
    from hyops_ci.runners.troubles import lacking

    texts = workflows_of(options.config_file.resolve().parents[1])
    named = {path: text for path, text in texts.items() if path in (options.callers or texts)}
    pins = {call.pin for call in recovering(named)}
    if len(pins) != 1:
        where = ", ".join(options.callers) or "the workflows here"
        raise lacking(f"{where}: {len(pins)} workflows called dispatch.yml of dr-dispatch, each at its commit; one is needed")
    return pins.pop()


def callers_of(options: BootstrapOptions, pin: tuple[str, str]) -> tuple[str, ...]:
    """Return the workflows of this repository that the host is to accept: those that are named, else all that call dr-dispatch alone.

    Raises Refusal where there is none: a host that lists none accepts any.
    """
    from hyops_ci.operations.callers import calls_nothing_but, workflows_of
    from hyops_ci.runners.troubles import lacking

    texts = workflows_of(options.config_file.resolve().parents[1])
    found = options.callers or tuple(path for path, text in texts.items() if calls_nothing_but(text, pin))
    if not found:
        raise lacking("every workflow that calls dr-dispatch has jobs of its own, too: name those that the host is to accept, --caller")
    return found
