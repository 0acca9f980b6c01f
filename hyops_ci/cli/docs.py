"""`hyops-ci docs`: the pages of `docs/` that are generated from the code."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("docs")
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit 2 when a page is stale.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=Path("docs"), show_default=True)
def command(only_check: bool, folder: Path) -> int:
    """Write the generated pages, or check that they are fresh."""
    from hyops_ci.planning.case import table
    from hyops_ci.planning.explaining import document

    pages = {"gates.md": table(), "config.md": document()}
    stale = [name for name, text in pages.items() if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != text]
    for name in stale:
        click.echo(f"{'stale' if only_check else 'written'} {name}")
        if not only_check:
            (folder / name).write_text(pages[name], encoding="utf-8")
    return 2 if only_check and stale else 0
