"""The fake GitHub itself: GitHub's examples pass, wrong requests do not, faults do what they say, PyGithub reads it."""

from __future__ import annotations

import hashlib
import io
import time
import zipfile
from collections.abc import Iterator

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from github import Auth, Github, GithubException

from tests.support.github import faults
from tests.support.github.description import Json, example, load, match, operation
from tests.support.github.fixture import github_fake
from tests.support.github.repositories import Repository
from tests.support.github.routing import ROUTES
from tests.support.github.server import FakeGitHub
from tests.support.github.validation import Violation, validate, validate_answer, validate_request

__all__ = ["github_fake"]

REPO = "/repos/{owner}/{repo}"
RUN, JOBS, RUNNERS = f"GET {REPO}/actions/runs/{{run_id}}", f"GET {REPO}/actions/runs/{{run_id}}/jobs", f"GET {REPO}/actions/runners"
WORKFLOW = ".github/workflows/dr.yml"
TEXT = """
name: DR
on:
  workflow_dispatch:
    inputs:
      decision: {required: true}
      mode: {default: plan, type: choice, options: [plan, run]}
  repository_dispatch:
    types: [dr-decision]
"""
EVERYTHING = ("actions: write", "contents: write", "administration: write", "deployments: write", "members: read")
ORGANIZATION = "organization_self_hosted_runners: write"


class Caller:
    """Plain requests with a token."""

    def __init__(self, fake: FakeGitHub, secret: str) -> None:
        self.fake, self.session = fake, requests.Session()
        if secret:
            self.session.headers["Authorization"] = f"Bearer {secret}"

    def __call__(self, method: str, path: str, body: Json | None = None, **options: object) -> requests.Response:
        return self.session.request(method, self.fake.url + path, json=body, timeout=5, **options)  # type: ignore[arg-type]


@pytest.fixture
def recovery(github_fake: FakeGitHub) -> Repository:
    """A private repository of an enterprise, with people in it."""
    for number, login in enumerate(("maria", "noor", "eve"), 1001):
        github_fake.add_user(login, number=number)
    made = github_fake.add_repository("acme/recovery", private=True, number=4242)
    made.add_workflow(WORKFLOW, TEXT)
    return made


@pytest.fixture
def call(github_fake: FakeGitHub, recovery: Repository) -> Iterator[Caller]:
    """A caller that may do everything in `recovery`, as a job of its own."""
    caller = Caller(github_fake, github_fake.add_token(*EVERYTHING, ORGANIZATION))
    yield caller
    caller.session.close()


# ------------------------------------------------------------------------------------------ the description

BROKEN_EXAMPLES = {
    f"GET {REPO}",  # no `language`
    "GET /orgs/{org}",  # no `archived_at`
    "GET /orgs/{org}/teams/{team_slug}",  # the organization has none
    "GET /users/{username}",  # no `user_view_type`
    f"GET {REPO}/actions/jobs/{{job_id}}",  # no `created_at`
    f"{JOBS}",
    f"GET {REPO}/actions/runs/{{run_id}}/attempts/{{attempt_number}}/jobs",
    f"GET {REPO}/actions/runs/{{run_id}}/pending_deployments",  # no `type` of a team
    f"GET {REPO}/branches/{{branch}}/protection",  # no `checks`
    f"POST {REPO}/actions/runs/{{run_id}}/cancel",  # null
}
"""What GitHub shows as an example and its own schema refuses (23.0.2)."""


def _exampled() -> list[tuple[str, int]]:
    found = []
    for name, route in ROUTES.items():
        known = operation(route.method, route.template)
        for status in known.body["responses"] if known else ():
            if status.startswith("2"):
                try:
                    example(route.method, route.template, int(status))
                except KeyError:
                    continue
                found.append((name, int(status)))
    return found


@pytest.mark.parametrize(("name", "status"), _exampled())
def test_examples_of_github_satisfy_its_description(name: str, status: int) -> None:
    method, template = name.split(" ")
    known = operation(method, template)
    assert known is not None
    if name in BROKEN_EXAMPLES:
        with pytest.raises(Violation):
            validate_answer(known, status, example(method, template, status))
    else:
        validate_answer(known, status, example(method, template, status))


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "said"),
    [
        ("GET", "/repos/a/b/actions/jogs", {}, None, "no such operation"),
        ("PATCH", "/repos/a/b/actions/runs/1", {}, None, "no such operation"),
        ("GET", "/repos/a/b/actions/runners", {"label": ["dr"]}, None, "unknown query parameter 'label'"),
        ("GET", "/repos/a/b/actions/runners", {"per_page": ["all"]}, None, "parameter 'per_page'"),
        ("GET", "/repos/a/b/actions/runners", {"name": ["x", "y"]}, None, "given 2 times"),
        ("GET", "/repos/a/b/actions/runs/latest", {}, None, "parameter 'run_id'"),
        ("GET", "/repos/a/b/actions/runs/1/jobs", {"filter": ["newest"]}, None, "parameter 'filter'"),
        ("GET", "/repos/a/b/actions/runs/1", {}, {"x": 1}, "takes no body"),
        ("POST", "/repos/a/b/actions/workflows/dr.yml/dispatches", {}, None, "the body is missing"),
        ("POST", "/repos/a/b/actions/workflows/dr.yml/dispatches", {}, {"inputs": {}}, "'ref' is a required property"),
        (
            "POST",
            "/repos/a/b/actions/workflows/dr.yml/dispatches",
            {},
            {"ref": "main", "return_run_detail": True},
            "unknown return_run_detail",
        ),
        (
            "POST",
            "/repos/a/b/actions/workflows/dr.yml/dispatches",
            {},
            {"ref": "main", "inputs": {str(n): "" for n in range(26)}},
            "at inputs",
        ),
        ("POST", "/repos/a/b/dispatches", {}, {"event_type": "e" * 101}, "at event_type"),
        ("POST", "/repos/a/b/dispatches", {}, {"event_type": "e", "client_payload": {str(n): 1 for n in range(11)}}, "at client_payload"),
        ("POST", "/repos/a/b/actions/runners/generate-jitconfig", {}, {"name": "r", "runner_group_id": 1, "labels": []}, "at labels"),
        ("POST", "/repos/a/b/actions/runs/1/pending_deployments", {}, {"environment_ids": [1], "state": "yes", "comment": ""}, "at state"),
    ],
)
def test_wrong_request_is_a_violation(method: str, path: str, query: dict[str, list[str]], body: object, said: str) -> None:
    with pytest.raises(Violation, match=said):
        validate_request(method, path, query, body)


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (200, {"id": 1}, "required property"),
        (201, {}, "described are 200"),
        (404, {"message": 7}, "at message"),
        (200, None, "None for not nullable"),
    ],
)
def test_wrong_answer_is_a_violation(status: int, answer: object, said: str) -> None:
    with pytest.raises(Violation, match=said):
        validate("GET", "/repos/a/b/actions/runs/1", {}, None, status, answer)


def test_fixed_words_win_over_parameters_and_slashes_stay_in_branches() -> None:
    found = match("GET", "/repos/a/b/branches/release/1%2F2/protection")
    assert found is not None
    assert found[0].template == f"{REPO}/branches/{{branch}}/protection"
    assert found[1]["branch"] == "release/1/2"
    downloads = match("GET", "/repos/a/b/actions/runners/downloads")
    assert downloads is not None
    assert downloads[0].template == f"{REPO}/actions/runners/downloads"


def test_every_route_is_described_or_says_where_it_is_documented() -> None:
    undescribed = [name for name, route in ROUTES.items() if not route.documented and operation(route.method, route.template) is None]
    needless = [name for name, route in ROUTES.items() if route.documented and route.template in load()["paths"]]
    assert (undescribed, needless) == ([], [])


def test_client_that_breaks_the_description_gets_500_and_is_remembered(github_fake: FakeGitHub, recovery: Repository, call: Caller) -> None:
    answer = call("GET", "/repos/acme/recovery/actions/runners?label=dr")
    assert answer.status_code == 500
    assert "unknown query parameter 'label'" in answer.text
    assert call("GET", "/repos/acme/recovery/secret-scanning/patterns").status_code == 404
    assert call("GET", "/repos/acme/recovery/actions/cache/usage").status_code == 500
    assert [line.split(": ", 1)[0] for line in github_fake.violations] == [
        RUNNERS,
        "GET /repos/acme/recovery/secret-scanning/patterns",
        f"GET {REPO}/actions/cache/usage",
    ]
    github_fake.violations.clear()


# ------------------------------------------------------------------------------------------ who may do what


def test_no_token_unknown_and_expired(github_fake: FakeGitHub, recovery: Repository) -> None:
    expired = github_fake.add_token("actions: read", seconds=-1)
    for secret, message in (("", "Requires authentication"), ("ghs_nobody", "Bad credentials"), (expired, "Bad credentials")):
        answer = Caller(github_fake, secret)("GET", "/repos/acme/recovery/environments")
        assert (answer.status_code, answer.json()["message"]) == (401, message)


def test_missing_permission_is_named(github_fake: FakeGitHub, recovery: Repository) -> None:
    run = recovery.add_run()
    call = Caller(github_fake, github_fake.add_token("actions: read"))
    assert call("GET", f"/repos/acme/recovery/actions/runs/{run.id}").status_code == 200
    for method, path, needed in (
        ("POST", f"actions/runs/{run.id}/cancel", "actions=write"),
        ("GET", "actions/runners", "administration=read"),
        ("GET", "contents/README.md", "contents=read"),
        ("POST", "actions/runners/registration-token", "administration=write"),
    ):
        answer = call(method, f"/repos/acme/recovery/{path}")
        assert (answer.status_code, answer.json()["message"]) == (403, "Resource not accessible by integration")
        assert answer.headers["X-Accepted-GitHub-Permissions"] == needed
    assert run.status == "queued"


def test_private_repository_out_of_sight_is_not_there(github_fake: FakeGitHub, recovery: Repository) -> None:
    other = github_fake.add_repository("acme/other", private=True)
    public = github_fake.add_repository("acme/public")
    call = Caller(github_fake, github_fake.add_token("contents: write", repositories=[recovery]))
    answers = [call("GET", f"/repos/{found.full_name}") for found in (recovery, other, public)]
    assert [answer.status_code for answer in answers] == [200, 404, 200]
    assert answers[1].json()["message"] == "Not Found"
    assert call("GET", "/repos/acme/nothing").status_code == 404
    assert call("POST", "/repos/acme/public/dispatches", {"event_type": "x"}).status_code == 403


def test_app_proves_itself_and_gets_what_it_was_granted(github_fake: FakeGitHub, recovery: Repository) -> None:
    github_fake.add_repository("acme/other", private=True)
    key = rsa.generate_private_key(65537, 2048)
    stranger = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    app = github_fake.add_app(public, number=77, permissions={"administration": "read", "metadata": "read"})
    installation = app.install(recovery.owner)

    def signed(by: rsa.RSAPrivateKey, seconds: int = 500, issuer: str = "77") -> Caller:
        now = int(time.time())
        return Caller(github_fake, jwt.encode({"iss": issuer, "iat": now - 10, "exp": now + seconds}, by, algorithm="RS256"))

    for forged in (
        signed(stranger),
        signed(key, seconds=-30),
        signed(key, issuer="78"),
        signed(key, seconds=3600),
        Caller(github_fake, ""),
    ):
        assert forged("GET", "/repos/acme/recovery/installation").status_code == 401
    me = signed(key)
    assert me("GET", "/repos/acme/recovery/installation").json()["id"] == installation.id
    tokens = f"/app/installations/{installation.id}/access_tokens"
    assert me("POST", tokens, {"permissions": {"administration": "write"}}).status_code == 422
    assert me("POST", tokens, {"repositories": ["nothing"]}).status_code == 422
    assert me("POST", "/app/installations/1/access_tokens").status_code == 404
    made = me("POST", tokens, {"permissions": {"administration": "read"}, "repositories": ["recovery"]})
    assert made.status_code == 201
    theirs = Caller(github_fake, made.json()["token"])
    assert theirs("GET", "/repos/acme/recovery/actions/runners").status_code == 200
    assert theirs("GET", "/repos/acme/other/actions/runners").status_code == 404
    assert theirs("POST", "/repos/acme/recovery/actions/runners/registration-token").status_code == 403
    assert theirs("GET", "/repos/acme/recovery/installation").status_code == 401
    assert 400 < len(made.json()["token"]) < 700  # such long ones since 2026-04-27


# ------------------------------------------------------------------------------------------ the resources


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
    place = call("GET", address, allow_redirects=False)
    assert place.status_code == 302
    data = requests.get(place.headers["Location"], timeout=5).content
    assert listed[0]["digest"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["plan.json"]
    assert call("GET", address).content == data  # requests leaves the token behind by itself
    assert call("GET", f"/repos/acme/recovery/actions/artifacts/{run.artifacts[1].id}/zip").status_code == 410
    assert requests.get(place.headers["Location"] + "0", timeout=5).status_code == 403
    told = requests.get(place.headers["Location"], headers={"Authorization": "Bearer x"}, timeout=5)
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


# ------------------------------------------------------------------------------------------ runners


def test_ten_thousand_runners(recovery: Repository, call: Caller) -> None:
    for n in range(10_000):
        recovery.add_runner(f"dr-{n}", ["dr"])
    began = time.monotonic()
    last = call("GET", "/repos/acme/recovery/actions/runners?per_page=100&page=100")
    [found] = call("GET", "/repos/acme/recovery/actions/runners?name=dr-9999").json()["runners"]
    assert time.monotonic() - began < 2
    assert (last.json()["total_count"], len(last.json()["runners"])) == (10_000, 100)
    assert sorted(last.links) == ["first", "prev"]
    assert found["labels"][-1] == {"id": 11, "name": "dr", "type": "custom"}


def test_pages_are_linked(recovery: Repository, call: Caller) -> None:
    for n in range(7):
        recovery.add_runner(f"dr-{n}")
    path, seen = "/repos/acme/recovery/actions/runners?per_page=3", []
    while path:
        page = call("GET", path)
        seen += [each["name"] for each in page.json()["runners"]]
        path = page.links.get("next", {}).get("url", "").removeprefix(call.fake.url)
    assert seen == [f"dr-{n}" for n in range(7)]


def test_runner_is_removed_unless_busy(recovery: Repository, call: Caller) -> None:
    runner = recovery.add_runner("dr-1", busy=True)
    address = f"/repos/acme/recovery/actions/runners/{runner.id}"
    assert call("DELETE", address).status_code == 422
    runner.busy = False
    assert [call("DELETE", address).status_code for _ in range(2)] == [204, 404]


def test_registration(recovery: Repository, call: Caller, github_fake: FakeGitHub) -> None:
    for home in ("/repos/acme/recovery", "/orgs/acme"):
        for kind in ("registration-token", "remove-token"):
            made = call("POST", f"{home}/actions/runners/{kind}")
            assert (made.status_code, made.json()["token"]) == (201, github_fake.runner_tokens[-1])
        body: Json = {"name": "dr-jit", "runner_group_id": 1, "labels": ["dr"]}
        made = call("POST", f"{home}/actions/runners/generate-jitconfig", body)
        assert made.json()["runner"]["name"] == "dr-jit"
        assert call("POST", f"{home}/actions/runners/generate-jitconfig", body).status_code == 409
        assert [each["os"] for each in call("GET", f"{home}/actions/runners/downloads").json()]
    assert [runner.ephemeral for runner in (*recovery.runners, *recovery.owner.runners)] == [True, True]


def test_groups_say_whom_they_serve(recovery: Repository, call: Caller, github_fake: FakeGitHub) -> None:
    github_fake.add_repository("acme/other", private=True)
    group = recovery.owner.add_group("dr", [recovery])
    recovery.owner.add_runner("org-1", ["dr"], group=group)
    recovery.owner.add_runner("org-2", ["dr"])

    def names(query: str) -> list[str]:
        return [each["name"] for each in call("GET", f"/orgs/acme/actions/runner-groups{query}").json()["runner_groups"]]

    assert names("") == ["Default", "dr"]
    assert names("?visible_to_repository=recovery") == ["Default", "dr"]
    assert names("?visible_to_repository=other") == ["Default"]
    listed = call("GET", f"/orgs/acme/actions/runner-groups/{group.id}/runners").json()["runners"]
    assert [each["name"] for each in listed] == ["org-1"]
    served = call("GET", f"/orgs/acme/actions/runner-groups/{group.id}/repositories").json()["repositories"]
    assert [each["full_name"] for each in served] == ["acme/recovery"]
    assert call("GET", "/orgs/acme/actions/runners").json()["total_count"] == 2
    assert call("GET", "/repos/acme/recovery/actions/runners").json()["total_count"] == 0


def test_end_of_a_runner_version(recovery: Repository, call: Caller, github_fake: FakeGitHub) -> None:
    github_fake.add_runner_version("2.328.0", runtime_ends="2025-12-16T17:40:26Z")
    github_fake.add_runner_version("2.337.0")
    found = [call("GET", f"/repos/acme/recovery/actions/runners/deprecations/{version}") for version in ("2.328.0", "2.337.0", "9.9.9")]
    assert [answer.status_code for answer in found] == [200, 200, 404]
    assert [answer.json()["runtime_deprecates_at"] for answer in found[:2]] == ["2025-12-16T17:40:26Z", None]


# ------------------------------------------------------------------------------------------ what goes wrong


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


def test_slow_answer(recovery: Repository, call: Caller, github_fake: FakeGitHub) -> None:
    github_fake.inject(faults.slow(0.4))
    with pytest.raises(requests.Timeout):
        call.session.get(f"{github_fake.url}/repos/acme/recovery", timeout=0.1)
    assert call("GET", "/repos/acme/recovery").status_code == 200


def test_scripts_by_count_and_by_clock(recovery: Repository, call: Caller, github_fake: FakeGitHub) -> None:
    run = recovery.add_run()
    job = run.add_job("execute", ["dr"])
    github_fake.after(2, JOBS, lambda: job.take(recovery.add_runner("late", ["dr"])))
    github_fake.later(0.15, lambda: run.finish("success"))
    polled = [call("GET", f"/repos/acme/recovery/actions/runs/{run.id}/jobs").json()["jobs"][0]["status"] for _ in range(3)]
    time.sleep(0.2)
    assert polled == ["queued", "queued", "in_progress"]
    assert call("GET", f"/repos/acme/recovery/actions/runs/{run.id}").json()["conclusion"] == "success"
    assert len(github_fake.made(JOBS)) == 3


# ------------------------------------------------------------------------------------------ PyGithub


def test_pygithub_reads_it_and_dispatches(recovery: Repository, github_fake: FakeGitHub) -> None:
    recovery.add_environment("dr-prod", reviewers=[github_fake.account("eve")], prevent_self_review=True, wait_timer=5)
    recovery.add_runner("dr-1", ["dr"])
    secret = github_fake.add_token(*EVERYTHING)
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
