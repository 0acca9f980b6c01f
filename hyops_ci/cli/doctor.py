"""`hyops-ci doctor`: would a recovery start now, asked by hand on the host."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import click

from hyops_ci.cli.options import format_option


@click.command("doctor")
@click.option("--service", required=True, help="name/env.")
@click.option("--action", type=click.Choice(["failover", "failback"]), default="failover", show_default=True)
@click.option("--restore", default="latest", show_default=True, help="latest, or a backup label.")
@click.option(
    "--repository", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path(), help="A clone with config and overlays."
)
@click.option("--ledger", default="", help="Path or URL of the ledger; else the host's, or the config's.")
@format_option
def command(service: str, action: str, restore: str, repository: Path, ledger: str, output: str) -> int:
    """Ask everything that plan and check would ask, and say what stands in the way. Changes nothing, reads no secret value.

    On the runner's host it looks at HyOps and its states; with GH_TOKEN and GH_REPO also at the approval gate.
    """
    from hyops_ci.cli.connecting import TOKENS, connect
    from hyops_ci.cli.on_github import checkout_config, host_trust
    from hyops_ci.cli.render import emit
    from hyops_ci.cli.shell import shell_world
    from hyops_ci.stages.doctor import doctor

    world = shell_world(checkout_config(repository), ledger=ledger, trust=host_trust())
    if os.environ.get("GH_REPO") and any(os.environ.get(name) for name in TOKENS):
        world = replace(world, github=connect())
    told = doctor(service, action, repository, world, restore=restore)
    lines = [f"{line.status:<5} {line.topic:<8} {line.text}" for line in told.lines]
    document = {
        "service": service,
        "action": action,
        "lines": [{"status": line.status, "topic": line.topic, "text": line.text} for line in told.lines],
        "refused": [error.to_json() for error in told.refused],
    }
    emit(output, [*lines, *told.verdict()], document)
    return int(told.refused[0].exit_code) if told.refused else 0
