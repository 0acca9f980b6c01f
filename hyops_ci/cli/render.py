"""How results and refusals look: the same lines as text, as JSON, and as annotation and summary on GitHub."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from hyops_ci.errors import DispatchError
from hyops_ci.github.workflow import Workflow

format_option = click.option(
    "--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How the result is printed."
)
"""Every command has it; nothing else goes to stdout."""


def emit(output: str, lines: Sequence[str], document: Any) -> None:
    """Print a result: its lines as text, or its document as one JSON value."""
    if output == "json":
        click.echo(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=True))
    else:
        click.echo("\n".join(lines))


def say(line: str) -> None:
    """One line of progress, on stderr."""
    click.echo(line, err=True)


def workflow() -> Workflow:
    """The workflow commands of this process."""
    return Workflow(os.environ, sys.stdout)


def refuse(error: DispatchError, argv: Sequence[str]) -> int:
    """Show what stopped a command, in the form that was asked for. Answers the exit code."""
    if "json" in argv[argv.index("--format") + 1 : argv.index("--format") + 2] if "--format" in argv else "--format=json" in argv:
        click.echo(json.dumps({"error": error.to_json()}, indent=2, sort_keys=True))
    else:
        click.echo("\n".join(error.lines()), err=True)
    annotate(error)
    return int(error.exit_code)


def annotate(error: DispatchError) -> None:
    """One annotation and one summary block for what stopped the run."""
    flow = workflow()
    lines = error.lines()
    flow.annotate("error", lines[0], "\n".join(lines))
    flow.summary("```text\n" + "\n".join(lines).replace("```", "'''") + "\n```")
