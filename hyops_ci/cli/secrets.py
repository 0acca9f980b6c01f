"""`hyops-ci secrets check`: whether the authority has every name that a plan needs. No value is read."""

from __future__ import annotations

from pathlib import Path

import click

from hyops_ci.cli.options import Group, format_option
from hyops_ci.errors import Exit, Refusal


@click.group("secrets", cls=Group)
def command() -> None:
    """Ask the authority, for names only."""


@command.command("check")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="The folder of a planned run, as `hyops-ci plan` prints it.",
)
@format_option
def check_secrets(folder: Path, output: str) -> int:
    """Say which names of the plan the authority has: as the job inside GitHub, else with `vault.break_glass` of the config."""
    import os

    from hyops_ci.cli.github_job import github_context, host_trust, sealed_config
    from hyops_ci.cli.render import emit
    from hyops_ci.cli.shell import shell_context
    from hyops_ci.secrets.port import Purpose
    from hyops_ci.secrets.sync import check_names
    from hyops_ci.stages.handover import RunDir
    from hyops_ci.stages.planned_run import planned_run, require_plan
    from hyops_ci.stages.preview import authority_of

    run = RunDir(folder)
    if not run.has("plan.json"):
        raise Refusal(
            "handover.file",
            "this is not the folder of a planned run",
            exit_code=Exit.USAGE,
            found=f"no plan.json in {folder}",
            expected="the folder that hyops-ci plan printed last: .../run",
            fix="hyops-ci plan --action failover --service <name>/<env> --reason ... makes one",
            docs="secrets.md",
        )
    plan, config = require_plan(run), sealed_config(run)
    inside = os.environ.get("GITHUB_ACTIONS") == "true"
    world = github_context(config, on_runner=True) if inside else shell_context(config, trust=host_trust())
    names = check_names(plan.secrets, authority_of(planned_run(plan, run, world), Purpose.CHECK), [ref.key for ref in plan.secrets.refs])
    missing = [name for name, there in names.items() if not there]
    lines = [f"{len(names) - len(missing)} of {len(names)} names, values not read", *(f"  missing    {name}" for name in missing)]
    emit(output, lines, {"names": names, "missing": missing})
    return int(Exit.SECRETS if missing else Exit.DONE)
