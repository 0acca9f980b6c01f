"""Options that commands share. Imports click alone: `validate` must start fast."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

format_option = click.option(
    "--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How the result is printed."
)
"""Every command has it; nothing else goes to stdout."""


config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=Path(".github/dr-dispatch.yml"),
    show_default=True,
)
repository_option = click.option("--repository", default="", help="owner/name; else GITHUB_REPOSITORY or GH_REPO.")

F = TypeVar("F", bound=Callable[..., Any])
_FORM = (
    ("action", "", "failover, failback, burst or hold."),
    ("service", "", "name/env."),
    ("reason", "", "why."),
    ("restore", "latest", "latest, or a backup label."),
    ("old-primary", "not-confirmed", "confirmed-off or not-confirmed."),
)


def form_options(command: F) -> F:
    """What a person types instead of a decision; on GitHub the inputs of the workflow."""
    for name, default, text in reversed(_FORM):
        variable = f"DR_{name.upper().replace('-', '_')}"
        command = click.option(f"--{name}", envvar=variable, default=default, help=f"A person's form: {text}")(command)
    return command


class MomentType(click.ParamType[datetime]):
    """An RFC 3339 time in UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The instant, or a usage error."""
        if isinstance(value, datetime):
            return value
        try:
            return datetime.strptime(str(value), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        except ValueError:
            self.fail(f"{value!r} is no time in UTC such as 2026-11-23T03:04:31Z", param, ctx)


moment_option = click.option("--at", type=MomentType(), help="Judge as if it were this time (UTC); recorded in the evidence.")
"""Of `validate`, `plan` and `rehearse` only."""
