"""When a workflow's schedule should have started it, and whether GitHub did (docs/board.md). Pure.

GitHub starts scheduled runs late when it is busy, leaves some out, and disables the schedule of a repository in which nothing happened
for 60 days. Nothing of that is told to anybody: it is seen by comparing what was due with what came.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import islice, takewhile
from typing import Any, Final, Literal

from hyops_ci.contracts.base import moment
from hyops_ci.contracts.github_facts import ScheduleFact
from hyops_ci.dataclass import dataclass
from hyops_ci.text import shell

LATE: Final = timedelta(hours=1)
"""How late a scheduled run may begin."""
LOOKED_AT: Final = 10
"""Times that were due, the newest: those that are compared."""
DROPPED: Final = 3
"""Of these, how many may be missing without a word."""
MONTH: Final = timedelta(days=30)
FEW: Final = 12
"""Times in a month below which a schedule is rare: how often it is due is then told by its newest ones, however far they lie apart."""


@dataclass(frozen=True)
class Rhythm:
    """The schedule of one caller."""

    file: str
    crons: tuple[tuple[str, str], ...]
    """(cron expression, timezone) of each."""


@dataclass(frozen=True)
class Objection:
    """What is wrong with a schedule."""

    level: Literal["alarm", "warning"]
    kind: str
    text: str
    fix: str


def crons_of(document: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return (cron expression, timezone) of each entry below `on: schedule:` of a workflow, in order."""
    events = document.get("on")
    entries = events.get("schedule") if isinstance(events, dict) else None
    found = [each for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []
    return tuple((str(each.get("cron", "")), str(each.get("timezone") or "UTC")) for each in found)


def fires(rhythm: Rhythm, before: datetime) -> Iterator[datetime]:
    """Yield when it was due, from `before` backwards, each instant once. Raises ValueError for a schedule that can never be due."""
    last = None
    for at in merge(*(_fires(expression, zone, before) for expression, zone in rhythm.crons), reverse=True):
        if at != last:
            yield at
        last = at


def _fires(expression: str, zone: str, before: datetime) -> Iterator[datetime]:
    from zoneinfo import ZoneInfo

    from cronsim import CronSim, CronSimError

    try:
        found = CronSim(expression, before.astimezone(ZoneInfo(zone)), reverse=True)
    except (CronSimError, KeyError, ValueError, OSError) as error:
        raise ValueError(f"{expression!r} ({zone}): {error}") from None
    return _in_the_calendar(found)


def _in_the_calendar(found: Iterator[datetime]) -> Iterator[datetime]:
    """Yield instants in UTC. Backwards a schedule has no first one, and the calendar has."""
    try:
        for at in found:
            yield at.astimezone(UTC)
    except OverflowError:
        return


def per_day(rhythm: Rhythm, before: datetime) -> float:
    """Return how often it is due on a day: by the 30 days before, or where it is rare by its newest times. Raises ValueError as `fires`."""
    since, most = before - MONTH, MONTH.days * 24 * 12  # GitHub's shortest distance is 5 minutes
    times = sum(1 for _ in takewhile(lambda at: at >= since, islice(fires(rhythm, before), most)))
    if times >= FEW:
        return times / MONTH.days
    newest = list(islice(fires(rhythm, before), FEW))
    return (len(newest) - 1) / ((newest[0] - newest[-1]) / timedelta(days=1)) if len(newest) > 1 else 0.0


def objection(rhythm: Rhythm, fact: ScheduleFact | None, now: datetime) -> Objection | None:
    """Return what keeps a schedule from its work; None where it does it, or nothing was due yet."""
    try:
        due = list(islice(fires(rhythm, now - LATE), LOOKED_AT))
        if not due:
            raise ValueError("no such day comes")
    except ValueError as error:
        return Objection("alarm", "schedule.cron", f"{rhythm.file} is never started: {error}", f"correct its schedule in {rhythm.file}")
    if fact is None:
        return Objection("alarm", "schedule.missing", f"GitHub knows no workflow {rhythm.file}", "push it to the default branch")
    if fact.state != "active":
        return Objection("alarm", "schedule.disabled", _disabled(fact), shell("gh workflow enable {}", rhythm.file))
    due = [at for at in due if at > moment(fact.since)]
    if not due:
        return None
    return _compared(rhythm, due, [moment(at) for at in fact.runs])


def _disabled(fact: ScheduleFact) -> str:
    why = {
        "disabled_inactivity": "after 60 days in which nothing happened in the repository",
        "disabled_manually": "by hand",
        "disabled_fork": "because the repository is a fork",
    }
    return f"GitHub does not start {fact.file} any more: disabled {why.get(fact.state, f'({fact.state})')}"


def _compared(rhythm: Rhythm, due: Sequence[datetime], came: Sequence[datetime]) -> Objection | None:
    """Compare what was due, newest first, with what came. Of two runs that are missing in a row the schedule is silent."""
    newest = max(came, default=None)
    silent = [at for at in due if newest is None or at > newest]
    enable = shell("gh workflow disable {}; gh workflow enable {}", rhythm.file, rhythm.file)
    if len(silent) > 1:
        since = f"since {newest:%Y-%m-%d %H:%MZ}" if newest else "yet"
        return Objection(
            "alarm",
            "schedule.silent",
            f"GitHub has not started {rhythm.file} {since}: {len(silent)}{'' if len(silent) < LOOKED_AT else ' or more'} runs are missing",
            f"start it by hand, and if that does not bring the schedule back: {enable}",
        )
    missing = len(due) - sum(at >= due[-1] for at in came)
    if missing >= DROPPED:
        text = f"GitHub started {len(due) - missing} of the last {len(due)} runs of {rhythm.file}"
        return Objection("warning", "schedule.dropped", text, "move its schedule to another minute")
    return None
