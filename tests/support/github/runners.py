"""Self-hosted runners of a repository or an organization: listing, removing, versions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.support.github.accounts import Account
from tests.support.github.description import Json, example
from tests.support.github.routing import Answer, Ask, Refused, not_found, route

if TYPE_CHECKING:
    from tests.support.github.repositories import Repository

REPO = "/repos/{owner}/{repo}/actions/runners"
ORG = "/orgs/{org}/actions/runners"
READ, WRITE = "administration: read", "administration: write"
ORG_READ, ORG_WRITE = "organization_self_hosted_runners: read", "organization_self_hosted_runners: write"
DOCUMENTED = "https://docs.github.com/en/rest/actions/self-hosted-runners"
"""The schedule of a runner version is there since 2026-09-03, and not yet in version 23.0.2 of the OpenAPI description."""


@dataclass(eq=False)
class Runner:
    """One registered runner; a test may change every field while the fake runs."""

    owner: Repository | Account = field(repr=False)
    id: int
    name: str
    labels: list[str]
    """Custom ones; `self-hosted`, the system's and the architecture's come on top."""
    os: str = "linux"
    status: str = "online"
    busy: bool = False
    ephemeral: bool = False
    version: str | None = "2.336.0"
    group_id: int = 1
    group_name: str = "Default"
    read_only: tuple[str, ...] = ("self-hosted", "Linux", "X64")
    listed_from: datetime | None = None
    """When GitHub begins to show it; None: at once."""

    @property
    def listed(self) -> bool:
        """Whether GitHub shows it already."""
        return self.listed_from is None or self.owner.state.now() >= self.listed_from

    def show(self) -> Json:
        """In full."""
        labels: list[Json] = [{"id": n + 1, "name": name, "type": "read-only"} for n, name in enumerate(self.read_only)]
        labels += [{"id": n + 11, "name": name, "type": "custom"} for n, name in enumerate(self.labels)]
        shown: Json = {"id": self.id, "runner_group_id": self.group_id, "name": self.name, "os": self.os, "status": self.status}
        shown |= {"busy": self.busy, "ephemeral": self.ephemeral, "labels": labels}
        return shown if self.version is None else shown | {"version": self.version}


@dataclass(frozen=True)
class Registrable:
    """What a registration token is good for."""

    owner: Repository | Account = field(repr=False)
    until: datetime


@dataclass(frozen=True)
class RunnerVersion:
    """Until when a runner version gets jobs, and may be registered; None while no end is set."""

    version: str
    runtime_deprecates_at: str | None = None
    registration_deprecates_at: str | None = None


def make_runner(owner: Repository | Account, name: str, labels: Sequence[str], **changes: Any) -> Runner:
    """Register one."""
    runner = Runner(owner, changes.pop("id", None) or owner.state.next_id(), name, list(labels), **changes)
    owner.runners.append(runner)
    return runner


def _list(ask: Ask, runners: list[Runner]) -> Answer:
    """`name` is the whole name; GitHub does not say whether case counts, so it does here."""
    runners = [runner for runner in runners if runner.listed]
    if "name" in ask.query:
        runners = [runner for runner in runners if runner.name == ask.query["name"]]
    return ask.page(runners, "runners", Runner.show)


def _find(ask: Ask, runners: list[Runner]) -> Runner:
    for runner in runners:
        if runner.id == ask.number("runner_id") and runner.listed:
            return runner
    raise not_found()


def _downloads(ask: Ask, template: str) -> list[Json]:
    """The example of the description, each archive of the release of today (`State.agent`) and with its hash."""
    version, hashes = ask.state.agent_version, ask.state.agent_hashes
    made = []
    for row in example("GET", template):
        name = re.sub(r"\d+\.\d+\.\d+", version, row["filename"])
        address = f"https://github.com/actions/runner/releases/download/v{version}/{name}"
        made.append({**row, "filename": name, "download_url": address, "sha256_checksum": hashes.get(name, "0" * 64)})
    return made


def _remove(ask: Ask, runners: list[Runner]) -> Answer:
    runner = _find(ask, runners)
    if runner.busy:
        raise Refused(422, f'Bad request - Runner "{runner.name}" is still running a job"')
    runners.remove(runner)
    return Answer(204)


@route("GET", REPO, READ)
def list_runners(ask: Ask) -> Answer:
    return _list(ask, ask.repository.runners)


@route("GET", ORG, ORG_READ)
def list_organization_runners(ask: Ask) -> Answer:
    return _list(ask, ask.organization.runners)


@route("GET", f"{REPO}/downloads", READ)
def list_downloads(ask: Ask) -> Answer:
    return Answer(200, _downloads(ask, f"{REPO}/downloads"))


@route("GET", f"{ORG}/downloads", ORG_READ)
def list_organization_downloads(ask: Ask) -> Answer:
    return Answer(200, _downloads(ask, f"{ORG}/downloads"))


@route("GET", f"{REPO}/{{runner_id}}", READ)
def get_runner(ask: Ask) -> Answer:
    return Answer(200, _find(ask, ask.repository.runners).show())


@route("GET", f"{ORG}/{{runner_id}}", ORG_READ)
def get_organization_runner(ask: Ask) -> Answer:
    return Answer(200, _find(ask, ask.organization.runners).show())


@route("DELETE", f"{REPO}/{{runner_id}}", WRITE)
def remove_runner(ask: Ask) -> Answer:
    return _remove(ask, ask.repository.runners)


@route("DELETE", f"{ORG}/{{runner_id}}", ORG_WRITE)
def remove_organization_runner(ask: Ask) -> Answer:
    return _remove(ask, ask.organization.runners)


@route("GET", f"{REPO}/deprecations/{{version}}", READ, documented=DOCUMENTED)
def get_deprecation(ask: Ask) -> Answer:
    """404 for a version that was never released."""
    ask.repository  # noqa: B018 - 404 for a repository that is not there
    return _deprecation(ask)


@route("GET", f"{ORG}/deprecations/{{version}}", ORG_READ, documented=DOCUMENTED)
def get_organization_deprecation(ask: Ask) -> Answer:
    ask.organization  # noqa: B018 - it raises where there is none
    return _deprecation(ask)


def _deprecation(ask: Ask) -> Answer:
    found = ask.state.runner_versions.get(ask.values["version"])
    if found is None:
        raise not_found()
    ends = {"runtime_deprecates_at": found.runtime_deprecates_at, "registration_deprecates_at": found.registration_deprecates_at}
    return Answer(200, {"runner_version": found.version} | ends)
