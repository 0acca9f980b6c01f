"""Every endpoint of GitHub that is called, as data: the table of `docs/github-api.md` and the permission that a refusal names.

Permissions are those of GitHub's page *Permissions required for GitHub Apps*; a job's `GITHUB_TOKEN` knows the same
words, without any for administration. PyGithub has objects for some of these; all are asked by their path, because its
objects complete themselves with calls of their own, and a plan has a budget of eight.
"""

from __future__ import annotations

from typing import Final, Literal

from hyops_ci.dataclass import dataclass

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
    once: bool = False
    """A lost answer is not asked again: the call may have taken effect, and its caller looks."""


def _endpoint(method: Method, path: str, permission: str, why: str, *, once: bool = False) -> Endpoint:
    made = Endpoint(method, path, permission, why, once)
    ENDPOINTS.append(made)
    return made


REPOSITORY = _endpoint(
    "GET",
    "/repos/{repo}",
    "metadata: read",
    "id, default branch, visibility and owner, for the tier hint",
)
USER = _endpoint("GET", "/users/{login}", "any token", "the numeric id of an approver")
BRANCH = _endpoint(
    "GET",
    "/repos/{repo}/branches/{branch}",
    "contents: read",
    "whether the branch is protected",
)
BRANCH_RULES = _endpoint(
    "GET",
    "/repos/{repo}/rules/branches/{branch}",
    "metadata: read",
    "which rules hold for the branch",
)
CONTENT = _endpoint(
    "GET",
    "/repos/{repo}/contents/{path*}",
    "contents: read",
    "the caller's workflow and its code owners, at one commit",
)
ENVIRONMENT = _endpoint(
    "GET",
    "/repos/{repo}/environments/{name}",
    "actions: read",
    "how an approval gate protects",
)
BRANCH_POLICIES = _endpoint(
    "GET",
    "/repos/{repo}/environments/{name}/deployment-branch-policies",
    "actions: read",
    "which branches may pass an approval gate",
)
RUN = _endpoint(
    "GET",
    "/repos/{repo}/actions/runs/{run_id}",
    "actions: read",
    "who started a run, when, from which commit",
)
RUNS = _endpoint(
    "GET",
    "/repos/{repo}/actions/workflows/{workflow}/runs",
    "actions: read",
    "a run whose start was not answered; silent waiters; whether a schedule starts its runs",
)
REPOSITORY_RUNS = _endpoint(
    "GET",
    "/repos/{repo}/actions/runs",
    "actions: read",
    "runs in progress: what a runner may be busy with",
)
JOBS = _endpoint(
    "GET",
    "/repos/{repo}/actions/runs/{run_id}/attempts/{attempt}/jobs",
    "actions: read",
    "who took a job, and whether anybody did",
)
REVIEWS = _endpoint(
    "GET",
    "/repos/{repo}/actions/runs/{run_id}/approvals",
    "actions: read",
    "who approved or denied an approval gate",
)
PENDING = _endpoint(
    "GET",
    "/repos/{repo}/actions/runs/{run_id}/pending_deployments",
    "actions: read",
    "who may review a run that is being followed",
)
CANCEL = _endpoint(
    "POST",
    "/repos/{repo}/actions/runs/{run_id}/cancel",
    "actions: write",
    "end a run that no runner takes, or that was not approved",
)
ARTIFACTS = _endpoint(
    "GET",
    "/repos/{repo}/actions/runs/{run_id}/artifacts",
    "actions: read",
    "handover and evidence of a run",
)
ARTIFACT = _endpoint(
    "GET",
    "/repos/{repo}/actions/artifacts/{artifact_id}/zip",
    "actions: read",
    "the bytes of one artifact",
)
WORKFLOW = _endpoint(
    "GET",
    "/repos/{repo}/actions/workflows/{workflow}",
    "actions: read",
    "whether a workflow is there and enabled, and since when",
)
DISPATCH = _endpoint(
    "POST",
    "/repos/{repo}/actions/workflows/{workflow}/dispatches",
    "actions: write",
    "start the DR workflow",
    once=True,
)
REPOSITORY_DISPATCH = _endpoint(
    "POST",
    "/repos/{repo}/dispatches",
    "contents: write",
    "start it by an event",
    once=True,
)
RUNNERS = _endpoint(
    "GET",
    "/repos/{repo}/actions/runners",
    "administration: read",
    "find a runner by name and labels",
)
ORG_RUNNERS = _endpoint(
    "GET",
    "/orgs/{org}/actions/runners",
    "organization_self_hosted_runners: read",
    "the same, of the organization",
)
RUNNER = _endpoint(
    "GET",
    "/repos/{repo}/actions/runners/{runner_id}",
    "administration: read",
    "whether a runner is busy, before it is removed",
)
ORG_RUNNER = _endpoint(
    "GET",
    "/orgs/{org}/actions/runners/{runner_id}",
    "organization_self_hosted_runners: read",
    "the same, of the organization",
)
REMOVE_RUNNER = _endpoint(
    "DELETE",
    "/repos/{repo}/actions/runners/{runner_id}",
    "administration: write",
    "remove a registration that no machine is behind",
)
REMOVE_ORG_RUNNER = _endpoint(
    "DELETE",
    "/orgs/{org}/actions/runners/{runner_id}",
    "organization_self_hosted_runners: write",
    "the same, of the organization",
)
REGISTRATION_TOKEN = _endpoint(
    "POST",
    "/repos/{repo}/actions/runners/registration-token",
    "administration: write",
    "register an agent that was just set up; good for an hour",
)
ORG_REGISTRATION_TOKEN = _endpoint(
    "POST",
    "/orgs/{org}/actions/runners/registration-token",
    "organization_self_hosted_runners: write",
    "the same, with the organization",
)
AGENT_DOWNLOADS = _endpoint(
    "GET",
    "/repos/{repo}/actions/runners/downloads",
    "administration: read",
    "the agent's release of today, and the hash of its archive",
)
ORG_AGENT_DOWNLOADS = _endpoint(
    "GET",
    "/orgs/{org}/actions/runners/downloads",
    "organization_self_hosted_runners: read",
    "the same, by the organization's permission",
)
RUNNER_GROUPS = _endpoint(
    "GET",
    "/orgs/{org}/actions/runner-groups",
    "organization_self_hosted_runners: read",
    "the groups that this repository may use",
)
GROUP_RUNNERS = _endpoint(
    "GET",
    "/orgs/{org}/actions/runner-groups/{group_id}/runners",
    "organization_self_hosted_runners: read",
    "every runner of the group that a lane's runner is registered in",
)
ORG_DEPRECATION = _endpoint(
    "GET",
    "/orgs/{org}/actions/runners/deprecations/{version}",
    "organization_self_hosted_runners: read",
    "until when an agent's version may be registered with the organization",
)
DEPRECATION = _endpoint(
    "GET",
    "/repos/{repo}/actions/runners/deprecations/{version}",
    "administration: read",
    "until when an agent's version gets jobs",
)
INSTALLATION = _endpoint(
    "GET",
    "/repos/{repo}/installation",
    APP_KEY,
    "which installation of the App serves this repository",
)
INSTALLATION_TOKEN = _endpoint(
    "POST",
    "/app/installations/{installation}/access_tokens",
    APP_KEY,
    "its token, good for an hour",
)
ISSUE_COMMENT = _endpoint(
    "POST",
    "/repos/{repo}/issues/{issue_number}/comments",
    "issues: write",
    "tell people of a run, where the config names an issue",
    once=True,
)
RELEASE = _endpoint(
    "GET",
    "/repos/{repo}/releases/tags/{tag}",
    "contents: read",
    "whether a version of dr-dispatch was published",
)
RELEASES = _endpoint(
    "GET",
    "/repos/{repo}/releases",
    "contents: read",
    "the versions that were published",
)
TAG_REF = _endpoint(
    "GET",
    "/repos/{repo}/git/ref/{ref*}",
    "contents: read",
    "what the tag of a version points at",
)
TAG_OBJECT = _endpoint(
    "GET",
    "/repos/{repo}/git/tags/{sha}",
    "contents: read",
    "the commit behind an annotated tag",
)
TAGS = _endpoint(
    "GET",
    "/repos/{repo}/tags",
    "metadata: read",
    "which version a pinned commit is",
)
COMPARISON = _endpoint(
    "GET",
    "/repos/{repo}/compare/{base}...{head}",
    "contents: read",
    "whether a commit is newer than the pinned one, and on the default branch",
)
