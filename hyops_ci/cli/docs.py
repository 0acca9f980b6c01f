"""`hyops-ci docs`: the documentation of this release, without a network."""

from __future__ import annotations

import click

from hyops_ci.cli.options import format_option


@click.command("docs")
@click.argument("page", default="")
@format_option
def command(page: str, output: str) -> int:
    """Print PAGE (ledger, exit-codes, ...), what to do about a refusal (runner.silent), or the index."""
    from hyops_ci.cli.render import emit
    from hyops_ci.operations import pages

    text = pages.page(page).rstrip("\n")
    emit(output, [text], {"page": page, "text": text})
    return 0
