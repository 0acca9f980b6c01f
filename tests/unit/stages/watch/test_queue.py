"""A watch counts what it saw in the queue and nothing else, never stops a run for what it did not see, and always ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.contracts.github_facts import JobFact
from hyops_ci.errors import Exit, Refusal
from hyops_ci.stages.watch.queue import (
    LONGEST_GAP,
    ExpectedJob,
    Poll,
    Presence,
    Progress,
    RunnerView,
    Verdict,
    WatchState,
    advance,
    begin,
    candidates,
)
from hyops_ci.stages.watch.refusals import refusal_for, restart_command

CASES = Path(__file__).parents[3] / "cases" / "watch"
FILES = sorted(CASES.glob("*/*.yml"))
JOB = "Check gcp-ops-runner (changes nothing)"
LABELS = ("self-hosted", "gcp-ops-runner")
STOPS = {Verdict.MISSING, Verdict.STRANGER, Verdict.BUSY}


def job(wanted: ExpectedJob, **said: Any) -> JobFact:
    """One job, like the watched one where a case does not say otherwise."""
    usual = {"id": 1, "name": f"dr / {wanted.job}", "attempt": wanted.attempt, "labels": wanted.labels}
    return JobFact.model_validate({**usual, **said, "labels": tuple(said.get("labels", wanted.labels))})


def look(wanted: ExpectedJob, said: Any) -> Poll:
    """A look as a case writes it: `[at, status, runner]`, `[at]`, `[at, blind]`, or in full."""
    if isinstance(said, list):
        at, status, name = (*said, None, None)[:3]
        if status in (None, "blind"):
            return Poll(at, () if status is None else None)
        return Poll(at, (job(wanted, status=status, runner_name=name or "", runner_id=7 if name else 0),))
    runner = said.get("runner")
    sighting = RunnerView(Presence(runner["presence"]), runner["words"]) if runner else RunnerView()
    return Poll(said["at"], tuple(job(wanted, **each) for each in said["jobs"]), sighting)


def wanted_of(case: dict[str, Any]) -> ExpectedJob:
    said = dict(case.get("wanted", {}))
    for name in ("labels", "names"):
        if name in said:
            said[name] = tuple(said[name])
    return ExpectedJob(**{"job": JOB, "attempt": 1, "labels": LABELS, **said})


def follow(wanted: ExpectedJob, looks: list[Poll]) -> tuple[list[Progress], Poll]:
    """All steps up to the verdict, and the look that led to it."""
    wait, steps = begin(looks[0].at), []
    for one in looks:
        step = advance(wanted, wait, one)
        steps.append(step)
        if step.verdict:
            return steps, one
        wait = step.state
    return steps, looks[-1]


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(path.parts[-2:]))
def test_case(path: Path) -> None:
    case = yaml.safe_load(path.read_text("utf-8"))
    wanted, expect = wanted_of(case), case["expect"]
    looks = [look(wanted, said) for said in case["looks"]]
    steps, last = follow(wanted, looks)
    end = steps[-1]
    assert end.verdict == expect["verdict"]
    assert last is looks[-1], "nothing of a case is left over"
    for field in ("queued", "busy"):
        assert getattr(end.state, field) == expect.get(field, getattr(end.state, field))
    if "lines" in expect:
        assert [step.line for step in steps if step.line] == expect["lines"]
    assert expect.get("cause", end.cause) == end.cause
    said = refusal_for(end, wanted, last, case.get("runner_ref", "gcp-ops-runner"))
    if path.parts[-2] == "accept":
        assert said is None
        return
    assert isinstance(said, Refusal)
    assert said.exit_code is Exit.RUNNER
    assert said.docs == "runners.md"
    for field, words in expect["refusal"].items():
        assert words in getattr(said, field)
    assert said.fix


def test_the_way_to_a_runner_follows_from_its_lane() -> None:
    assert "gcloud compute ssh gcp-ops-runner-01 " in restart_command("gcp-ops-runner-01", "gcp-ops-runner")
    assert restart_command("x", "my-runner", "azure").startswith("az ssh vm --name x ")
    assert restart_command("x", "my-runner") == "ssh x 'sudo systemctl restart actions.runner.*'"
    assert restart_command("$(rm -rf /)", "my-runner").startswith("ssh '$(rm -rf /)' "), "a name is no part of a command"
    assert restart_command("-oProxyCommand=x", "my-runner").startswith("ssh my-runner "), "nor an option of it"


STATUSES = ("queued", "waiting", "pending", "requested", "absent", "blind", "in_progress", "completed")
WANTED = ExpectedJob(JOB, 1, LABELS, names=("gcp-ops-runner-01",))
SIGHTINGS = st.sampled_from([RunnerView(presence, presence) for presence in Presence])


@st.composite
def polls_of_a_run(draw: st.DrawFn, statuses: tuple[str, ...] = STATUSES) -> list[Poll]:
    """Looks as they might follow one another, with pauses from nothing to minutes."""
    at, looks = 0.0, []
    for status, pause, sighting in draw(
        st.lists(st.tuples(st.sampled_from(statuses), st.floats(0, 200), SIGHTINGS), min_size=1, max_size=60)
    ):
        at += pause
        if status in ("absent", "blind"):
            looks.append(Poll(at, () if status == "absent" else None, sighting))
            continue
        name = draw(st.sampled_from(["", "gcp-ops-runner-01", "mallory"])) if status in ("in_progress", "completed") else ""
        looks.append(Poll(at, (job(WANTED, status=status, runner_name=name, runner_id=7 if name else 0),), sighting))
    return looks


def status_of(one: Poll) -> str:
    return "blind" if one.jobs is None else one.jobs[0].status if one.jobs else "absent"


@given(polls_of_a_run())
def test_the_count_grows_between_two_looks_into_the_queue_only(looks: list[Poll]) -> None:
    wait, before = begin(looks[0].at), None
    for one in looks:
        step = advance(WANTED, wait, one)
        grown = (step.state.queued + step.state.busy) - (wait.queued + wait.busy)
        assert grown >= 0
        if grown:
            assert before is not None
            assert status_of(before) == status_of(one) == "queued"
            assert grown <= min(one.at - before.at, LONGEST_GAP) + 1e-6
        if step.verdict:
            break
        wait, before = step.state, one


@given(polls_of_a_run())
def test_it_stops_a_run_only_for_what_it_saw_at_that_moment(looks: list[Poll]) -> None:
    steps, last = follow(WANTED, looks)
    verdict = steps[-1].verdict
    if verdict in (Verdict.MISSING, Verdict.BUSY):
        assert status_of(last) == "queued"
        counted = steps[-1].state.queued if verdict is Verdict.MISSING else steps[-1].state.busy
        assert counted >= (WANTED.limit if verdict is Verdict.MISSING else WANTED.busy_limit)
        assert sum(status_of(one) == "queued" for one in looks[: len(steps)]) > WANTED.limit / LONGEST_GAP
    if verdict is Verdict.STRANGER:
        assert last.jobs
        assert last.jobs[0].runner_name == "mallory"


@given(polls_of_a_run(("waiting", "pending", "requested", "absent", "blind")))
def test_it_never_stops_a_run_that_is_not_in_the_queue(looks: list[Poll]) -> None:
    steps, _ = follow(WANTED, looks)
    assert steps[-1].verdict in (None, Verdict.UNKNOWN)
    assert steps[-1].state.queued == 0


@given(polls_of_a_run(STATUSES[:6]), st.floats(1, 200))
def test_it_always_ends(looks: list[Poll], pause: float) -> None:
    """Whatever is seen, over and over again."""
    wait, at = begin(0.0), 0.0
    for number in range(100_000):
        at += pause
        one = looks[number % len(looks)]
        step = advance(WANTED, wait, Poll(at, one.jobs, one.runner))
        if step.verdict:
            assert at <= WANTED.until + 200
            return
        wait = step.state
    pytest.fail("no verdict")


@given(polls_of_a_run())
def test_what_is_said_is_one_line(looks: list[Poll]) -> None:
    steps, last = follow(WANTED, looks)
    assert all("\n" not in step.line for step in steps)
    said = refusal_for(steps[-1], WANTED, last, "gcp-ops-runner")
    assert (said is not None) == (steps[-1].verdict in STOPS)


def test_nothing_is_remembered_that_is_not_in_the_state() -> None:
    assert begin(5.0) == WatchState(began=5.0, polled=5.0)


def test_a_job_whose_name_only_ends_alike_is_another() -> None:
    names = (f"dr / {WANTED.job}", WANTED.job, f"Do not {WANTED.job}", f"dr /{WANTED.job}", f"{WANTED.job} / dr")
    assert [each.name for each in candidates([job(WANTED, name=name, status="queued") for name in names], WANTED)] == list(names[:2])
