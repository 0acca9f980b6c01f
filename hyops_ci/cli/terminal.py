"""The one place that prints: whatever a line came from, what a terminal would obey or a reader would not see is spelled out.

`::` and `##[` are the runner's, not a terminal's: `hyops_ci.cli.render` takes them out of what a job prints.
"""

from __future__ import annotations

import io
import shutil
import sys
from typing import TextIO

import click

from hyops_ci.text import fitted, visible


def out(text: str) -> None:
    """Print a result, of one line or several, on stdout."""
    click.echo(_fit(visible(text, "\n\t"), sys.stdout))


def err(text: str) -> None:
    """Print one or several lines on stderr."""
    click.echo(_fit(visible(text, "\n\t"), sys.stderr), err=True)


def _fit(text: str, stream: TextIO) -> str:
    """Return the text as it is for a pipe or a file; for a terminal, with its lines broken between words."""
    return fitted(text, shutil.get_terminal_size().columns) if stream.isatty() else text


def usage(error: click.ClickException) -> None:
    """Print what is wrong with how a command was called."""
    told = io.StringIO()
    error.show(file=told)
    err(told.getvalue().rstrip())
