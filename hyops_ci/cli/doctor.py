"""`hyops-ci doctor`: would a recovery start now, asked by hand on the host."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hyops_ci.cli.options import checkout_option, format_option, service_option

if TYPE_CHECKING:
    from hyops_ci.stages.context import RunContext


@click.command("doctor")
@service_option
@click.option("--action", type=click.Choice(["failover", "failback"]), default="failover", show_default=True)
@click.option("--restore", default="latest", show_default=True, help="latest, or a backup label.")
@click.option(
    "--old-primary",
    type=click.Choice(["not-confirmed", "confirmed-off"]),
    default="not-confirmed",
    show_default=True,
    help="What would be said of the old side.",
)
@checkout_option
@click.option("--ledger", default="", help="Path or URL of the ledger; else the host's, or the config's.")
@format_option
def command(service: str, action: str, restore: str, old_primary: str, checkout: Path, ledger: str, output: str) -> int:
    """Ask everything that plan and check would ask, and say what stands in the way. Changes nothing, reads no secret value.

    On the runner's host it looks at HyOps and its states; with GH_TOKEN and GH_REPO also at branch, approval gate and ledger,
    with DR_RUNNER_TOKEN at the runner as GitHub shows it.
    """
    from hyops_ci.cli.connect import connect_for_runners
    from hyops_ci.cli.github_job import checkout_config, host_trust
    from hyops_ci.cli.render import emit
    from hyops_ci.cli.shell import shell_context
    from hyops_ci.operations.doctor.doctor import doctor

    world = shell_context(checkout_config(checkout), ledger=ledger, trust=host_trust())
    named = bool(os.environ.get("GH_REPO") or os.environ.get("GITHUB_REPOSITORY"))
    world = with_github(world) if named else world
    report = doctor(
        service, action, checkout, world, restore=restore, old_primary=old_primary, runners=connect_for_runners() if named else None
    )
    document = {
        "service": service,
        "action": action,
        "lines": [{"status": line.status, "topic": line.topic, "text": line.text} for line in report.by_topic()],
        "refused": [error.to_json() for error in report.refused],
        "verdict": report.verdict(),
    }
    emit(output, [*(line.text_line() for line in report.by_topic()), report.verdict()], document)
    return report.exit_code


def with_github(world: RunContext) -> RunContext:
    """Return the context with GitHub where there is a token."""
    from hyops_ci.cli.connect import TOKENS, connect

    return replace(world, github=connect()) if any(os.environ.get(name) for name in TOKENS) else world
