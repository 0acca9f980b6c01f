"""Registering and removing runners: tokens that live in memory only, and registrations that end.

Where a function takes `org`, the runner is the organization's; without it, the repository's. Nothing here writes a file,
and nothing that it hands out shows itself: whoever needs the value says `reveal()`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Never

from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.api import endpoints
from hyops_ci.github.api.answers import NotFound, Rejected
from hyops_ci.github.api.client import Client
from hyops_ci.github.api.endpoints import Endpoint
from hyops_ci.github.api.errors import misunderstood, read_as

DEFAULT_GROUP: Final = 1
"""Id of the group that every owner has; a repository has no other."""
WORK_FOLDER: Final = "_work"
MOST_LABELS: Final = 100
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LABEL: Final = re.compile(r"[A-Za-z0-9._-]{1,256}")
_FOLDER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*")


class RunnerToken:
    """Something that makes or ends a registration. It is not shown, copied, pickled or compared: only `reveal` gives it away."""

    __slots__ = ("__value", "expires_at")

    def __init__(self, value: str, expires_at: datetime) -> None:
        self.__value, self.expires_at = value, expires_at

    def reveal(self) -> str:
        """The value: for the stdin of whoever registers, never for argv, a file, an output or a log."""
        return self.__value

    def good_for(self, now: datetime) -> timedelta:
        """How long it still works; nothing or less when it has ended."""
        return self.expires_at - now

    def __repr__(self) -> str:
        return f"{type(self).__name__}(..., until {self.expires_at:%Y-%m-%dT%H:%M:%SZ})"

    def __reduce_ex__(self, _protocol: object) -> Never:
        raise TypeError("a token of a runner stays where it is")


class JitConfig(RunnerToken):
    """The whole configuration of a runner that takes one job and is gone (GitHub docs, *just-in-time runners*)."""

    __slots__ = ("name", "runner_id")

    def __init__(self, value: str, expires_at: datetime, runner_id: int, name: str) -> None:
        super().__init__(value, expires_at)
        self.runner_id, self.name = runner_id, name


def registration_token(client: Client, *, org: str = "") -> RunnerToken:
    """A token that registers a runner, good for an hour. Raises as `Client.ask`."""
    return _token(client, endpoints.ORG_REGISTRATION_TOKEN if org else endpoints.REGISTRATION_TOKEN, org)


def removal_token(client: Client, *, org: str = "") -> RunnerToken:
    """A token with which a runner's host removes it, good for an hour. Raises as `Client.ask`."""
    return _token(client, endpoints.ORG_REMOVE_TOKEN if org else endpoints.REMOVE_TOKEN, org)


def jit_config(
    client: Client,
    name: str,
    labels: Sequence[str],
    *,
    now: datetime,
    org: str = "",
    group_id: int = DEFAULT_GROUP,
    work_folder: str = WORK_FOLDER,
) -> JitConfig:
    """Register a runner for one job.

    Raises Refusal (exit 2) for a name, label or folder that a runner cannot have, Conflict where the name is taken, and Unanswered
    where the answer is lost: a registration under `name` may then exist that nobody can use; it is offline, and `remove` ends it.
    """
    _must_fit(name, labels, work_folder)
    endpoint = endpoints.ORG_JIT_CONFIG if org else endpoints.JIT_CONFIG
    body = {"name": name, "runner_group_id": group_id, "labels": list(labels), "work_folder": work_folder}
    answer = client.ask(endpoint, body=body, org=org)
    with read_as(endpoint):
        # GitHub says no end; a runner that has not begun within the hour is removed by whoever waits for it.
        made = JitConfig(
            str(answer["encoded_jit_config"]), now + timedelta(hours=1), int(answer["runner"]["id"]), str(answer["runner"]["name"])
        )
    if made.name != name or not made.reveal():
        raise misunderstood(endpoint, "", "another runner than the one that was asked for")
    return made


def remove(client: Client, runner_id: int, *, org: str = "") -> bool:
    """End a registration. False where there is none of that id any more. Raises Refusal (exit 5) while the runner has a job."""
    try:
        client.ask(endpoints.ORG_REMOVE_RUNNER if org else endpoints.REMOVE_RUNNER, runner_id=runner_id, org=org)
    except NotFound:
        return False
    except Rejected as error:
        if error.gate != "github.rejected":
            raise
        raise Refusal(
            "runner.busy",
            "GitHub keeps the registration of a runner that has a job",
            exit_code=Exit.CONFLICT,
            found=error.found,
            expected="a runner without a job",
            fix="wait for its job, or cancel it on its run's page; then again",
            docs="github-api.md",
        ) from None
    return True


def _token(client: Client, endpoint: Endpoint, org: str) -> RunnerToken:
    answer = client.ask(endpoint, org=org)
    with read_as(endpoint):
        made = RunnerToken(str(answer["token"]), datetime.fromisoformat(answer["expires_at"]).astimezone(UTC))
    if not made.reveal():
        raise misunderstood(endpoint, "", "an empty token")
    return made


def _must_fit(name: str, labels: Sequence[str], work_folder: str) -> None:
    """Whether they are what a runner can have, and nothing that a shell or a path would read in another way."""
    odd = next((label for label in labels if not _LABEL.fullmatch(label)), None)
    if not _NAME.fullmatch(name):
        found, expected = f"name {name!r}", "1 to 64 letters, digits, dots, dashes and underscores"
    elif odd is not None or not 0 < len(labels) <= MOST_LABELS:
        found, expected = f"label {odd!r}" if odd is not None else f"{len(labels)} labels", f"1 to {MOST_LABELS} of letters, digits and ._-"
    elif not _FOLDER.fullmatch(work_folder):
        found, expected = f"work folder {work_folder!r}", "a folder below the agent's own"
    else:
        return
    raise Refusal(
        "runner.registration",
        "no runner can be registered like that",
        exit_code=Exit.USAGE,
        found=found,
        expected=expected,
        fix="change it",
    )
