"""`hyops-ci schema`: the published JSON Schemas."""

from __future__ import annotations

from pathlib import Path

import click


@click.group("schema")
def command() -> None:
    """The published schemas."""


@command.command("export")
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit 2 when a file is stale.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=Path("schemas"), show_default=True)
def export_schemas(only_check: bool, folder: Path) -> int:
    """Write every schema into the folder, or check that they are fresh."""
    from hyops_ci.contracts.schema import export

    stale = export(folder, check=only_check)
    for name in stale:
        click.echo(f"{'stale' if only_check else 'written'} {name}")
    return 2 if only_check and stale else 0
