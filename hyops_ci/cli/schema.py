"""`hyops-ci schema`: the published JSON Schemas."""

from __future__ import annotations

from pathlib import Path

import click

from hyops_ci.cli.options import format_option


@click.group("schema")
def command() -> None:
    """The published schemas."""


@command.command("export")
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit 2 when a file is stale.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=Path("schemas"), show_default=True)
@format_option
def export_schemas(only_check: bool, folder: Path, output: str) -> int:
    """Write every schema into the folder, or check that they are fresh."""
    from hyops_ci.cli.render import listed
    from hyops_ci.contracts.schema import export

    stale = export(folder, check=only_check)
    listed("stale" if only_check else "written", stale, output)
    return 2 if only_check and stale else 0
