"""Other programs read it: PyGithub, and several processes at once."""

from __future__ import annotations

import subprocess
import sys

import pytest
from github import Auth, Github, GithubException

from tests.support.github.repositories import Repository
from tests.support.github.server import FakeGitHub


def test_pygithub_reads_it_and_dispatches(recovery: Repository, github_fake: FakeGitHub) -> None:
    recovery.add_environment("dr-prod", reviewers=[github_fake.account("eve")], prevent_self_review=True, wait_timer=5)
    recovery.add_runner("dr-1", ["dr"])
    secret = github_fake.add_token("actions: write", "administration: read", "contents: read")
    client = Github(auth=Auth.Token(secret), base_url=github_fake.url, seconds_between_requests=0, seconds_between_writes=0, retry=None)
    found = client.get_repo("acme/recovery")
    assert (found.id, found.private, found.default_branch) == (4242, True, "main")
    rules = {rule.type: rule for rule in found.get_environment("dr-prod").protection_rules}
    assert rules["required_reviewers"].reviewers[0].reviewer.id == 1003
    assert [runner.name for runner in found.get_self_hosted_runners()] == ["dr-1"]
    run = found.get_workflow("dr.yml").create_dispatch("main", {"decision": "x"}, return_run_details=True)
    assert run.id in recovery.runs
    recovery.runs[run.id].add_job("execute", ["dr"])
    again = found.get_workflow_run(run.id)
    assert (again.status, again.event, again.head_sha) == ("queued", "workflow_dispatch", recovery.head)
    assert [job.name for job in again.jobs()] == ["execute"]
    assert again.cancel() is True
    assert found.get_branch("main").protected is False
    with pytest.raises(GithubException) as caught:
        found.get_environment("nope")
    assert caught.value.status == 404
    client.close()


PROGRAM = """
import sys, requests
from concurrent.futures import ThreadPoolExecutor
url, token = sys.argv[1:]
def start(n):
    body = {"ref": "main", "inputs": {"decision": str(n)}, "return_run_details": True}
    address = f"{url}/repos/acme/recovery/actions/workflows/dr.yml/dispatches"
    return requests.post(address, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=20).json()["workflow_run_id"]
with ThreadPoolExecutor(4) as pool:
    print(*pool.map(start, range(20)))
"""


def test_processes_and_threads_at_once(recovery: Repository, github_fake: FakeGitHub) -> None:
    command = [sys.executable, "-c", PROGRAM, github_fake.url, github_fake.add_token("actions: write")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [int(number) for process in processes for number in process.communicate(timeout=400)[0].split()]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(said) == sorted(recovery.runs)
    assert len(said) == 40
    assert len(github_fake.calls) == 40
