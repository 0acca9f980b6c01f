"""`hyops-ci drill`: which drill is due now."""

from __future__ import annotations

import os
from pathlib import Path

import click

from hyops_ci.cli.given import given
from hyops_ci.cli.ledger_options import places, remote_option
from hyops_ci.cli.options import Group, config_option, format_option


@click.group("drill", cls=Group)
def command() -> None:
    """The drills that are owed between incidents."""


@command.command("due")
@config_option
@remote_option
@click.option("--service", envvar="DR_SERVICE", default="", help="This one, due or not.")
@click.option("--number", envvar="GITHUB_RUN_NUMBER", type=click.IntRange(0), default=0, help="Of several that are due, whose turn it is.")
@format_option
def due(config_file: Path, remote: str, service: str, number: int, output: str) -> int:
    """Say which service is to be restored for practice now, and what is known of every drill that is owed. Reads only.

    In a job it sets the outputs `service` and `reason`, both empty where nothing is due, or where a recovery is at work; and `quiet`, true
    where every drill that is owed was done, as far as all ledgers say.
    """
    from datetime import UTC, datetime

    from hyops_ci.cli.render import emit, say, set_outputs, summarize
    from hyops_ci.config.file import read_config
    from hyops_ci.operations.next_drill import next_drill
    from hyops_ci.operations.status import status

    config, _ = read_config(given(config_file), str(config_file))
    found = next_drill(status(config, places(config, remote), datetime.now(UTC), None), service, number)
    lines = [f"drill {found.service}: {found.reason}" if found.service else "no drill now", *(f"  {line}" for line in found.lines)]
    if os.environ.get("GITHUB_ACTIONS") == "true":
        set_outputs({"service": found.service, "reason": found.reason, "quiet": "true" if found.quiet else ""}, output)
        summarize(lines)
        for line in lines:
            say(line)
    else:
        emit(output, lines, {"service": found.service, "reason": found.reason, "quiet": found.quiet, "owed": list(found.lines)})
    return 0
