"""`hyops-ci docs`: the documentation of this release, without a network."""

from __future__ import annotations

import click


@click.command("docs")
@click.argument("page", default="")
def command(page: str) -> int:
    """Print PAGE (ledger, exit-codes, ...), what to do about a refusal (runner.silent), or the index."""
    from hyops_ci.cli import terminal
    from hyops_ci.operations import pages

    terminal.out(pages.page(page).rstrip("\n"))
    return 0
