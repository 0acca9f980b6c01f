"""The standing runners as GitHub shows them: none there, or one that will soon get no jobs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from hyops_ci.contracts.board import Alarm
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.errors import DispatchError, Exit
from hyops_ci.github.api.client import Client
from hyops_ci.stages.watch.queue import Presence
from hyops_ci.stages.watch.runner_status import NO_TOKEN, RunnerStatus, lanes_of, runner_status
from hyops_ci.text import shell

SILENT = frozenset({Presence.OFFLINE, Presence.ABSENT, Presence.OUTDATED})


def runner_alarms(config: DispatchConfig, client: Client | None, now: datetime, org: str = "") -> Iterator[Alarm]:
    """Yield what GitHub shows of the runners of the enabled lanes; one line where no token may list them."""
    if client is None:
        yield Alarm(level="unknown", kind="runners", text=NO_TOKEN)
        return
    for lane in lanes_of(config):
        try:
            yield from _of(runner_status(lane, client, now, org))
        except DispatchError as error:
            yield Alarm(level="unknown", kind="runner", text=f"runner of lane {lane.name}: {error.title()}")


def _of(found: RunnerStatus) -> Iterator[Alarm]:
    where = f"lane {found.lane}: {found.words}"
    look = shell("hyops-ci runner status --lane {}", found.lane)
    if found.presence in SILENT:
        yield Alarm(level="alarm", kind=f"runner.{found.presence}", text=where, fix=look, exit_code=int(Exit.RUNNER))
    elif found.presence is Presence.UNKNOWN:
        yield Alarm(level="unknown", kind="runner", text=where)
    for warning in found.warnings:
        yield Alarm(level="warning", kind="runner.warning", text=f"lane {found.lane}: {warning}", fix=look)
