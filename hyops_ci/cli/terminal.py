"""The one place that prints: whatever a line came from, what a terminal would obey or a reader would not see is spelled out.

`::` and `##[` are the runner's, not a terminal's: `hyops_ci.cli.render` takes them out of what a job prints.
"""

from __future__ import annotations

import io

import click

from hyops_ci.text import visible


def out(text: str) -> None:
    """Print a result, of one line or several, on stdout."""
    click.echo(visible(text, "\n\t"))


def err(text: str) -> None:
    """Print one or several lines on stderr."""
    click.echo(visible(text, "\n\t"), err=True)


def usage(error: click.ClickException) -> None:
    """Print what is wrong with how a command was called."""
    told = io.StringIO()
    error.show(file=told)
    err(told.getvalue().rstrip())
