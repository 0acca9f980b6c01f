"""Each injected fault does what it says, and the next request is fine again."""

from __future__ import annotations

import time

import pytest
import requests

from tests.support.github import faults
from tests.support.github.artifacts import STORAGE
from tests.support.github.caller import Caller
from tests.support.github.repositories import Repository
from tests.support.github.server import FakeGitHub

REPO = "/repos/{owner}/{repo}"
JOBS = f"GET {REPO}/actions/runs/{{run_id}}/jobs"


@pytest.mark.parametrize("status", [401, 403, 404, 409, 422, 500, 502, 503])
def test_injected_status_once_and_without_effect(status: int, recovery: Repository, call: Caller, github_fake: FakeGitHub) -> None:
    run = recovery.add_run()
    address = f"/repos/acme/recovery/actions/runs/{run.id}/cancel"
    github_fake.inject(faults.answer(status), on=f"POST {REPO}/actions/runs/{{run_id}}/cancel")
    assert call("GET", f"/repos/acme/recovery/actions/runs/{run.id}").status_code == 200
    assert call("POST", address).status_code == status
    assert run.conclusion is None
    assert call("POST", address).status_code == 202
    assert [entry.status for entry in github_fake.calls] == [200, status, 202]
    assert github_fake.calls[1].fault == f"answer {status}"


def test_limits(recovery: Repository, call: Caller, github_fake: FakeGitHub) -> None:
    github_fake.inject(faults.secondary(7), on="GET *", after=1)
    github_fake.inject(faults.secondary(None, status=429), on="GET *", after=1)
    github_fake.inject(faults.primary(1_800_000_000), on="GET *", after=1)
    first, second, third, fourth, fifth = (call("GET", "/repos/acme/recovery") for _ in range(5))
    assert (first.status_code, fifth.status_code) == (200, 200)
    assert (second.status_code, second.headers["Retry-After"]) == (403, "7")
    assert (third.status_code, third.headers.get("Retry-After")) == (429, None)
    assert (fourth.status_code, fourth.headers["X-RateLimit-Remaining"], fourth.headers["X-RateLimit-Reset"]) == (403, "0", "1800000000")
    assert int(fifth.headers["X-RateLimit-Remaining"]) == int(first.headers["X-RateLimit-Remaining"]) - 1
    assert call("GET", "/rate_limit").json()["rate"]["used"] == 2


def test_used_up_token_is_refused(recovery: Repository, github_fake: FakeGitHub) -> None:
    secret = github_fake.add_token("metadata: read")
    github_fake.tokens[secret].limit = 2
    call = Caller(github_fake, secret)
    answers = [call("GET", "/repos/acme/recovery") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 403]
    assert answers[2].headers["X-RateLimit-Remaining"] == "0"


def test_dropped_lost_and_truncated(recovery: Repository, call: Caller, github_fake: FakeGitHub) -> None:
    address, body = "/repos/acme/recovery/actions/workflows/dr.yml/dispatches", {"ref": "main", "inputs": {"decision": "x"}}
    for n, (fault, runs) in enumerate(((faults.dropped(), 0), (faults.lost(), 1), (faults.truncated(), 2))):
        github_fake.inject(fault, on="POST *")
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            call("POST", address, {**body, "return_run_details": True})
        assert len(recovery.runs) == runs
        assert github_fake.calls[n].status == (0 if n == 0 else 200)


def test_download_that_breaks_off(recovery: Repository, call: Caller, github_fake: FakeGitHub) -> None:
    made = recovery.add_run().add_artifact("plan", {"plan.json": b"{}"})
    github_fake.inject(faults.truncated(), on=STORAGE)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        call("GET", f"/repos/acme/recovery/actions/artifacts/{made.id}/zip")
    assert call("GET", f"/repos/acme/recovery/actions/artifacts/{made.id}/zip").content == made.data
    assert len(github_fake.made(STORAGE)) == 2


def test_slow_answer(recovery: Repository, call: Caller, github_fake: FakeGitHub) -> None:
    github_fake.inject(faults.slow(0.4))
    with pytest.raises(requests.Timeout):
        call.session.get(f"{github_fake.url}/repos/acme/recovery", timeout=0.1)
    assert call("GET", "/repos/acme/recovery").status_code == 200


def test_scripts_by_count_and_by_clock(recovery: Repository, call: Caller, github_fake: FakeGitHub) -> None:
    run = recovery.add_run()
    job = run.add_job("execute", ["dr"])
    github_fake.after(2, JOBS, lambda: job.take(recovery.add_runner("late", ["dr"])))
    github_fake.later(3600, lambda: run.finish("failure"))
    polled = [call("GET", f"/repos/acme/recovery/actions/runs/{run.id}/jobs").json()["jobs"][0]["status"] for _ in range(3)]
    assert polled == ["queued", "queued", "in_progress"]
    github_fake.later(0.15, lambda: run.finish("success"))
    time.sleep(0.2)
    assert call("GET", f"/repos/acme/recovery/actions/runs/{run.id}").json()["conclusion"] == "success"
    assert len(github_fake.made(JOBS)) == 3
