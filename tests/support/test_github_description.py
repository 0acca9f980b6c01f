"""GitHub's own examples pass its description, wrong requests and answers do not."""

from __future__ import annotations

import pytest

from tests.support.github.caller import Caller
from tests.support.github.description import example, load, match, operation
from tests.support.github.fixture import judge
from tests.support.github.repositories import Repository
from tests.support.github.routing import ROUTES
from tests.support.github.server import FakeGitHub
from tests.support.github.validation import Violation, validate, validate_answer, validate_request

REPO = "/repos/{owner}/{repo}"
JOBS = f"GET {REPO}/actions/runs/{{run_id}}/jobs"

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
    f"GET {REPO}/commits/{{ref}}",  # no `contents_url` of a file
    f"POST {REPO}/actions/runs/{{run_id}}/cancel",  # null
    f"PUT {REPO}/actions/secrets/{{secret_name}}",  # null
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
    assert call("GET", "/repos/acme/recovery/secret-scanning/patterns").status_code == 500
    assert call("GET", "/repos/acme/recovery/actions/cache/usage").status_code == 500
    assert [line.split(": ", 1)[0] for line in github_fake.violations] == [
        f"GET {REPO}/actions/runners",
        "GET /repos/acme/recovery/secret-scanning/patterns",
        f"GET {REPO}/actions/cache/usage",
    ]
    with pytest.raises(pytest.fail.Exception, match="unknown query parameter 'label'"):
        judge(github_fake)
    github_fake.violations.clear()
