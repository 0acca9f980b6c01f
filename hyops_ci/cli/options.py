"""Options that commands share. Imports little more than click: `validate` must start fast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any

import click
from typing_extensions import override

from hyops_ci.cli.given import given
from hyops_ci.intake.form import Form

format_option = click.option(
    "--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How the result is printed."
)
"""Every command has it; nothing else goes to stdout."""


config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    default=Path(".github/dr-dispatch.yml"),
    show_default=True,
)
checkout_option = click.option(
    "--checkout",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path(),
    help="The checkout with config and overlays.  [default: this folder]",
)


def config_here() -> Path | None:
    """Return the config of the checkout that this is called in; None outside of one."""
    from hyops_ci.config.file import CONFIG_PATH

    return Path(CONFIG_PATH) if Path(CONFIG_PATH).is_file() else None


def only_service() -> str | None:
    """Return the only service of the config here; None where there is none to read. Raises click.UsageError where there are several."""
    from hyops_ci.config.file import parsed_config
    from hyops_ci.errors import DispatchError

    path = config_here()
    try:
        services = list(parsed_config(given(path)).services) if path else []
    except (OSError, DispatchError):
        return None  # whatever the command does, it says what is wrong with that file, or with the option that is missing
    if len(services) > 1:
        raise click.UsageError(f"name --service: {', '.join(services)}")
    return next(iter(services), None)


def _named(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
    """Return the service. Raises for none: a default that is None passes for a value in click, so that `required` does not see it.

    Raises Refusal for a config here that cannot be read; click.MissingParameter.
    """
    if value is not None:
        return value
    from hyops_ci.config.file import parsed_config

    path = config_here()
    if path:
        parsed_config(given(path), str(path))
    raise click.MissingParameter("No .github/dr-dispatch.yml here names one", ctx=ctx, param=param)


service_option = click.option(
    "--service",
    required=True,
    default=only_service,
    callback=_named,
    help="name/env.  [default: that of .github/dr-dispatch.yml here, if it has one alone]",
)
repository_option = click.option("--repository", default="", help="owner/name; else GITHUB_REPOSITORY or GH_REPO.")

Command = Callable[..., Any]
_FORM = (
    (
        "action",
        "failover, failback, burst or hold; check (of the next move, changes nothing), drill, or settle (a run that was cut off).",
    ),
    ("service", "name/env."),
    ("reason", "why."),
    ("restore", "latest, or a backup label."),
    ("old-primary", "confirmed-off or not-confirmed."),
    ("serves", "of settle: the site that serves clients, as you found out."),
)


class Group(click.Group):
    """A group whose list of commands has their first sentences whole. Click cuts them at the width of a terminal."""

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands in the order in which a newcomer needs them, each with its first sentence."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, each.get_short_help_str(limit=1000)) for name, each in self.commands.items()])


def gather(made: type, name: str = "options") -> Callable[[Command], Command]:
    """Hand a command the options that are fields of the dataclass `made` as one argument, called `name`."""

    def around(command: Command) -> Command:
        @wraps(command)
        def called(**given: Any) -> Any:
            options = made(**{each.name: given.pop(each.name) for each in fields(made) if each.name in given})
            return command(**{name: options}, **given)

        return called

    return around


def form_options(*, from_environment: bool) -> Callable[[Command], Command]:
    """The options that a person types instead of a decision; the command gets them as one argument, `form`.

    `from_environment`: also by DR_ACTION and so on, the inputs of the workflow on GitHub.
    """

    def around(command: Command) -> Command:
        usual, command = Form(), gather(Form, "form")(command)
        for name, text in reversed(_FORM):
            field = name.replace("-", "_")
            variable = f"DR_{field.upper()}" if from_environment else None
            option = click.option(f"--{name}", envvar=variable, default=getattr(usual, field), help=f"A person's form: {text}")
            command = option(command)
        return command

    return around


def decision_options(command: Command) -> Command:
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


bootstrap_option = click.option(
    "--bootstrap-reason", envvar="DR_BOOTSTRAP_REASON", default="", help="Why the runner may be made where it is missing."
)
"""Of `plan`, and of `dispatch`, which hands it on to the workflow that plans."""


class MomentType(click.ParamType[datetime]):
    """An RFC 3339 time in UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the instant, or a usage error."""
        from hyops_ci.contracts.base import moment

        if isinstance(value, datetime):
            return value
        try:
            return moment(str(value))
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)


moment_option = click.option("--at", type=MomentType(), help="Judge as if it were this time (UTC); recorded in the evidence.")
"""Of `validate`, `plan` and `rehearse` only."""
