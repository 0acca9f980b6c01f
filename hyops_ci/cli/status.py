"""`hyops-ci status`: where every service of the config stands, on one screen."""

from __future__ import annotations

import os
from pathlib import Path

import click

from hyops_ci.cli.given import given
from hyops_ci.cli.ledger_options import places, remote_option
from hyops_ci.cli.options import config_option, format_option, repository_option


@click.command("status")
@config_option
@remote_option
@repository_option
@format_option
def command(config_file: Path, remote: str, repository: str, output: str) -> int:
    """Show for each service where it serves from, its lock, its last run, drill and check, what is owed, and who may approve.

    Changes nothing.

    Exit 0 where every service is known and none waits for a person; 5 where one must be settled, or nobody vouches for its ledger. With a
    token (DR_TOKEN, GH_TOKEN or GITHUB_TOKEN) and GH_REPO it also asks GitHub who may approve; 12 where it does not answer.
    """
    from datetime import UTC, datetime

    from hyops_ci.cli.connect import TOKENS, connect, repository_named
    from hyops_ci.cli.render import emit
    from hyops_ci.config.file import read_config
    from hyops_ci.errors import DispatchError
    from hyops_ci.operations.status import gates_at, status

    config, _ = read_config(given(config_file), str(config_file))
    asks = bool(repository_named(repository)) and any(os.environ.get(name) for name in TOKENS)
    gates = gates_at(config, connect(repository)) if asks else None

    found = status(config, places(config, remote), datetime.now(UTC), gates)
    emit(output, [line for each in found for line in each.lines()], [each.document() for each in found])
    return max([each.exit_code for each in found] + [int(gates.exit_code) if isinstance(gates, DispatchError) else 0])
