"""The watch against a GitHub that is late, silent, forbidding, or has a stranger: on a clock of its own, nothing sleeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.github.api.client import Client
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.job import Job
from hyops_ci.stages.watch.queue import ExpectedJob, Verdict
from hyops_ci.stages.watch.stage import MOST_CALLS, Watched, WatchRequest, watch
from tests.support.clock import Clock
from tests.support.github import faults
from tests.support.github.fixture import github_fake
from tests.support.github.jobs import Job as FakeJob
from tests.support.github.repositories import Repository
from tests.support.github.runners import Runner, RunnerVersion
from tests.support.github.runs import Run
from tests.support.github.server import FakeGitHub

__all__ = ["github_fake"]
LABELS = ("self-hosted", "gcp-ops-runner")
NAME = "gcp-ops-runner-01"
CHECK, RECOVER = "Check gcp-ops-runner (changes nothing)", "Recover at gcp, plan 7c1e44a9"
JOBS = "GET /repos/{owner}/{repo}/actions/runs/{run_id}/attempts/{attempt_number}/jobs"
CANCEL = "POST /repos/{owner}/{repo}/actions/runs/{run_id}/cancel"


@dataclass
class WatchedRun:
    """One run on one fake, and somebody who watches it."""

    fake: FakeGitHub
    folder: Path
    clock: Clock = field(default_factory=Clock)
    said: list[str] = field(default_factory=list)
    told: list[tuple[Watched, str | None]] = field(default_factory=list)
    permissions: tuple[str, ...] = ("actions: write",)

    def __post_init__(self) -> None:
        self.fake.now = self.clock.now
        self.repository: Repository = self.fake.add_repository("acme/shop", private=True)
        self.runner: Runner = self.repository.add_runner(NAME, ["gcp-ops-runner"])
        self.run: Run = self.repository.add_run()

    def job(self, name: str = CHECK, labels: tuple[str, ...] = LABELS, **said: Any) -> FakeJob:
        return self.run.add_job(f"dr / {name}", labels, **said)

    def client(self, *permissions: str) -> Client:
        token = self.fake.add_token(*permissions, seconds=86_400)
        return Client.connect(
            "acme/shop", token=token, api_url=self.fake.url, say=self.said.append, sleep=self.clock.sleep, monotonic=self.clock.monotonic
        )

    def watch(self, which: Any = "check", *, runners: bool = False, order: dict[str, Any] | None = None, **wanted: Any) -> Watched:
        attempt = self.run.attempt.number
        wish = ExpectedJob(**{"job": CHECK if which == "check" else RECOVER, "attempt": attempt, "labels": LABELS, **wanted})
        job = Job(run_id=f"{self.run.id}-{attempt}", attempt=attempt, on_github=True, repository="acme/shop")
        world = RunContext(job, self.clock, self.folder, self.folder, "none", say=self.said.append)
        listing = self.client("administration: read", "organization_self_hosted_runners: read") if runners else None
        return watch(
            WatchRequest(which, wish, "gcp-ops-runner", **(order or {})),
            self.client(*self.permissions),
            world,
            runners=listing,
            report=lambda watched: self.told.append((watched, self.run.conclusion)),
        )


@pytest.fixture
def watched_run(github_fake: FakeGitHub, tmp_path: Path) -> WatchedRun:
    return WatchedRun(github_fake, tmp_path)


# ----------------------------------------------------------------------------------------------- taken


def test_taken(watched_run: WatchedRun) -> None:
    job = watched_run.job()
    watched_run.clock.at(14, lambda: job.take(watched_run.runner))
    watched = watched_run.watch(names=(NAME,))
    assert (watched.verdict, watched.runner_name, watched.runner_id, watched.runner_group) == (
        Verdict.TAKEN,
        NAME,
        watched_run.runner.id,
        "Default",
    )
    assert 10 <= watched.waited_seconds <= 24
    assert (watched.refusal, watched.cause) == (None, "")
    assert watched_run.said[0] == "waiting for label gcp-ops-runner: 0 of 120 s"
    assert watched_run.said[-1].startswith(f"taken by {NAME} after ")
    assert watched_run.run.conclusion is None
    assert watched_run.told == [(watched, None)]


def test_a_runner_that_comes_late(watched_run: WatchedRun) -> None:
    job = watched_run.job()
    watched_run.clock.at(110, lambda: job.take(watched_run.runner))
    assert watched_run.watch().verdict is Verdict.TAKEN
    assert [line for line in watched_run.said if line.startswith("waiting")][-1].endswith("of 120 s")


def test_from_the_review_to_the_runner(watched_run: WatchedRun) -> None:
    jonas = watched_run.fake.add_user("jonas")
    watched_run.repository.add_environment("dr-prod", reviewers=[jonas])
    done = watched_run.job()
    done.take(watched_run.runner)
    done.finish()
    job = watched_run.job(RECOVER, environment="dr-prod")
    assert job.status == "waiting"
    watched_run.run.review("jonas", environments=["dr-prod"])
    watched_run.clock.at(14, lambda: job.take(watched_run.runner))
    watched = watched_run.watch("execute", order={"gate": "DR-prod"})
    assert (watched.verdict, watched.approved_by) == (Verdict.TAKEN, ("jonas",))
    assert watched_run.said[0] == "approved by jonas. Waiting for label gcp-ops-runner: 0 of 120 s"


def test_a_review_of_another_gate_is_not_named(watched_run: WatchedRun) -> None:
    jonas = watched_run.fake.add_user("jonas")
    watched_run.repository.add_environment("dr-bootstrap", reviewers=[jonas])
    watched_run.run.add_job("ensure", environment="dr-bootstrap")
    watched_run.run.review("jonas", environments=["dr-bootstrap"])
    watched_run.job(RECOVER).take(watched_run.runner)
    assert watched_run.watch("execute", order={"gate": "dr-prod"}).approved_by == ()


def test_waiting_then_queued(watched_run: WatchedRun) -> None:
    job = watched_run.job(status="waiting")
    watched_run.clock.at(2000, job.queue)
    watched_run.clock.at(2060, lambda: job.take(watched_run.runner))
    watched = watched_run.watch()
    assert watched.verdict is Verdict.TAKEN
    assert watched.waited_seconds <= 60, "an hour at a gate is nobody's silence"
    assert watched_run.run.conclusion is None


def test_a_slot_of_concurrency(watched_run: WatchedRun) -> None:
    job = watched_run.job(status="pending")
    watched_run.clock.at(1000, job.queue)
    watched_run.clock.at(1015, lambda: job.take(watched_run.runner))
    assert watched_run.watch().verdict is Verdict.TAKEN


def test_a_job_that_is_not_listed_at_first(watched_run: WatchedRun) -> None:
    watched_run.clock.at(200, lambda: watched_run.job().take(watched_run.runner))
    assert watched_run.watch().verdict is Verdict.TAKEN
    assert watched_run.said[0].startswith("GitHub does not list the job yet")


def test_a_job_that_was_cancelled_meanwhile(watched_run: WatchedRun) -> None:
    job = watched_run.job()
    watched_run.clock.at(20, lambda: job.finish("cancelled"))
    watched = watched_run.watch()
    assert (watched.verdict, watched.cause) == (Verdict.ENDED, "the job ended before a runner had it: cancelled")
    assert watched_run.fake.made(CANCEL) == []


# --------------------------------------------------------------------------------------------- nobody


def test_a_queue_that_never_ends(watched_run: WatchedRun) -> None:
    watched_run.job()
    watched = watched_run.watch()
    assert watched.verdict is Verdict.MISSING
    assert watched.refusal
    assert (watched.refusal.gate, watched.refusal.exit_code) == ("runner.silent", 7)
    assert watched.refusal.found.startswith(
        "labels [self-hosted, gcp-ops-runner]; answered nothing in this run; job state queued, not pending"
    )
    assert "not known whether busy or missing" in watched.cause
    assert 120 <= watched.waited_seconds < 135
    assert watched_run.clock.seconds < 160
    assert watched_run.told == [(watched, None)], "the result is told before the run is ended, because its end reaches the watch, too"
    assert watched_run.run.conclusion == "cancelled"
    assert watched_run.said[-1] == "run cancelled"
    assert watched.calls < 40


def test_silent_since_the_check(watched_run: WatchedRun) -> None:
    done = watched_run.job()
    done.take(watched_run.runner)
    done.finish()
    watched_run.job(RECOVER)
    watched = watched_run.watch("execute", limit=60)
    assert watched.refusal
    assert watched.refusal.reason == "no runner took the job in 60 s"
    assert "answered the check at 03:09:02Z, silent since; job state queued, not pending" in watched.refusal.found
    assert watched.refusal.fix.startswith(f"gcloud compute ssh {NAME} --tunnel-through-iap -- ")
    assert watched_run.run.conclusion == "cancelled"


def test_a_runner_may_be_made(watched_run: WatchedRun) -> None:
    watched_run.job()
    watched = watched_run.watch(order={"bootstrap_reason": "runner-recovery"})
    assert (watched.verdict, watched.refusal) == (Verdict.MISSING, None)
    assert watched_run.said[-1] == "no runner: runner-recovery allows to make one"
    assert watched_run.run.conclusion is None


def test_for_execute_no_runner_is_made(watched_run: WatchedRun) -> None:
    watched_run.job(RECOVER)
    assert watched_run.watch("execute", order={"bootstrap_reason": "runner-recovery"}).refusal
    assert watched_run.run.conclusion == "cancelled"


def test_without_the_right_to_cancel_a_person_is_told_to(watched_run: WatchedRun) -> None:
    watched_run.permissions = ("actions: read",)
    watched_run.job()
    watched = watched_run.watch()
    assert watched.refusal
    assert watched.refusal.gate == "runner.silent"
    assert watched_run.said[-1].startswith(f"CANCEL THIS RUN BY HAND: gh run cancel {watched_run.run.id} ")
    assert "actions: write" in watched_run.said[-1]


def test_a_run_that_ended_by_itself_in_that_second(watched_run: WatchedRun) -> None:
    watched_run.job()
    watched_run.fake.inject(faults.answer(409, "Cannot cancel a workflow run that is completed."), CANCEL)
    assert watched_run.watch().verdict is Verdict.MISSING
    assert watched_run.said[-1] == "the run had ended already"


def test_the_run_is_ended_though_the_result_cannot_be_told(watched_run: WatchedRun) -> None:
    watched_run.job().take(watched_run.repository.add_runner("mallory", ["gcp-ops-runner"]))
    watched_run.told = None  # type: ignore[assignment]  # nobody is to be told
    with pytest.raises(AttributeError):
        watched_run.watch(names=(NAME,))
    assert watched_run.run.conclusion == "cancelled"


# ------------------------------------------------------------------------- the job that makes the runner


MAKING, HOSTED, MANAGEMENT = "Make the runner", ("ubuntu-latest",), ("self-hosted", "mgmt-runner")
GATE = {"gate": "dr-bootstrap"}


def test_a_runner_is_made_and_the_run_goes_on(watched_run: WatchedRun) -> None:
    jonas = watched_run.fake.add_user("jonas")
    watched_run.repository.add_environment("dr-bootstrap", reviewers=[jonas])
    job = watched_run.job(MAKING, HOSTED, environment="dr-bootstrap")
    hosted = watched_run.repository.add_runner("GitHub Actions 7", [], read_only=("ubuntu-latest",))
    watched_run.clock.at(300, lambda: (watched_run.run.review("jonas", environments=["dr-bootstrap"]), job.take(hosted)))
    watched_run.clock.at(700, job.finish)
    watched = watched_run.watch("bootstrap", order=GATE, job=MAKING, labels=HOSTED)
    assert (watched.verdict, watched.refusal) == (Verdict.TAKEN, None)
    assert watched_run.run.conclusion is None
    assert 700 <= watched_run.clock.seconds < 740
    assert watched.calls < 60


def test_a_no_to_making_the_runner_ends_the_run(watched_run: WatchedRun) -> None:
    """GitHub leaves the other jobs of the run as they are: the check would wait for a day."""
    jonas = watched_run.fake.add_user("jonas")
    watched_run.repository.add_environment("dr-bootstrap", reviewers=[jonas])
    check = watched_run.job()
    job = watched_run.job(MAKING, HOSTED, environment="dr-bootstrap")

    def deny() -> None:
        watched_run.run.review("jonas", "rejected", environments=["dr-bootstrap"], comment="the old one is back")
        job.finish("failure")

    watched_run.clock.at(100, deny)
    watched = watched_run.watch("bootstrap", order=GATE, job=MAKING, labels=HOSTED)
    assert watched.refusal
    assert (watched.refusal.gate, watched.refusal.exit_code) == ("runner.not-made", 7)
    assert watched.refusal.reason == "jonas said no to making the runner"
    assert watched.refusal.found == 'dr-bootstrap: "the old one is back"'
    assert watched_run.run.conclusion == "cancelled"
    assert check.conclusion == "cancelled"


def test_nobody_answers_whether_the_runner_is_made(watched_run: WatchedRun) -> None:
    watched_run.job(MAKING, HOSTED, status="waiting")
    watched = watched_run.watch("bootstrap", order=GATE, job=MAKING, labels=HOSTED)
    assert watched.refusal
    assert (watched.refusal.gate, watched.refusal.reason) == ("runner.not-made", "nobody approved that the runner is made")
    assert watched_run.run.conclusion == "cancelled"
    assert watched_run.clock.seconds < 4100


def test_a_job_that_fails_to_make_it_ends_the_run(watched_run: WatchedRun) -> None:
    job = watched_run.job(MAKING, HOSTED)
    watched_run.clock.at(20, lambda: job.take(watched_run.repository.add_runner("GitHub Actions 7", [], read_only=("ubuntu-latest",))))
    watched_run.clock.at(400, lambda: job.finish("failure"))
    watched = watched_run.watch("bootstrap", order=GATE, job=MAKING, labels=HOSTED)
    assert watched.refusal
    assert watched.refusal.found == "Make the runner: failure, on GitHub Actions 7"
    assert watched_run.run.conclusion == "cancelled"


def test_a_management_runner_that_is_away_ends_the_run(watched_run: WatchedRun) -> None:
    watched_run.job(MAKING, MANAGEMENT)
    watched = watched_run.watch("bootstrap", order=GATE, job=MAKING, labels=MANAGEMENT)
    assert watched.refusal
    assert (watched.refusal.gate, watched.refusal.expected) == ("runner.not-begun", "the management runner, online: mgmt-runner")
    assert watched_run.run.conclusion == "cancelled"


def test_what_is_not_known_of_it_stops_nothing(watched_run: WatchedRun) -> None:
    watched_run.job(MAKING, HOSTED)
    watched_run.fake.inject(faults.dropped(), JOBS, times=None, after=4)
    watched = watched_run.watch("bootstrap", order=GATE, job=MAKING, labels=HOSTED)
    assert (watched.verdict, watched.refusal) == (Verdict.UNKNOWN, None)
    assert watched_run.run.conclusion is None


# ------------------------------------------------------------------------------------------ strangers


def test_a_stranger(watched_run: WatchedRun) -> None:
    job, mallory = watched_run.job(), watched_run.repository.add_runner("mallory", ["gcp-ops-runner"])
    watched_run.clock.at(5, lambda: job.take(mallory))
    watched = watched_run.watch(names=(NAME,))
    assert watched.verdict is Verdict.STRANGER
    assert watched.refusal
    assert (watched.refusal.gate, watched.refusal.exit_code) == ("runner.stranger", 7)
    assert watched.refusal.found == f"mallory (id {mallory.id}, group Default) took the job"
    assert (watched.runner_name, watched.runner_id) == ("mallory", mallory.id)
    assert watched_run.run.conclusion == "cancelled"


def test_a_second_attempt_is_watched_by_itself(watched_run: WatchedRun) -> None:
    first = watched_run.job()
    first.take(watched_run.repository.add_runner("mallory", ["gcp-ops-runner"]))
    first.finish()
    watched_run.run.rerun("maria")
    second = watched_run.job()
    watched_run.clock.at(20, lambda: second.take(watched_run.runner))
    watched = watched_run.watch(names=(NAME,))
    assert (watched.verdict, watched.runner_name, watched.attempt) == (Verdict.TAKEN, NAME, 2)


def test_two_jobs_of_one_name(watched_run: WatchedRun) -> None:
    watched_run.job()
    watched_run.run.add_job(f"again / {CHECK}", LABELS)
    watched = watched_run.watch()
    assert watched.verdict is Verdict.UNKNOWN
    assert "2 jobs of this run" in watched.cause
    assert watched_run.run.conclusion is None


# -------------------------------------------------------------------------------- what cannot be seen


def test_github_is_away_for_a_while(watched_run: WatchedRun) -> None:
    job = watched_run.job()
    watched_run.fake.inject(faults.answer(502), JOBS, times=40, after=4)
    watched_run.clock.at(500, lambda: job.take(watched_run.runner))
    watched = watched_run.watch()
    assert watched.verdict is Verdict.TAKEN
    assert watched.waited_seconds < 120
    assert watched_run.run.conclusion is None
    assert any(line.startswith("GitHub does not answer; not counted, ") for line in watched_run.said)


def test_github_stays_away(watched_run: WatchedRun) -> None:
    watched_run.job()
    watched_run.fake.inject(faults.dropped(), JOBS, times=None, after=4)
    watched = watched_run.watch()
    assert (watched.verdict, watched.refusal) == (Verdict.UNKNOWN, None)
    assert "GitHub does not answer" in watched.cause
    assert watched_run.run.conclusion is None, "ignorance stops nothing"
    assert watched_run.clock.seconds < 1000


def test_a_secondary_limit_in_mid_watch(watched_run: WatchedRun) -> None:
    job = watched_run.job()
    watched_run.fake.inject(faults.secondary(60), JOBS, times=1, after=3)
    watched_run.clock.at(150, lambda: job.take(watched_run.runner))
    watched = watched_run.watch()
    assert watched.verdict is Verdict.TAKEN, "the minute that GitHub asked for is no silence of the runner"
    assert any("60 s" in line for line in watched_run.said)


def test_a_token_that_may_not_look(watched_run: WatchedRun) -> None:
    watched_run.permissions = ("contents: read",)
    watched_run.job()
    watched = watched_run.watch()
    assert watched.verdict is Verdict.UNKNOWN
    assert "actions: read" in watched.cause
    assert (watched.calls, watched_run.clock.seconds) == (1, 0)


def test_a_gate_without_end(watched_run: WatchedRun) -> None:
    watched_run.job(status="waiting")
    watched = watched_run.watch()
    assert (watched.verdict, watched.refusal) == (Verdict.UNKNOWN, None)
    assert watched_run.run.conclusion is None
    assert watched.calls < MOST_CALLS
    assert watched_run.clock.seconds < 4100


def test_calls_are_bounded_whatever_happens(watched_run: WatchedRun) -> None:
    watched_run.job(status="waiting")
    watched = watched_run.watch(until=1_000_000)
    assert watched.verdict is Verdict.UNKNOWN
    assert watched.calls == MOST_CALLS
    assert watched.cause == f"{MOST_CALLS} calls of GitHub are used up"


# ------------------------------------------------------------------------------------------------ busy


def drill(watched_run: WatchedRun) -> FakeJob:
    """Another run, on the runner."""
    job = watched_run.repository.add_run(".github/workflows/drill.yml").add_job("Drill pg-ha", LABELS)
    job.take(watched_run.runner)
    return job


@pytest.mark.parametrize("runners", [False, True])
def test_busy_with_a_drill_is_waited_for(runners: bool, watched_run: WatchedRun) -> None:
    mine, other = watched_run.job(), drill(watched_run)

    def over() -> None:
        other.finish()
        mine.take(watched_run.runner)

    watched_run.clock.at(900, over)
    watched = watched_run.watch(names=(NAME,), runners=runners)
    assert watched.verdict is Verdict.TAKEN
    busy = [line for line in watched_run.said if "is busy with run" in line]
    assert busy[0].startswith(f"{NAME} is busy with run {other.run.id} (Drill pg-ha); waited for: ")
    assert watched_run.run.conclusion is None


DISPATCH = ("hybridops/dr-dispatch/.github/workflows/dispatch.yml@" + "3f2a" * 10, "3f2a" * 10)


def isolated_drill(watched_run: WatchedRun, *, ours: bool = True, name: str = "drill / dr / Drill at gcp, plan 7c1e44a9") -> FakeJob:
    """A drill at work on the runner, which ends, and frees it, when it is cancelled."""
    run = watched_run.repository.add_run(".github/workflows/dr-drill.yml", referenced=[DISPATCH] if ours else [])
    job = run.add_job(name, LABELS)
    job.take(watched_run.runner)
    return job


def test_a_real_run_ends_the_drill_that_its_runner_is_busy_with(watched_run: WatchedRun) -> None:
    mine, other = watched_run.job(), isolated_drill(watched_run)

    def gave_way(run: Run) -> None:
        other.finish("cancelled")
        run.finish("cancelled")
        watched_run.clock.at(watched_run.clock.monotonic() + 40, lambda: mine.take(watched_run.runner))

    other.run.on_cancel = gave_way
    watched = watched_run.watch(order={"preempts": True})
    assert (watched.verdict, other.run.conclusion) == (Verdict.TAKEN, "cancelled")
    assert f"run {other.run.id} is a drill, and this is a real run: ended for this run" in watched_run.said
    assert len(watched_run.fake.made(CANCEL)) == 1
    assert watched.waited_seconds < 90, "it was asked at once, not after half the limit"


def test_a_drill_waits_for_a_drill_and_a_check_for_both(watched_run: WatchedRun) -> None:
    """`preempts` is what a real run says of itself: the plan's exercise is empty."""
    mine, other = watched_run.job(), isolated_drill(watched_run)
    watched_run.clock.at(900, lambda: (other.finish(), mine.take(watched_run.runner)))
    assert watched_run.watch().verdict is Verdict.TAKEN
    assert watched_run.fake.made(CANCEL) == []


@pytest.mark.parametrize(
    ("ours", "name", "said"),
    [
        (False, "drill / dr / Drill at gcp, plan 7c1e44a9", "run {} calls itself a drill, and no dispatch.yml runs in it: left alone"),
        (True, "dr / Recover at gcp, plan 7c1e44a9", ""),
        (True, "dr / Check gcp-ops-runner (changes nothing)", ""),
        (True, "Drill at gcp, plan 7c1e44a9, and then some", ""),
    ],
    ids=["another-workflow", "a-recovery", "a-check", "another-name"],
)
def test_nothing_but_a_drill_is_ended(ours: bool, name: str, said: str, watched_run: WatchedRun) -> None:
    watched_run.job()
    other = isolated_drill(watched_run, ours=ours, name=name)
    watched = watched_run.watch(order={"preempts": True}, busy_limit=60)
    assert (watched.verdict, other.run.conclusion) == (Verdict.BUSY, None)
    assert [line for line in watched_run.said if line.startswith(f"run {other.run.id} ")] == ([said.format(other.run.id)] if said else [])


def test_a_drill_that_may_not_be_ended_is_named_with_the_command(watched_run: WatchedRun) -> None:
    watched_run.permissions = ("actions: read",)
    watched_run.job()
    other = isolated_drill(watched_run)
    watched_run.watch(order={"preempts": True}, busy_limit=60)
    assert any(f"CANCEL IT BY HAND: gh run cancel {other.run.id}" in line for line in watched_run.said)


def test_busy_for_ever(watched_run: WatchedRun) -> None:
    watched_run.job()
    other = drill(watched_run)
    watched = watched_run.watch()
    assert watched.verdict is Verdict.BUSY
    assert watched.refusal
    assert (watched.refusal.gate, watched.refusal.exit_code) == ("runner.busy", 7)
    assert f"run {other.run.id}" in watched.refusal.found
    assert watched_run.run.conclusion == "cancelled"
    assert len(watched_run.fake.made("GET /repos/{owner}/{repo}/actions/runs")) < 20, "what the runner does is not asked at every look"
    assert watched.calls < MOST_CALLS


def test_busy_elsewhere_only_a_token_that_lists_runners_knows(watched_run: WatchedRun) -> None:
    watched_run.job()
    watched_run.runner.busy = True
    assert watched_run.watch(runners=True, busy_limit=60).cause == f"{NAME} is busy"


def test_a_stranger_at_work_keeps_nobody_waiting(watched_run: WatchedRun) -> None:
    watched_run.job()
    mallory = watched_run.repository.add_runner("mallory", ["gcp-ops-runner"])
    watched_run.repository.add_run().add_job("Build", LABELS).take(mallory)
    assert watched_run.watch(names=(NAME,)).verdict is Verdict.MISSING


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "offline"}, f"{NAME} is offline"),
        ({"version": "2.320.0"}, f"{NAME} is online, but agent 2.320.0 is below 2.329.0"),
        ({"version": "2.336.0"}, f"{NAME} is online, but agent 2.336.0 gets no jobs since 2026-11-05T08:04:55Z"),
        ({"version": "2.337.0"}, f"{NAME} is idle; yet it takes no job"),
        ({"labels": ["gcp-ops"]}, f"{NAME} is without the label gcp-ops-runner; removed after 14 days offline"),
        ({"name": "another"}, f"GitHub shows no runner {NAME}; removed after 14 days offline"),
    ],
)
def test_the_likely_cause_where_runners_may_be_listed(change: dict[str, Any], words: str, watched_run: WatchedRun) -> None:
    watched_run.fake.runner_versions = {"2.336.0": RunnerVersion("2.336.0", "2026-11-05T08:04:55Z"), "2.337.0": RunnerVersion("2.337.0")}
    for name, value in change.items():
        setattr(watched_run.runner, name, value)
    watched_run.job()
    watched = watched_run.watch(names=(NAME,), runners=True)
    assert watched.cause.startswith(words)
    assert watched.refusal
    assert words in watched.refusal.found


def test_trouble_with_the_question_is_no_trouble_of_the_watch(watched_run: WatchedRun) -> None:
    watched_run.job()
    watched_run.fake.inject(faults.answer(404), "GET /repos/{owner}/{repo}/actions/runs", times=None)
    watched = watched_run.watch()
    assert watched.verdict is Verdict.MISSING
    assert any(line.startswith("not known whether the runner is busy: ") for line in watched_run.said)


def test_escapes_in_names_reach_no_terminal(watched_run: WatchedRun) -> None:
    watched_run.job().take(watched_run.repository.add_runner("\x1b[31mred\x1b[0m", ["gcp-ops-runner"]))
    watched = watched_run.watch()
    assert "\x1b" not in "".join(watched_run.said) + watched.runner_name
    assert "\\u001b[31mred" in watched.runner_name
