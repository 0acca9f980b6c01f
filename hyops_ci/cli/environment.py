"""`hyops-ci environment check`: whether GitHub's environments protect what the config says they protect."""

from __future__ import annotations

from pathlib import Path

import click

from hyops_ci.cli.given import given
from hyops_ci.cli.options import Group, config_option, format_option, repository_option
from hyops_ci.errors import Exit


@click.group("environment", cls=Group)
def command() -> None:
    """The environments on GitHub."""


@command.command("check")
@config_option
@repository_option
@format_option
def check(config_file: Path, repository: str, output: str) -> int:
    """Compare every approval gate and every environment of checks with what the config demands. Exit 4 when one falls short.

    It takes a token with actions: read (DR_TOKEN, GH_TOKEN or GITHUB_TOKEN), changes nothing, and prints what to paste.
    """
    from hyops_ci.cli.connect import connect
    from hyops_ci.cli.render import emit
    from hyops_ci.config.file import read_config
    from hyops_ci.operations.environments import environments, report_lines

    config, _ = read_config(given(config_file), str(config_file))
    client = connect(repository)
    found = environments(config, client)
    failed = [each for each in found if each.mark == "FAIL"]
    lines = [line for each in found for line in report_lines(each)]
    if failed:
        lines.append(f"A recovery that needs {' or '.join(each.demand.name for each in failed)} would be REFUSED (docs/approvals.md).")
    if repairs := dict.fromkeys(each.repair for each in failed if each.repair):
        lines += ["Paste as an administrator, then check again (report_lines in capitals are yours to fill in):", ""]
        lines += [line for repair in repairs for line in repair.splitlines()]
    document = {"repository": client.repository, "ok": not failed, "environments": [each.document() for each in found]}
    emit(output, lines, document)
    return int(Exit.POLICY if failed else Exit.DONE)
