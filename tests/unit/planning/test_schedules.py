"""When a schedule was due, and what is said where GitHub did not start it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.github_facts import ScheduleFact
from hyops_ci.github.actions.workflow_file import read_workflow
from hyops_ci.planning.schedules import Objection, Rhythm, crons_of, fires, objection, per_day

NOW = datetime(2026, 11, 28, 12, 30, tzinfo=UTC)
HOURLY = Rhythm("dr-readiness.yml", (("17 * * * *", "UTC"),))
CALLER = """
on:
  schedule:
    - cron: "17 * * * *"
    - {cron: "41 5 * * 1", timezone: Europe/Berlin}
jobs:
  readiness:
    uses: hybridops/dr-dispatch/.github/workflows/readiness.yml@0000000000000000000000000000000000000000
"""


def came(*hours: float, state: str = "active", since: datetime = NOW - timedelta(days=90)) -> ScheduleFact:
    """Scheduled runs that began so many hours ago."""
    runs = sorted((stamp(NOW - timedelta(hours=each)) for each in hours), reverse=True)
    return ScheduleFact(file=HOURLY.file, state=state, since=stamp(since), runs=tuple(runs))


def said(fact: ScheduleFact | None, rhythm: Rhythm = HOURLY) -> Objection:
    found = objection(rhythm, fact, NOW)
    assert found is not None
    return found


def test_a_schedule_is_read_with_its_zones() -> None:
    assert crons_of(read_workflow(CALLER.encode(), "x.yml")) == (("17 * * * *", "UTC"), ("41 5 * * 1", "Europe/Berlin"))


@pytest.mark.parametrize(
    "text", ["on: push\njobs: {}", "on: {schedule: []}", "on: {schedule: no}", "on: {schedule: [1, x]}", "name: nothing"]
)
def test_a_workflow_without_a_schedule(text: str) -> None:
    assert crons_of(read_workflow(text.encode(), "x.yml")) == ()


def test_when_it_was_due_in_its_own_zone_and_each_time_once() -> None:
    berlin = Rhythm("x.yml", (("30 2 * * *", "Europe/Berlin"), ("30 1 * * *", "UTC")))
    assert [f"{at:%d %H:%M}" for at in islice(fires(berlin, NOW), 3)] == ["28 01:30", "27 01:30", "26 01:30"]
    assert per_day(HOURLY, NOW) == 24
    assert per_day(Rhythm("x.yml", (("17 7 * * 1,4", "UTC"),)), NOW) == pytest.approx(2 / 7, abs=0.05)


@pytest.mark.parametrize(
    ("cron", "every"),
    [
        ("41 4 * * 1", 7),
        ("41 4 1 * *", 365.25 / 12),
        ("41 4 1 1,4,7,10 *", 365.25 / 4),
        ("41 4 1 1 *", 365.25),
        ("41 4 29 2 *", 4 * 365.25),
    ],
)
@pytest.mark.parametrize("days", [0, 20, 40, 80, 200])
def test_how_often_a_rare_schedule_is_due_on_whatever_day_it_is_asked(cron: str, every: float, days: int) -> None:
    """Four times a year is what a drill may be owed; a month looked at alone says none, or thirty times as many."""
    assert 1 / per_day(Rhythm("x.yml", ((cron, "UTC"),)), NOW - timedelta(days=days)) == pytest.approx(every, rel=0.06)


def test_the_calendar_has_a_first_day() -> None:
    """Backwards a schedule has no end of its own: whoever asks for more times than there are gets those that there are."""
    times = list(fires(Rhythm("x.yml", (("41 4 29 2 *", "UTC"),)), NOW))
    assert times[0].year > 2000
    assert times[-1].year < 100


def test_a_schedule_that_does_its_work() -> None:
    assert objection(HOURLY, came(*(hour + 0.2 for hour in range(12))), NOW) is None
    assert objection(HOURLY, came(*(hour + 0.2 for hour in range(1, 12))), NOW) is None, "one run may be late"


def test_before_anything_was_due_nothing_is_missing() -> None:
    assert objection(HOURLY, came(since=NOW - timedelta(minutes=40)), NOW) is None


@pytest.mark.parametrize(
    ("state", "words"),
    [("disabled_inactivity", "after 60 days"), ("disabled_manually", "by hand"), ("disabled_fork", "fork"), ("deleted", "(deleted)")],
)
def test_a_schedule_that_github_disabled(state: str, words: str) -> None:
    found = said(came(0.2, state=state))
    assert (found.level, found.kind, found.fix) == ("alarm", "schedule.disabled", "gh workflow enable dr-readiness.yml")
    assert words in found.text


def test_a_schedule_that_fell_silent() -> None:
    found = said(came(5.2, 6.2, 7.2))
    assert (found.level, found.kind) == ("alarm", "schedule.silent")
    assert found.text == "GitHub has not started dr-readiness.yml since 2026-11-28 07:18Z: 4 runs are missing"
    assert "10 or more runs are missing" in said(came()).text


def test_a_schedule_of_which_github_drops_some() -> None:
    found = said(came(1.2, 4.2, 5.2, 8.2, 9.2))
    assert (found.level, found.kind) == ("warning", "schedule.dropped")
    assert found.text == "GitHub started 5 of the last 10 runs of dr-readiness.yml"


@pytest.mark.parametrize("cron", ["0 0 31 2 *", "0 0 30 2 *", "61 * * * *", "* * * *", "", "@daily", "0 0 * * FUN"])
def test_a_schedule_that_can_never_be_due(cron: str) -> None:
    found = said(came(1.2), Rhythm("x.yml", ((cron, "UTC"),)))
    assert (found.level, found.kind) == ("alarm", "schedule.cron")


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "../../etc/passwd", "/etc/localtime", "\x00"])
def test_a_zone_that_is_none(zone: str) -> None:
    assert said(came(1.2), Rhythm("x.yml", (("17 * * * *", zone),))).kind == "schedule.cron"


def test_a_workflow_that_github_does_not_know() -> None:
    assert said(None).kind == "schedule.missing"


@given(
    minute=st.integers(0, 59),
    hour=st.sampled_from(["*", "*/3", "4", "1,13"]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata"]),
)
def test_times_go_backwards_and_are_before(minute: int, hour: str, zone: str) -> None:
    found = list(islice(fires(Rhythm("x.yml", ((f"{minute} {hour} * * *", zone), ("7 7 * * *", "UTC"))), NOW), 20))
    assert found[0] < NOW
    assert all(later > earlier for later, earlier in pairwise(found))


@given(st.lists(st.floats(0, 400, allow_nan=False), max_size=30))
def test_whatever_came_something_true_is_said_of_it(hours: list[float]) -> None:
    found = objection(HOURLY, came(*hours), NOW)
    newest = NOW - timedelta(hours=min(hours, default=1000.0))
    last_but_one = NOW.replace(hour=NOW.hour - 2, minute=17)
    assert (found is not None and found.kind == "schedule.silent") == (newest < last_but_one), "two were due since, the later an hour ago"
