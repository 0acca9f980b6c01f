"""Environments, runs, reviews, artifacts, dispatches, contents: what the fake makes of them."""

from __future__ import annotations

import hashlib
import io
import zipfile

import pytest
import requests

from tests.support.github.caller import Caller
from tests.support.github.description import Json
from tests.support.github.repositories import Repository
from tests.support.github.server import FakeGitHub

WORKFLOW = ".github/workflows/dr.yml"


def test_environment_says_what_guards_it(github_fake: FakeGitHub, recovery: Repository, call: Caller) -> None:
    team = github_fake.add_team("acme/approvers", ["noor"], number=55)
    recovery.add_environment(
        "dr-prod", reviewers=[github_fake.account("eve"), team], prevent_self_review=True, wait_timer=5, branches=["main"]
    )
    shown = call("GET", "/repos/acme/recovery/environments/dr-prod").json()
    timer, reviewers, policy = shown["protection_rules"]
    assert (timer["type"], timer["wait_timer"]) == ("wait_timer", 5)
    assert (reviewers["type"], reviewers["prevent_self_review"]) == ("required_reviewers", True)
    assert [(each["type"], each["reviewer"]["id"]) for each in reviewers["reviewers"]] == [("User", 1003), ("Team", 55)]
    assert policy["type"] == "branch_policy"
    assert shown["deployment_branch_policy"] == {"protected_branches": False, "custom_branch_policies": True}
    policies = call("GET", "/repos/acme/recovery/environments/dr-prod/deployment-branch-policies").json()
    assert [each["name"] for each in policies["branch_policies"]] == ["main"]
    assert call("GET", "/repos/acme/recovery/environments/dr-lab").status_code == 404
    recovery.add_environment("dr/eu west")
    odd = call("GET", "/repos/acme/recovery/environments/dr%2Feu%20west").json()
    assert call("GET", odd["url"].removeprefix(call.fake.url)).json()["name"] == "dr/eu west"


def test_environment_of_a_small_plan_has_no_reviewers(github_fake: FakeGitHub) -> None:
    github_fake.add_user("eve")
    small = github_fake.add_repository("small/recovery", private=True, plan="team")
    small.add_environment("dr-prod", reviewers=[github_fake.account("eve")], branches="protected")
    call = Caller(github_fake, github_fake.add_token("actions: read"))
    shown = call("GET", "/repos/small/recovery/environments/dr-prod").json()
    assert [rule["type"] for rule in shown["protection_rules"]] == ["branch_policy"]
    small.private = False
    assert len(call("GET", "/repos/small/recovery/environments/dr-prod").json()["protection_rules"]) == 2


def test_job_waits_for_its_review_and_is_taken(github_fake: FakeGitHub, recovery: Repository, call: Caller) -> None:
    noor = github_fake.account("noor")
    recovery.add_environment("dr-prod", reviewers=[noor, github_fake.account("maria")], prevent_self_review=True)
    run = recovery.add_run(WORKFLOW, actor="maria", referenced=[("o/r/.github/workflows/dispatch.yml@v1", "a" * 40)])
    job = run.add_job("execute", ["dr"], environment="dr-prod")
    home = f"/repos/acme/recovery/actions/runs/{run.id}"
    assert call("GET", home).json()["status"] == "waiting"
    with pytest.raises(ValueError, match="maria may not review"):
        run.review("maria")
    [pending] = call("GET", f"{home}/pending_deployments").json()
    assert pending["current_user_can_approve"] is False
    person = Caller(github_fake, github_fake.add_token("deployments: write", "actions: read", actor="noor"))
    body: Json = {"environment_ids": [pending["environment"]["id"]], "state": "approved", "comment": "go"}
    assert call("POST", f"{home}/pending_deployments", body).status_code == 403  # a job is nobody
    assert person("POST", f"{home}/pending_deployments", body).status_code == 200
    assert person("POST", f"{home}/pending_deployments", body).status_code == 422  # waits no more
    [review] = call("GET", f"{home}/approvals").json()
    assert (review["state"], review["user"]["id"], review["comment"]) == ("approved", 1002, "go")
    job.take(recovery.add_runner("dr-1", ["dr"]))
    [shown] = call("GET", f"{home}/attempts/1/jobs").json()["jobs"]
    assert (shown["status"], shown["runner_name"], shown["labels"]) == ("in_progress", "dr-1", ["dr"])
    run.finish("success")
    assert recovery.runners[0].busy is False
    assert call("GET", home).json()["referenced_workflows"] == [{"path": "o/r/.github/workflows/dispatch.yml@v1", "sha": "a" * 40}]


def test_rejection_ends_the_job_and_a_missing_environment_is_made_unprotected(github_fake: FakeGitHub, recovery: Repository) -> None:
    recovery.add_environment("dr-prod", reviewers=[github_fake.account("noor")])
    run = recovery.add_run()
    job, other = run.add_job("execute", environment="dr-prod"), run.add_job("check", environment="dr-chekc")
    run.review("noor", "rejected", comment="no")
    assert (job.status, job.conclusion, other.status) == ("completed", "failure", "queued")
    assert recovery.environments["dr-chekc"].show()["protection_rules"] == []


def test_rerun_keeps_the_actor_and_counts_attempts(recovery: Repository, call: Caller) -> None:
    run = recovery.add_run(actor="maria")
    run.add_job("plan").finish("failure")
    run.finish("failure")
    run.rerun("noor")
    run.add_job("plan")
    home = f"/repos/acme/recovery/actions/runs/{run.id}"
    shown = call("GET", home).json()
    assert (shown["run_attempt"], shown["status"], shown["actor"]["login"], shown["triggering_actor"]["login"]) == (
        2,
        "queued",
        "maria",
        "noor",
    )
    assert shown["previous_attempt_url"].endswith(f"{home}/attempts/1")
    assert call("GET", f"{home}/attempts/1").json()["conclusion"] == "failure"
    assert call("GET", f"{home}/jobs").json()["total_count"] == 1
    assert call("GET", f"{home}/jobs?filter=all").json()["total_count"] == 2
    assert call("GET", f"{home}/attempts/3/jobs").status_code == 404


def test_cancel_once(recovery: Repository, call: Caller) -> None:
    run = recovery.add_run()
    job = run.add_job("execute")
    home = f"/repos/acme/recovery/actions/runs/{run.id}"
    assert [call("POST", f"{home}/cancel").status_code for _ in range(2)] == [202, 409]
    assert (run.conclusion, job.conclusion) == ("cancelled", "cancelled")


def test_runs_are_filtered_and_newest_first(recovery: Repository, call: Caller) -> None:
    first = recovery.add_run(WORKFLOW, created_at="2026-11-01T10:00:00Z", actor="maria")
    second = recovery.add_run(WORKFLOW, created_at="2026-11-02T10:00:00Z", actor="noor", event="repository_dispatch")
    recovery.add_run(".github/workflows/other.yml", created_at="2026-11-03T10:00:00Z")

    def ids(query: str) -> list[int]:
        found = call("GET", f"/repos/acme/recovery/actions/workflows/dr.yml/runs{query}").json()["workflow_runs"]
        return [each["id"] for each in found]

    assert ids("") == [second.id, first.id]
    assert ids("?actor=maria") == [first.id]
    assert ids("?event=repository_dispatch&status=queued") == [second.id]
    assert ids("?created=%3E%3D2026-11-02T00:00:00Z") == [second.id]
    assert ids("?created=2026-11-01..2026-11-01") == [first.id]
    assert call("GET", "/repos/acme/recovery/actions/runs").json()["total_count"] == 3


def test_artifact_is_fetched_without_the_token(recovery: Repository, call: Caller, github_fake: FakeGitHub) -> None:
    run = recovery.add_run()
    made = run.add_artifact("plan", {"plan.json": b"{}"})
    run.add_artifact("check", {"check.json": b"{}"}, expired=True)
    listed = call("GET", f"/repos/acme/recovery/actions/runs/{run.id}/artifacts?name=plan").json()["artifacts"]
    assert [each["name"] for each in listed] == ["plan"]
    address = f"/repos/acme/recovery/actions/artifacts/{made.id}/zip"
    place = call("GET", address, follow=False)
    assert place.status_code == 302
    data = requests.get(place.headers["Location"], timeout=60).content
    assert listed[0]["digest"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["plan.json"]
    assert call("GET", address).content == data  # requests leaves the token behind by itself
    assert call("GET", f"/repos/acme/recovery/actions/artifacts/{run.artifacts[1].id}/zip").status_code == 410
    assert requests.get(place.headers["Location"] + "0", timeout=60).status_code == 403
    told = requests.get(place.headers["Location"], headers={"Authorization": "Bearer x"}, timeout=60)
    assert told.status_code == 500
    assert "must not have it" in github_fake.violations.pop()


def test_dispatch_by_workflow(recovery: Repository, call: Caller) -> None:
    recovery.workflows[0].on_start = lambda run: run.fail_at_startup()
    address = "/repos/acme/recovery/actions/workflows/dr.yml/dispatches"
    told = call("POST", address, {"ref": "main", "inputs": {"decision": "x"}, "return_run_details": True})
    assert told.status_code == 200
    run = recovery.runs[told.json()["workflow_run_id"]]
    assert (run.status, run.conclusion, run.inputs) == ("completed", "startup_failure", {"decision": "x", "mode": "plan"})
    assert call("POST", address, {"ref": "refs/heads/main", "inputs": {"decision": "x"}}).status_code == 204
    recovery.commit({WORKFLOW: "on: push"}, "old")
    for body, said in (
        ({"ref": "nowhere"}, "No ref found for: nowhere"),
        ({"ref": "old"}, "Workflow does not have 'workflow_dispatch' trigger"),
        ({"ref": "main", "inputs": {"decision": "x", "more": "y"}}, 'Unexpected inputs provided: ["more"]'),
        ({"ref": "main"}, "Required input 'decision' not provided"),
        ({"ref": "main", "inputs": {"decision": "x", "mode": "z"}}, "Provided value 'z'"),
        ({"ref": "main", "inputs": {"decision": "x" * 65_536}}, "inputs are too large."),
    ):
        answer = call("POST", address, body)
        assert (answer.status_code, answer.json()["message"][: len(said)]) == (422, said)
    assert len(recovery.runs) == 2


def test_dispatch_by_event(recovery: Repository, call: Caller) -> None:
    address = "/repos/acme/recovery/dispatches"
    assert call("POST", address, {"event_type": "other"}).status_code == 204
    assert not recovery.runs
    assert call("POST", address, {"event_type": "dr-decision", "client_payload": {"decision": "x"}}).status_code == 204
    assert [(run.event, run.inputs) for run in recovery.runs.values()] == [("repository_dispatch", {"decision": "x"})]
    assert call("POST", address, {"event_type": "dr-decision", "client_payload": {"decision": "x" * 65_536}}).status_code == 422


def test_content_branches_and_rules(recovery: Repository, call: Caller) -> None:
    first = recovery.head
    recovery.commit({".github/CODEOWNERS": "* @acme/dr\n"})
    recovery.protect()
    home = "/repos/acme/recovery"
    branch = call("GET", f"{home}/branches/main").json()
    assert (branch["protected"], branch["commit"]["sha"]) == (True, recovery.head)
    rules = call("GET", f"{home}/rules/branches/main").json()
    assert [rule["type"] for rule in rules] == ["pull_request", "deletion", "non_fast_forward"]
    assert rules[0]["parameters"]["require_code_owner_review"] is True
    assert call("GET", f"{home}/branches/nope").status_code == 404
    assert call("GET", f"{home}/contents/.github/CODEOWNERS").json()["encoding"] == "base64"
    assert call("GET", f"{home}/contents/.github/CODEOWNERS?ref={first}").status_code == 404
    assert [each["path"] for each in call("GET", f"{home}/contents/.github").json()] == [".github/CODEOWNERS", ".github/workflows"]
