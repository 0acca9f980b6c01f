"""The table of endpoints: against GitHub's description, the fake's table of permissions, the workflow, and the functions that ask them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

import hyops_ci
from hyops_ci.cli.app import COMMANDS
from hyops_ci.errors import Fault
from hyops_ci.github import (
    artifacts,
    branch,
    contents,
    dispatch,
    environments,
    issue_comments,
    registration,
    releases,
    repository,
    reviews,
    runner_versions,
    runners,
    runs,
)
from hyops_ci.github import jobs as github_jobs
from hyops_ci.github.api import endpoints
from hyops_ci.github.api.client import AppKey, Client
from hyops_ci.github.api.endpoints import APP_KEY, ENDPOINTS, Endpoint
from hyops_ci.github.dispatch import DispatchTarget
from hyops_ci.operations.dispatch import follow
from tests.support.github import description, routing
from tests.support.github.repositories import Repository
from tests.support.github.routing import ROUTES
from tests.support.github.runs import Run
from tests.support.github.server import FakeGitHub
from tests.unit.operations.dispatch.dispatching import StandingClock
from tools.github_calls import reached

ROOT = Path(__file__).parents[4]
WORKFLOW = ".github/workflows/dr.yml"
CALLER = "on: {workflow_dispatch: , repository_dispatch: {types: [dr-decision]}}\njobs: {a: {runs-on: x, steps: [{run: x}]}}\n"
LEVELS = ("none", "read", "write")
each_endpoint = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=[f"{each.method} {each.path}" for each in ENDPOINTS])


@each_endpoint
def test_github_describes_it_and_asks_for_that_permission(endpoint: Endpoint) -> None:
    """The fake's permissions were written apart from ours; what it routes is in GitHub's description, or is documented elsewhere."""
    path = re.sub(r"{[^}]+}", "1", endpoint.path.replace("{repo}", "acme/dr"))
    if elsewhere := routing.undescribed(endpoint.method, path):
        route = elsewhere[0]
    else:
        described = description.match(endpoint.method, path)
        assert described, "no such endpoint in GitHub's description"
        route = ROUTES[described[0].name]
    assert endpoint.permission == {routing.APP_KEY: APP_KEY}.get(route.needs, route.needs)


@dataclass
class Site:
    """A repository of the fake GitHub with one run, and a client for each kind of token."""

    fake: FakeGitHub
    repository: Repository
    run: Run
    client: Client
    person: Client
    admin: Client
    clock: StandingClock

    def workflow(self) -> DispatchTarget:
        return dispatch.dispatch_target(self.client, "dr.yml")

    def registry(self, group: str = "") -> registration.Registry:
        return registration.Registry(self.admin, group)

    def as_app(self) -> None:
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        self.fake.add_app(public, number=31, permissions={"metadata": "read"}).install(self.repository.owner, [self.repository])
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
        now = self.fake.now().timestamp()
        Client.connect("acme/dr", app=AppKey("31", pem), api_url=self.fake.url, now=lambda: now).ask(endpoints.REPOSITORY)


def follow_run(site: Site) -> None:
    site.run.add_job("execute", environment="dr-prod")
    with pytest.raises(Fault):  # the run waits for a review for longer than it is followed
        follow.follow(site.client, site.run.id, within=1, clock=site.clock, say=lambda _: None)


def comment(site: Site) -> None:
    site.repository.issues[42] = []
    issue_comments.comment(site.person, 42, "STARTED")


def start(site: Site) -> None:
    dispatch.start(site.client, site.workflow(), ref="main", inputs={}, mark="a mark", clock=site.clock)


def start_by_event(site: Site) -> None:
    payload = {"decision": "{}"}
    dispatch.start_by_event(site.person, site.workflow(), event_type="dr-decision", payload=payload, mark="", clock=site.clock)


REF: Final = {"ref": "refs/heads/main", "default_branch": "main"}
ASKED_BY: Final[dict[str, Callable[[Site], object]]] = {
    "REPOSITORY": lambda site: repository.repository(site.client),
    "USER": lambda site: repository.person_id(site.client, "maria"),
    "BRANCH": lambda site: branch.ref_fact(site.client, sha=site.repository.head, **REF),
    "BRANCH_RULES": lambda site: branch.ref_fact(site.client, sha=site.repository.head, **REF),
    "CONTENT": lambda site: contents.file_at(site.client, WORKFLOW, "main"),
    "ENVIRONMENT": lambda site: environments.environment(site.client, "dr-prod", private=True),
    "BRANCH_POLICIES": lambda site: environments.environment(site.client, "dr-prod", private=True),
    "RUN": lambda site: runs.run(site.client, site.run.id),
    "RUNS": lambda site: runs.waiting_runs(site.client, "dr.yml"),
    "REPOSITORY_RUNS": lambda site: github_jobs.jobs_in_progress(site.client, ["dr"], [], 0),
    "JOBS": lambda site: github_jobs.jobs(site.client, site.run.id, 1),
    "REVIEWS": lambda site: reviews.reviews(site.client, site.run.id),
    "PENDING": follow_run,
    "CANCEL": lambda site: github_jobs.cancel(site.client, site.run.id),
    "ARTIFACTS": lambda site: artifacts.find_artifact(site.client, site.run.id, "dr-plan"),
    "ARTIFACT": lambda site: artifacts.artifact_files(site.client, site.run.id, "dr-plan"),
    "ISSUE_COMMENT": comment,
    "WORKFLOW": Site.workflow,
    "DISPATCH": start,
    "REPOSITORY_DISPATCH": start_by_event,
    "RUNNERS": lambda site: runners.find_runners(site.person, names=[], labels=["dr"], org="acme"),
    "ORG_RUNNERS": lambda site: runners.find_runners(site.person, names=["dr-1"], labels=["dr"], org="acme"),
    "RUNNER_GROUPS": lambda site: runners.find_runners(site.person, names=[], labels=["dr"], org="acme"),
    "DEPRECATION": lambda site: runner_versions.schedule(site.person, "2.336.0"),
    "ORG_DEPRECATION": lambda site: runner_versions.schedule(site.admin, "2.336.0", org="acme"),
    "GROUP_RUNNERS": lambda site: site.registry("dr").runners(),
    "RUNNER": lambda site: site.registry().runner(site.repository.add_runner("dr-1").id),
    "ORG_RUNNER": lambda site: site.registry("dr").runner(site.repository.owner.add_runner("dr-1").id),
    "REMOVE_RUNNER": lambda site: site.registry().remove(site.repository.add_runner("dr-1", status="offline").id),
    "REMOVE_ORG_RUNNER": lambda site: site.registry("dr").remove(site.repository.owner.add_runner("dr-1", status="offline").id),
    "REGISTRATION_TOKEN": lambda site: site.registry().token(),
    "ORG_REGISTRATION_TOKEN": lambda site: site.registry("dr").token(),
    "AGENT_DOWNLOADS": lambda site: site.registry().agent_release(),
    "ORG_AGENT_DOWNLOADS": lambda site: site.registry("dr").agent_release(),
    "RELEASE": lambda site: releases.release(site.client, "v1.2.3"),
    "RELEASES": lambda site: releases.published(site.client),
    "TAG_REF": lambda site: releases.release(site.client, "v1.2.3"),
    "TAG_OBJECT": lambda site: releases.release(site.client, "v1.2.3"),
    "TAGS": lambda site: releases.versions_of(site.client, [site.repository.head]),
    "COMPARISON": lambda site: releases.relation(site.client, "main", site.repository.head),
    "INSTALLATION": Site.as_app,
    "INSTALLATION_TOKEN": Site.as_app,
}
"""The function of the library that asks each endpoint. An endpoint that nothing asks has no place in the table of endpoints."""


@pytest.fixture
def site(github_fake: FakeGitHub) -> Site:
    made = github_fake.add_repository("acme/dr", private=True)
    maria = github_fake.add_user("maria", number=1001)
    made.add_workflow(WORKFLOW, CALLER)
    made.add_environment("dr-prod", reviewers=[maria], branches=["main"])
    github_fake.add_runner_version("2.336.0")
    made.add_release("v1.2.3", annotated=True)
    run = made.add_run(actor=maria)
    run.add_artifact("dr-plan", {"plan.json": b"{}"})

    def connect(*permissions: str) -> Client:
        return Client.connect("acme/dr", token=github_fake.add_token(*permissions, actor="maria"), api_url=github_fake.url)

    person = connect("contents: write", "actions: read", "administration: read", "organization_self_hosted_runners: read", "issues: write")
    made.owner.add_group("dr", [made])
    admin = connect("administration: write", "organization_self_hosted_runners: write")
    return Site(github_fake, made, run, connect("actions: write", "contents: read"), person, admin, StandingClock())


@pytest.mark.parametrize("name", [name for name, each in vars(endpoints).items() if isinstance(each, Endpoint)])
def test_a_function_of_the_library_asks_it_and_is_answered(name: str, site: Site) -> None:
    ASKED_BY[name](site)
    endpoint = named(name)
    path = re.compile(re.sub(r"{[a-z_]+(\*?)}", lambda found: ".+" if found[1] else "[^/]+", endpoint.path.replace("{repo}", "acme/dr")))
    answered = [call.status for call in site.fake.calls if call.method == endpoint.method and path.fullmatch(call.path)]
    assert answered
    assert set(answered) <= {200, 201, 202, 204, 302}


def test_each_is_there_once_and_has_a_name() -> None:
    assert len({(each.method, each.path) for each in ENDPOINTS}) == len(ENDPOINTS)
    named = [each for each in vars(endpoints).values() if isinstance(each, Endpoint)]
    assert sorted(named, key=id) == sorted(ENDPOINTS, key=id)


def test_what_makes_something_anew_each_time_is_asked_once() -> None:
    """Those below may be repeated: a second token is as good as the first, and a run is not cancelled more than once."""
    assert all(each.method == "POST" for each in ENDPOINTS if each.once)
    repeated = {each.path.rpartition("/")[2] for each in ENDPOINTS if each.method == "POST" and not each.once}
    assert repeated == {"access_tokens", "cancel", "registration-token"}


# ----------------------------------------------------------------------------------------------------- who asks


def named(name: str) -> Endpoint:
    found = getattr(endpoints, name)
    assert isinstance(found, Endpoint)
    return found


@pytest.fixture(scope="module")
def asking() -> dict[str, tuple[str, ...]]:
    package = Path(hyops_ci.__file__).parent
    return reached(package, {name: module for name, (module, _) in COMMANDS.items()})


def jobs() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / ".github" / "workflows" / "dispatch.yml").read_text(encoding="utf-8"))["jobs"]
    return found


@pytest.mark.parametrize("job", jobs())
def test_a_job_has_the_permissions_of_what_its_stage_asks(job: str, asking: dict[str, tuple[str, ...]]) -> None:
    """With too few the run stops; what only an App may is asked with an App's token."""
    granted = jobs()[job]["permissions"]
    stages = {step["uses"].rpartition("/")[2] for step in jobs()[job]["steps"] if step.get("uses", "").startswith("$/actions/")}
    for name, commands in asking.items():
        scope, _, level = named(name).permission.partition(": ")
        if scope in {"contents", "actions"} and stages & set(commands):
            assert LEVELS.index(granted.get(scope, "none")) >= LEVELS.index(level), f"{job} asks {named(name).path}"


def test_commands_reach_what_their_stages_ask(asking: dict[str, tuple[str, ...]]) -> None:
    """A few that are known, so that the reading of the code is not believed blindly."""
    assert "watch" in asking["JOBS"]
    assert "plan" in asking["ENVIRONMENT"]
    assert "approve" in asking["DISPATCH"]
    assert "init" in asking["USER"]
    assert "validate" not in {command for commands in asking.values() for command in commands}
