"""A comment on an issue."""

from __future__ import annotations

from hyops_ci.github.api import endpoints
from hyops_ci.github.api.client import Client


def comment(client: Client, number: int, body: str) -> None:
    """Write `body`, in Markdown, below issue `number`. Raises as `Client.ask`."""
    client.ask(endpoints.ISSUE_COMMENT, body={"body": body}, issue_number=number)
