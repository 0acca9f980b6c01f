"""The schedules of a repository's callers: whether GitHub still starts them, and often enough for what the config owes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from math import isclose
from pathlib import PurePosixPath
from typing import Final

from hyops_ci.config.drills import drills_of
from hyops_ci.contracts.base import seconds
from hyops_ci.contracts.board import Alarm
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.track_record import Owed
from hyops_ci.errors import DispatchError, Exit
from hyops_ci.github.actions.workflow_file import read_workflow
from hyops_ci.github.api.client import Client
from hyops_ci.github.schedules import schedule_fact
from hyops_ci.operations.callers import calls_in
from hyops_ci.planning.obligations import late
from hyops_ci.planning.schedules import Rhythm, crons_of, objection, per_day
from hyops_ci.text import counted

DAY: Final = 86400
SCHEDULED: Final = ("readiness", "drill", "runner")
"""Workflows of ours that a caller starts on a schedule."""


def rhythms(texts: Mapping[str, bytes]) -> dict[str, list[Rhythm]]:
    """Return the schedules of a checkout's workflows, by which workflow of ours each calls."""
    found: dict[str, list[Rhythm]] = {name: [] for name in SCHEDULED}
    for path, text in texts.items():
        for name in dict.fromkeys(call.name for call in calls_in(text) if call.name in found):
            if crons := crons_of(read_workflow(text, path)):
                found[name].append(Rhythm(PurePosixPath(path).name, crons))
    return found


def schedule_alarms(config: DispatchConfig, texts: Mapping[str, bytes], client: Client | None, now: datetime) -> Iterator[Alarm]:
    """Yield what is wrong with them. Without a client only what the files say is judged."""
    found = rhythms(texts)
    for rhythm in {each.file: each for several in found.values() for each in several}.values():
        yield from _kept(rhythm, client, now)
    owed = {service: drills_of(config, service) for service in config.services}
    checks = {service: each.check.every for service, each in owed.items() if each.check}
    drills = {service: each.isolated.every for service, each in owed.items() if each.isolated}
    if not texts and (checks or drills):
        yield Alarm(level="unknown", kind="schedule", text="the schedules of callers: no workflows in this folder")
        return
    yield from _enough("check", checks, found["readiness"], now)
    yield from _enough("isolated", drills, found["drill"], now)


def _kept(rhythm: Rhythm, client: Client | None, now: datetime) -> Iterator[Alarm]:
    if client is None:
        return
    try:
        wrong = objection(rhythm, schedule_fact(client, rhythm.file), now)
    except DispatchError as error:
        yield Alarm(level="unknown", kind="schedule", text=f"what became of {rhythm.file}: {error.title()}")
        return
    if wrong is not None:
        code = int(Exit.UNAVAILABLE) if wrong.level == "alarm" else 0
        yield Alarm(level=wrong.level, kind=wrong.kind, text=wrong.text, fix=wrong.fix, exit_code=code)


def _enough(level: Owed, every: Mapping[str, str], several: list[Rhythm], now: datetime) -> Iterator[Alarm]:
    """Yield that what is owed cannot be done: a run is about one service.

    Exactly as often is not enough, but where the next run still comes in time: the one that comes a span after the last finds that the
    span is not quite over, since a check or drill counts from its end.
    """
    if not every:
        return
    wanted = sum(DAY / seconds(each) for each in every.values())
    try:
        given = sum(per_day(rhythm, now) for rhythm in several)
    except ValueError as error:
        text, fix = f"a schedule that no run can come from: {error}", "correct the workflow's schedule"
        yield Alarm(level="alarm", kind="schedule.cron", text=text, fix=fix, exit_code=int(Exit.USAGE))
        return
    in_time = given > 0 and DAY / given <= min(late(level, each) for each in every.values()).total_seconds()
    if given < wanted or (isclose(given, wanted) and not in_time):
        what = "check" if level == "check" else "drill of level isolated"
        owes = f"{counted(len(every), 'service')} of the config owe{'s' * (len(every) == 1)} {wanted:.2g} a day"
        has = f"the schedules of the workflows here start {given:.2g}" if several else "no workflow here has a schedule for it"
        text = f"{what}: {owes}, one service a run, and {has}"
        fix = "start the workflow more often, or owe less (drills in the config)"
        yield Alarm(level="alarm", kind="schedule.rhythm", text=text, fix=fix, exit_code=int(Exit.USAGE))
