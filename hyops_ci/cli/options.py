"""Options that commands share. Imports click alone: `validate` must start fast."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

format_option = click.option(
    "--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How the result is printed."
)
"""Every command has it; nothing else goes to stdout."""


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
