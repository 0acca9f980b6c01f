"""The part `notify` of the config: who is told of a run; and what they are told."""

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from hyops_ci.contracts.base import HOST, MAX_INT, PORT, TOO_LONG, WHOLE, Clean, Document, Model, Origin, RunId, ServiceId, Text, Utc

WebhookUrl = Annotated[
    str,
    Text(
        rf"^https?://{HOST}(:{PORT})?(/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)*$",
        at_most=500,
        never=TOO_LONG,
        patternErrorMessage="an address such as https://hooks.example.net/dr, without a question",
    ),
]


class Moment(StrEnum):
    """When people are told."""

    WAITING = "waiting"
    STARTED = "started"
    PAST_NO_RETURN = "past-no-return"
    ENDED = "ended"
    ALARM = "alarm"
    """Of the board, of no run."""


MOMENTS: Final = tuple(Moment)


class Notify(Model):
    """Who is told of a run. It is never a reason to stop one."""

    webhook: WebhookUrl | None = None
    """Gets a signed request at each moment; an https address without anything secret in it."""
    issue: Annotated[int, Field(ge=1, le=MAX_INT), WHOLE] | None = None
    """The number of the issue of the caller's repository that gets a comment at each moment."""
    at: Annotated[tuple[Moment, ...], Field(max_length=len(MOMENTS))] = MOMENTS
    """The moments."""
    heartbeat: Origin | None = None
    """The server of an outside watcher, such as `https://hc-ping.com`, that is pinged while all is well; the address there is a secret."""


class Notification(Document):
    """The body of a request to the webhook: one line for people, and what a program needs to find the run."""

    kind: Literal["Notification"] = "Notification"
    """What this document is."""
    moment: Moment
    """Why it is sent."""
    text: Clean
    """One line for people."""
    at: Utc
    """When it was sent: with `run_id` and `moment`, what tells a repeated request from a new one."""
    run_id: RunId
    """The run, and its attempt."""
    run_url: Clean = ""
    """Its page on GitHub; empty for a run from a shell."""
    service: ServiceId | Literal[""] = ""
    """What is recovered; empty where the run never knew."""
    outcome: Clean = ""
    """The terminal state, of a run that has ended."""
    exit_code: Annotated[int, Field(ge=0, le=255), WHOLE] | None = None
    """Its exit code."""
