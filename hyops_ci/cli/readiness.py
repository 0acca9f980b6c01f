"""`hyops-ci readiness`: which service is checked next, and the ping that says that all is well."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hyops_ci.cli.given import given
from hyops_ci.cli.ledger_options import places, remote_option
from hyops_ci.cli.options import Group, config_option, format_option

if TYPE_CHECKING:
    pass


@click.group("readiness", cls=Group)
def command() -> None:
    """The checks that are owed between incidents, and the ping to an outside watcher."""


@command.command("due")
@config_option
@remote_option
@click.option("--service", envvar="DR_SERVICE", default="", help="This one, whatever is due.")
@click.option("--number", envvar="GITHUB_RUN_NUMBER", type=click.IntRange(0), default=0, help="Of several that are due, whose turn it is.")
@format_option
def due(config_file: Path, remote: str, service: str, number: int, output: str) -> int:
    """Say which service is to be checked now, and what is known of every check that is owed. Reads only.

    In a job it sets the output `service`, empty where nothing is due.
    """
    from datetime import UTC, datetime

    from hyops_ci.cli.render import emit, say, set_outputs, summarize
    from hyops_ci.config.file import read_config
    from hyops_ci.operations.next_check import next_check
    from hyops_ci.operations.status import status

    config, _ = read_config(given(config_file), str(config_file))
    found = next_check(status(config, places(config, remote), datetime.now(UTC), None), service, number)
    lines = [f"check {found.service}" if found.service else "no check is due", *(f"  {line}" for line in found.lines)]
    if os.environ.get("GITHUB_ACTIONS") == "true":
        set_outputs({"service": found.service}, output)
        summarize(lines)
        for line in lines:
            say(line)
    else:
        emit(output, lines, {"service": found.service, "owed": list(found.lines)})
    return 0


@command.command("heartbeat")
@config_option
@format_option
def heartbeat(config_file: Path, output: str) -> int:
    """Ping the outside watcher of notify.heartbeat: all is well. Its address is in DR_HEARTBEAT_URL, and is shown nowhere.

    Exit 0 however it goes: where no ping comes the watcher raises the alarm. A ping that was not taken is a warning.
    """
    from hyops_ci.cli.render import emit, workflow
    from hyops_ci.config.file import read_config
    from hyops_ci.config.settings import env_of, env_settings
    from hyops_ci.contracts.config import EnvClass
    from hyops_ci.notify.heartbeat import ping

    config, _ = read_config(given(config_file), str(config_file))
    origin = config.notify.heartbeat if config.notify is not None else None
    if origin is None:
        emit(output, ["no watcher is pinged: notify.heartbeat is not set"], {"pinged": None, "problem": ""})
        return 0
    lab = all(env_settings(config, env_of(service)).env_class is EnvClass.LAB for service in config.services)
    problem = ping(os.environ.get("DR_HEARTBEAT_URL", "").strip(), origin, os.environ, lab=lab)
    line = f"{origin} not pinged: {problem}" if problem else f"{origin} pinged"
    if problem:
        workflow().annotate("warning", "The outside watcher was not pinged", line)
    emit(output, [line], {"pinged": None if problem else origin, "problem": problem})
    return 0
