"""Options that commands share. Imports click alone: `validate` must start fast."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

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


def form_options(*, from_environment: bool) -> Callable[[F], F]:
    """The options that a person types instead of a decision; the command gets them as one argument, `form`.

    `from_environment`: also by DR_ACTION and so on, the inputs of the workflow on GitHub.
    """

    def decorate(command: F) -> F:
        @wraps(command)
        def with_form(**values: Any) -> Any:
            from hyops_ci.stages.plan.stage import Form

            form = Form(*(values.pop(name.replace("-", "_")) for name, _, _ in _FORM))
            return command(form=form, **values)

        made: Any = with_form
        for name, default, text in reversed(_FORM):
            variable = f"DR_{name.upper().replace('-', '_')}" if from_environment else None
            made = click.option(f"--{name}", envvar=variable, default=default, help=f"A person's form: {text}")(made)
        return cast(F, made)

    return decorate


def decision_options(command: F) -> F:
    """The decision itself, or where it lies."""
    command = click.option(
        "--decision-ref", envvar="DR_DECISION_REF", default="", help="Instead, a file of the repository and its commit, path@sha."
    )(command)
    return click.option(
        "--decision",
        "decision_text",
        envvar="DR_DECISION",
        default="",
        help="The decision or record as JSON; in a shell @FILE reads a file.",
    )(command)


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
