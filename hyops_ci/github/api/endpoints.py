"""Every endpoint of GitHub that we call, as data: the table of `docs/github-api.md` and what a refusal says is missing.

Permissions are those of GitHub's page *Permissions required for GitHub Apps*; a job's `GITHUB_TOKEN` knows the same
words, without any for administration. PyGithub has objects for some of these; all are asked by their path, because its
objects complete themselves with calls of their own, and a plan has a budget of eight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

APP_KEY: Final = "the App's own key"
"""In place of a permission: the App speaks for itself."""

Method = Literal["GET", "POST", "DELETE"]
ENDPOINTS: Final[list[Endpoint]] = []


@dataclass(frozen=True)
class Endpoint:
    """One method on one path. `{repo}` stands for owner/name."""

    method: Method
    path: str
    permission: str
    why: str
    test: str = ""
    """Below tests/unit: where GitHub's description is asked whether this is right. A test sees to it that it really is."""
    once: bool = False
    """A lost answer is not asked again: the call may have taken effect, and its caller looks."""


def _endpoint(method: Method, path: str, permission: str, why: str, *, test: str = "", once: bool = False) -> Endpoint:
    made = Endpoint(method, path, permission, why, test, once)
    ENDPOINTS.append(made)
    return made


REPOSITORY = _endpoint(
    "GET",
    "/repos/{repo}",
    "metadata: read",
    "id, default branch, visibility and owner, for the tier hint",
    test="github/test_repository.py::test_the_clients_own",
)
USER = _endpoint("GET", "/users/{login}", "any token", "the numeric id of an approver", test="github/test_repository.py::test_a_person")
BRANCH = _endpoint(
    "GET",
    "/repos/{repo}/branches/{branch}",
    "contents: read",
    "whether the branch is protected",
    test="github/test_branch.py::test_a_branch_that_nothing_guards",
)
BRANCH_RULES = _endpoint(
    "GET",
    "/repos/{repo}/rules/branches/{branch}",
    "metadata: read",
    "which rules hold for the branch",
    test="github/test_branch.py::test_a_branch_that_a_ruleset_guards",
)
CONTENT = _endpoint(
    "GET",
    "/repos/{repo}/contents/{path*}",
    "contents: read",
    "the caller's workflow and its code owners, at one commit",
    test="github/test_branch.py::test_code_owners_are_those_of_the_runs_commit",
)
ENVIRONMENT = _endpoint(
    "GET",
    "/repos/{repo}/environments/{name}",
    "actions: read",
    "how an approval gate protects",
    test="github/test_environments.py::test_a_good_one",
)
BRANCH_POLICIES = _endpoint(
    "GET",
    "/repos/{repo}/environments/{name}/deployment-branch-policies",
    "actions: read",
    "which branches may pass an approval gate",
    test="github/test_environments.py::test_a_good_one",
)
RUN = _endpoint(
    "GET",
    "/repos/{repo}/actions/runs/{run_id}",
    "actions: read",
    "who started a run, when, from which commit",
    test="github/test_runs.py::test_a_run",
)
RUNS = _endpoint(
    "GET",
    "/repos/{repo}/actions/workflows/{workflow}/runs",
    "actions: read",
    "a run whose start was not answered; silent waiters",
    test="github/test_dispatch.py::test_a_run_whose_answer_was_lost_is_found_by_its_mark",
)
REPOSITORY_RUNS = _endpoint(
    "GET",
    "/repos/{repo}/actions/runs",
    "actions: read",
    "runs in progress: what a runner may be busy with",
    test="github/test_jobs.py::test_who_is_at_work_in_other_runs",
)
JOBS = _endpoint(
    "GET",
    "/repos/{repo}/actions/runs/{run_id}/attempts/{attempt}/jobs",
    "actions: read",
    "who took a job, and whether anybody did",
    test="github/test_jobs.py::test_a_job_from_the_queue_to_its_end",
)
REVIEWS = _endpoint(
    "GET",
    "/repos/{repo}/actions/runs/{run_id}/approvals",
    "actions: read",
    "who approved or denied an approval gate",
    test="github/test_reviews.py::test_one_review_lets_both_jobs_of_a_gate_go",
)
PENDING = _endpoint(
    "GET",
    "/repos/{repo}/actions/runs/{run_id}/pending_deployments",
    "actions: read",
    "who may review a run that is being followed",
    test="operations/dispatch/test_follow.py::test_a_line_for_every_change_with_who_is_waited_for",
)
CANCEL = _endpoint(
    "POST",
    "/repos/{repo}/actions/runs/{run_id}/cancel",
    "actions: write",
    "end a run that no runner takes, or that nobody approved",
    test="github/test_jobs.py::test_cancel",
)
ARTIFACTS = _endpoint(
    "GET",
    "/repos/{repo}/actions/runs/{run_id}/artifacts",
    "actions: read",
    "handover and evidence of a run",
    test="github/api/test_wire.py::test_an_artifact_from_its_name_to_its_files",
)
ARTIFACT = _endpoint(
    "GET",
    "/repos/{repo}/actions/artifacts/{artifact_id}/zip",
    "actions: read",
    "the bytes of one artifact",
    test="github/api/test_wire.py::test_the_token_does_not_go_where_the_bytes_are",
)
WORKFLOW = _endpoint(
    "GET",
    "/repos/{repo}/actions/workflows/{workflow}",
    "actions: read",
    "whether a workflow is there and enabled",
    test="github/test_dispatch.py::test_github_answers_with_the_run",
)
DISPATCH = _endpoint(
    "POST",
    "/repos/{repo}/actions/workflows/{workflow}/dispatches",
    "actions: write",
    "start the DR workflow",
    once=True,
    test="github/test_dispatch.py::test_github_answers_with_the_run",
)
REPOSITORY_DISPATCH = _endpoint(
    "POST",
    "/repos/{repo}/dispatches",
    "contents: write",
    "start it by an event",
    once=True,
    test="github/test_dispatch.py::test_an_event_starts_it_and_the_run_is_found",
)
RUNNERS = _endpoint(
    "GET",
    "/repos/{repo}/actions/runners",
    "administration: read",
    "find a runner by name and labels",
    test="github/test_runners.py::test_by_name",
)
ORG_RUNNERS = _endpoint(
    "GET",
    "/orgs/{org}/actions/runners",
    "organization_self_hosted_runners: read",
    "the same, of the organization",
    test="github/test_runners.py::test_a_runner_that_is_nowhere",
)
RUNNER_GROUPS = _endpoint(
    "GET",
    "/orgs/{org}/actions/runner-groups",
    "organization_self_hosted_runners: read",
    "the groups that this repository may use",
    test="github/test_runners.py::test_a_runner_that_is_nowhere",
)
DEPRECATION = _endpoint(
    "GET",
    "/repos/{repo}/actions/runners/deprecations/{version}",
    "administration: read",
    "until when an agent's version gets jobs",
    test="github/test_runner_versions.py::test_githubs_schedule",
)
INSTALLATION = _endpoint(
    "GET",
    "/repos/{repo}/installation",
    APP_KEY,
    "which installation of the App serves this repository",
    test="github/api/test_app_auth.py::test_an_app_gets_a_token_and_renews_it_before_it_ends",
)
INSTALLATION_TOKEN = _endpoint(
    "POST",
    "/app/installations/{installation}/access_tokens",
    APP_KEY,
    "its token, good for an hour",
    test="github/api/test_app_auth.py::test_an_app_gets_a_token_and_renews_it_before_it_ends",
)
REGISTRATION_TOKEN = _endpoint(
    "POST",
    "/repos/{repo}/actions/runners/registration-token",
    "administration: write",
    "register a runner",
    test="github/test_registration.py::test_a_token_is_good_for_an_hour",
)
REMOVE_TOKEN = _endpoint(
    "POST",
    "/repos/{repo}/actions/runners/remove-token",
    "administration: write",
    "remove a runner from its host",
    test="github/test_registration.py::test_a_token_is_good_for_an_hour",
)
JIT_CONFIG = _endpoint(
    "POST",
    "/repos/{repo}/actions/runners/generate-jitconfig",
    "administration: write",
    "register for one job",
    once=True,
    test="github/test_registration.py::test_a_runner_for_one_job",
)
REMOVE_RUNNER = _endpoint(
    "DELETE",
    "/repos/{repo}/actions/runners/{runner_id}",
    "administration: write",
    "remove a dead registration",
    test="github/test_registration.py::test_a_registration_ends",
)
ORG_REGISTRATION_TOKEN = _endpoint(
    "POST",
    "/orgs/{org}/actions/runners/registration-token",
    "organization_self_hosted_runners: write",
    "register a runner of the organization",
    test="github/test_registration.py::test_a_token_is_good_for_an_hour",
)
ORG_REMOVE_TOKEN = _endpoint(
    "POST",
    "/orgs/{org}/actions/runners/remove-token",
    "organization_self_hosted_runners: write",
    "remove one from its host",
    test="github/test_registration.py::test_a_token_is_good_for_an_hour",
)
ORG_JIT_CONFIG = _endpoint(
    "POST",
    "/orgs/{org}/actions/runners/generate-jitconfig",
    "organization_self_hosted_runners: write",
    "register for one job",
    once=True,
    test="github/test_registration.py::test_a_runner_for_one_job",
)
ORG_REMOVE_RUNNER = _endpoint(
    "DELETE",
    "/orgs/{org}/actions/runners/{runner_id}",
    "organization_self_hosted_runners: write",
    "remove a dead registration",
    test="github/test_registration.py::test_a_registration_ends",
)
