"""Following a run: what is said on the way, when it stops, and which evidence is believed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from hyops_ci.contracts.run import State
from hyops_ci.errors import DispatchError, Exit, Fault, Refusal
from hyops_ci.github.runs import run as look
from hyops_ci.operations.dispatch.follow import LINE_EVERY, PACE, SLOW_PACE, RunOutcome, fetch, follow
from tests.support.github import faults
from tests.support.github.fixture import github_fake
from tests.support.github.runs import Run
from tests.support.github.server import FakeGitHub
from tests.unit.operations.dispatch.dispatching import FILE, RUN, Caller, bundle, caller, recovers

__all__ = ["github_fake"]

GET_RUN = "GET /repos/{owner}/{repo}/actions/runs/{run_id}"
CANCEL = "POST /repos/{owner}/{repo}/actions/runs/{run_id}/cancel"
DECISION_ID = "manual-4711-212"


@pytest.fixture
def here(github_fake: FakeGitHub) -> Caller:
    return caller(github_fake)


@pytest.fixture
def run(here: Caller) -> Run:
    return here.repository.add_run(number=RUN)


def followed(here: Caller, within: int = 3600, *, cancel_on_timeout: bool = False) -> str:
    fact = follow(here.client, RUN, within=within, clock=here.clock, say=here.say, cancel_on_timeout=cancel_on_timeout)
    return str(fact.conclusion)


# ----------------------------------------------------------------------------------------------- what is said


def test_a_line_for_every_change_with_who_is_waited_for(here: Caller, run: Run) -> None:
    here.fake.add_user("priya")
    team = here.fake.add_team("acme/ops")
    here.repository.add_environment("dr-prod", reviewers=[here.fake.add_user("jonas"), here.fake.account("priya"), team])
    runner = here.repository.add_runner("gcp-ops-runner-01", ["self-hosted", "gcp-ops-runner"])
    plan = run.add_job("Plan", ["ubuntu-latest"])

    def gate() -> None:
        plan.finish()
        run.add_job("Recover at gcp", ["self-hosted", "gcp-ops-runner"], environment="dr-prod")

    here.clock.on_sleep = [plan.take, gate, lambda: run.review("jonas"), lambda: run.jobs[-1].take(runner), run.finish]
    assert followed(here) == "success"
    assert here.said == [
        "run 212 waits for label ubuntu-latest (Plan)",
        "run 212 does Plan",
        f"run 212 waits for a review of dr-prod (jonas or priya or team ops)   {run.page}",
        "run 212 waits for label self-hosted, gcp-ops-runner (Recover at gcp)",
        "run 212 does Recover at gcp on gcp-ops-runner-01",
        f"run 212 ended: success   {run.page}",
    ]


def test_while_nothing_happens_a_line_every_half_minute(here: Caller, run: Run) -> None:
    run.add_job("Plan", ["ubuntu-latest"]).take()
    with pytest.raises(Fault):
        followed(here, within=120)
    said = [re.fullmatch(r"run 212 does Plan   for (3|6|7|9|1m)[0-9]*s", line) for line in here.said[1:]]
    assert all(said)
    assert 120 // (LINE_EVERY + 1.2 * PACE) <= len(said) <= 120 // LINE_EVERY


def test_looks_are_ten_seconds_apart_and_fewer_when_nothing_happens_for_long(here: Caller, run: Run) -> None:
    with pytest.raises(Fault):
        followed(here, within=600)
    early = len(here.fake.made(GET_RUN))
    assert 600 / (PACE * 1.2) <= early <= 600 / PACE + 2
    here.fake.calls.clear()
    here.clock.waited = 0
    with pytest.raises(Fault):
        followed(here, within=3600)
    assert len(here.fake.made(GET_RUN)) <= early + 3000 / SLOW_PACE + 2
    assert len(here.fake.calls) < 500, "GitHub gives a repository's job tokens a thousand calls an hour"


def test_an_unknown_status_is_said_as_github_spells_it(here: Caller, run: Run) -> None:
    run.status_by_hand = "requested"
    here.clock.on_sleep = [run.finish]
    followed(here)
    assert here.said[0] == "run 212 requested"


def test_a_github_that_does_not_answer_ends_nothing(here: Caller, run: Run) -> None:
    run.add_job("Plan", ["ubuntu-latest"]).take()
    here.fake.inject(faults.answer(502), GET_RUN, after=1, times=8)
    here.clock.on_sleep = [lambda: None] * 12 + [run.finish]
    assert followed(here) == "success"
    assert [line for line in here.said if "goes on as far as anybody knows" in line]


# ------------------------------------------------------------------------------------------------- when it stops


def test_the_deadline_leaves_the_run_alone(here: Caller, run: Run) -> None:
    with pytest.raises(Fault) as caught:
        followed(here, within=90)
    assert (caught.value.gate, caught.value.exit_code) == ("dispatch.deadline", Exit.UNAVAILABLE)
    assert "the run goes on, nothing was cancelled" in caught.value.reason
    assert (caught.value.expected, "gh run watch 212 --repo acme/recovery" in caught.value.fix) == ("an end within PT1M30S", True)
    assert (run.status, here.fake.made(CANCEL)) == ("queued", [])
    assert 90 <= here.clock.waited < 91


def test_the_deadline_ends_the_run_where_that_was_asked(here: Caller, run: Run) -> None:
    with pytest.raises(Fault, match="the run was cancelled"):
        followed(here, within=30, cancel_on_timeout=True)
    assert (run.conclusion, len(here.fake.made(CANCEL))) == ("cancelled", 1)


def test_a_run_that_is_over_is_not_waited_for(here: Caller, run: Run) -> None:
    run.finish("failure")
    assert (followed(here, within=0), here.clock.waited, len(here.fake.calls)) == ("failure", 0, 1)


def test_a_token_that_may_not_look_is_refused(github_fake: FakeGitHub) -> None:
    here = caller(github_fake, permissions=("contents: write",))
    here.repository.add_run(number=RUN)
    with pytest.raises(Refusal, match=r"github\.permission"):
        followed(here)
    assert here.said == ["run 212 goes on; this token may no longer read it"]


# --------------------------------------------------------------------------------------------- what it came to


def fetched(here: Caller, decision_id: str = DECISION_ID) -> RunOutcome:
    return fetch(here.client, look(here.client, RUN), decision_id=decision_id)


def refused(here: Caller, decision_id: str = DECISION_ID) -> DispatchError:
    with pytest.raises(Refusal) as caught:
        fetched(here, decision_id)
    return caught.value


def test_a_bundle_that_verifies_is_believed(here: Caller, run: Run, tmp_path: Path) -> None:
    data = bundle(tmp_path)
    recovers(data)(run)
    found = fetched(here)
    assert (found.result.outcome, found.result.exit_code) == (State.COMPLETED_WITH_EXCEPTIONS, 0)
    assert (found.artifact, found.digest.startswith("sha256:")) == ("dr-evidence-212-1", True)
    assert found.result.decision_id == DECISION_ID


def test_the_evidence_of_a_later_attempt(here: Caller, run: Run, tmp_path: Path) -> None:
    run.rerun("maria")
    recovers(bundle(tmp_path), attempt=2)(run)
    assert fetched(here).artifact == "dr-evidence-212-2"


@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_a_bundle_with_one_changed_byte_is_not(at: float, here: Caller, run: Run, tmp_path: Path) -> None:
    data = bytearray(bundle(tmp_path))
    data[int(len(data) * at)] ^= 1
    recovers(bytes(data))(run)
    error = refused(here)
    assert (error.gate, error.exit_code) == ("evidence.verify", Exit.EVIDENCE)


def test_a_true_bundle_of_another_run_or_decision_is_not(here: Caller, run: Run, tmp_path: Path) -> None:
    data = bundle(tmp_path)
    recovers(data)(run)
    assert "about decision manual-4711-212" in refused(here, "inc-4242-power-lost").found
    other = here.repository.add_run(number=RUN + 1)
    recovers(data)(other)
    with pytest.raises(Refusal, match=r"evidence\.verify") as caught:
        fetch(here.client, look(here.client, RUN + 1))
    assert "the evidence of run 212-1" in caught.value.found


def ends(run: Run, conclusion: str, report: str = "", name: str = "dr / Report", labels: tuple[str, ...] = ("ubuntu-latest",)) -> None:
    """The run ended so, and its report so; without a word there was none."""
    if report:
        run.add_job(name, labels).finish(report)
    run.finish(conclusion)


@pytest.mark.parametrize("report", ["failure", "cancelled", "skipped", ""])
@pytest.mark.parametrize("conclusion", ["failure", "cancelled", "timed_out"])
def test_evidence_that_the_report_does_not_stand_behind_is_not_believed(
    conclusion: str, report: str, here: Caller, run: Run, tmp_path: Path
) -> None:
    """A machine that took another job of the run was faster; or the report found GitHub saying something else."""
    run.add_artifact("dr-evidence-212-1", {"evidence.tar": bundle(tmp_path)})
    ends(run, conclusion, report)
    error = refused(here)
    assert (error.gate, error.exit_code) == ("evidence.report", Exit.EVIDENCE)
    assert error.found.startswith("dr-evidence-212-1 says COMPLETED_WITH_EXCEPTIONS; GitHub's word on the job Report is ")
    assert error.found.endswith(f"{report or 'no such job'}, on the run {conclusion}")


def test_a_job_that_is_called_like_the_report_is_none(here: Caller, run: Run, tmp_path: Path) -> None:
    run.add_artifact("dr-evidence-212-1", {"evidence.tar": bundle(tmp_path)})
    run.add_job("x / Report", ("self-hosted",)).finish("success")
    ends(run, "failure", "failure")
    assert refused(here).gate == "evidence.report"


def test_a_job_of_the_caller_that_fails_after_a_good_report_changes_nothing(here: Caller, run: Run, tmp_path: Path) -> None:
    run.add_artifact("dr-evidence-212-1", {"evidence.tar": bundle(tmp_path)})
    run.add_job("tell the others", ("ubuntu-latest",)).finish("failure")
    ends(run, "failure", "success")
    assert fetched(here).result.exit_code == 0


@pytest.mark.parametrize(
    ("leave", "gate"),
    [
        (lambda run: None, "evidence.missing"),
        (lambda run: run.add_artifact("dr-evidence-212-2", {"evidence.tar": b""}), "evidence.missing"),
        (lambda run: run.add_artifact("dr-evidence-212-1", {"report.html": b""}), "evidence.missing"),
        (lambda run: run.add_artifact("dr-evidence-212-1", {"evidence.tar": b"no bundle"}), "evidence.verify"),
        (lambda run: run.add_artifact("dr-evidence-212-1", {"../evidence.tar": b""}), "artifact.zip"),
        (lambda run: run.add_artifact("dr-evidence-212-1", {}, expired=True), "artifact.expired"),
        (lambda run: run.add_artifact("dr-evidence-212-1", {}, digest="sha256:" + "0" * 64), "artifact.digest"),
    ],
)
def test_a_run_that_leaves_no_evidence(leave: Callable[[Run], object], gate: str, here: Caller, run: Run) -> None:
    leave(run)
    run.finish("cancelled")
    error = refused(here)
    assert (error.gate, error.exit_code) == (gate, Exit.EVIDENCE)


# ------------------------------------------------------------------------------------------------ startup_failure


def test_a_run_that_never_began_is_explained_by_what_its_caller_does_not_grant(here: Caller, run: Run) -> None:
    run.fail_at_startup()
    error = refused(here)
    assert (error.gate, error.exit_code) == ("dispatch.startup", Exit.USAGE)
    assert "job dr: it does not grant id-token: write (the job: permissions: {contents: write, actions: write})" in error.found
    assert "id-token: write}" in error.fix


def test_its_file_is_read_at_the_runs_own_commit(here: Caller, run: Run) -> None:
    here.repository.commit({".github/workflows/dr.yml": FILE.replace("actions: write}", "actions: write, id-token: write}")})
    run.fail_at_startup()
    assert "it does not grant id-token" in refused(here).found


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (FILE.replace("actions: write}", "actions: write, id-token: write}"), "nothing wrong in .github/workflows/dr.yml"),
        ("on: push\njobs: [\n", "is not a workflow that GitHub can read"),
        ("on: push\njobs: {}\n", "no job calls dispatch.yml"),
    ],
)
def test_what_else_a_file_can_say(file: str, words: str, here: Caller) -> None:
    sha = here.repository.commit({".github/workflows/dr.yml": file})
    here.repository.add_run(number=RUN, sha=sha).fail_at_startup()
    error = refused(here)
    assert (error.gate, words in error.found) == ("dispatch.startup", True)


def test_a_file_that_this_token_cannot_read(github_fake: FakeGitHub) -> None:
    here = caller(github_fake, permissions=("actions: read",))
    here.repository.add_run(number=RUN).fail_at_startup()
    error = refused(here)
    assert (error.gate, "cannot be read here" in error.found) == ("dispatch.startup", True)
