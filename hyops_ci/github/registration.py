"""Registration of runners: what registers an agent, minted when it is needed; which agent; and how a registration is taken away.

It takes a GitHub App, as no job's own token may (docs/design/github.md 4). What is minted shows itself in no text and no log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from hyops_ci.contracts.github_facts import RunnerFact
from hyops_ci.contracts.runner_machine import Registration
from hyops_ci.dataclass import dataclass, field
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.api import endpoints
from hyops_ci.github.api.client import API, AppKey, Client
from hyops_ci.github.api.endpoints import Endpoint
from hyops_ci.github.api.errors import reading
from hyops_ci.github.api.responses import NotFound, Rejected
from hyops_ci.github.runner_versions import Schedule, older, registration_objection, schedule
from hyops_ci.github.runners import Scope, runner_fact

PERMISSIONS: Final[Mapping[Scope, Mapping[str, str]]] = {
    "repository": {"administration": "write"},
    "organization": {"organization_self_hosted_runners": "write"},
}
"""What the App must have, and all that a token of it is asked for."""
DOCS: Final = "runner-recovery.md"
_ARCHIVE: Final = re.compile(r"actions-runner-[a-z]+-[a-z0-9]+-(\d{1,6}\.\d{1,6}\.\d{1,6})\.(?:tar\.gz|zip)")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Minted:
    """What registers one agent. `repr` and `str` do not show it."""

    value: str = field(repr=False)
    expires_at: str = ""
    """RFC 3339, UTC."""


@dataclass(frozen=True)
class AgentRelease:
    """The agent's release of today, as GitHub lists it."""

    version: str
    filename: str
    url: str
    sha256: str


class Registry:
    """Where the runners of a repository are registered: the repository itself, or one runner group of its organization."""

    def __init__(self, client: Client, group: str = "", learn: Callable[[str], None] | None = None) -> None:
        """`group`: the organization's; empty for the repository's own. `learn` gets what was minted, for the redactor."""
        self.client, self.group = client, group
        self.scope: Scope = "organization" if group else "repository"
        self.org = client.repository.partition("/")[0] if group else ""
        self._learn = learn or (lambda _: None)
        self._group_id = 0

    @classmethod
    def connect(
        cls,
        registration: Registration,
        key: str,
        repository: str,
        *,
        api_url: str = API,
        say: Callable[[str], None] = lambda _: None,
        learn: Callable[[str], None] | None = None,
    ) -> Registry:
        """Return the registry that the config names, entered as its GitHub App with the private `key`.

        Raises Refusal for a key that signs nothing, an App that GitHub does not know, or that is not installed on the repository.
        """
        group = registration.group or ""
        app = AppKey(str(registration.app_id), key, PERMISSIONS["organization" if group else "repository"])
        return cls(Client.connect(repository, app=app, api_url=api_url, say=say), group, learn)

    def url(self, server: str) -> str:
        """Return the address that the agent is registered with."""
        return f"{server.rstrip('/')}/{self.org or self.client.repository}"

    def token(self) -> Minted:
        """Return a new registration token: for `config.sh`, good for an hour."""
        place = self._place(endpoints.REGISTRATION_TOKEN, endpoints.ORG_REGISTRATION_TOKEN)
        answer = self.client.ask(place, org=self.org)
        with reading(place):
            return self._minted(answer["token"], str(answer["expires_at"]))

    def runners(self) -> tuple[RunnerFact, ...]:
        """Return every runner that is registered here. Raises Fault where the listing cannot be read to its end."""
        place, group = self._place(endpoints.RUNNERS, endpoints.GROUP_RUNNERS), self._group() if self.group else 0
        with reading(place):
            listed = self.client.pages(place, "runners", org=self.org, group_id=group)
            return tuple(runner_fact(each, self.scope, self.group) for each in listed)

    def runner(self, runner_id: int) -> RunnerFact | None:
        """Return one runner as it is now, None where it is gone."""
        place = self._place(endpoints.RUNNER, endpoints.ORG_RUNNER)
        found = self.client.exists(place, org=self.org, runner_id=runner_id)
        with reading(place):
            return None if found is None else runner_fact(found, self.scope, self.group)

    def remove(self, runner_id: int) -> bool:
        """Take a registration away and return True, or False where it was gone. It is looked at once more just before.

        Raises Refusal `registration.busy` for one that is online or works on a job: whoever asked has seen another state.
        """
        now = self.runner(runner_id)
        if now is None:
            return False
        if now.busy or now.online:
            raise _busy(now.name, "works on a job" if now.busy else "is online")
        place = self._place(endpoints.REMOVE_RUNNER, endpoints.REMOVE_ORG_RUNNER)
        try:
            self.client.ask(place, org=self.org, runner_id=runner_id)
        except NotFound:
            return False
        except Rejected as refusal:
            if "running a job" in refusal.found:
                raise _busy(now.name, "took a job just now") from None
            raise
        return True

    def agent_release(self, system: str = "linux", architecture: str = "x64") -> AgentRelease:
        """Return the agent's release of today for a machine. Raises Refusal `registration.release` where GitHub lists none with a hash."""
        place = self._place(endpoints.AGENT_DOWNLOADS, endpoints.ORG_AGENT_DOWNLOADS)
        listed = self.client.ask(place, org=self.org)
        with reading(place):
            fitting = [each for each in listed if (each["os"], each["architecture"]) == (system, architecture)]
            found = _release(fitting[0]) if fitting else None
        if found is None:
            raise Refusal(
                "registration.release",
                "GitHub does not say which agent it would register",
                exit_code=Exit.RUNNER,
                found=f"no archive with a version and a SHA-256 for {system} {architecture}",
                expected="one row of actions/runners/downloads",
                fix="a new run; githubstatus.com says whether Actions works",
                docs=DOCS,
            )
        return found

    def require_registrable(self, version: str, now: datetime) -> str:
        """Require that GitHub registers an agent of this version and gives it jobs. Return what is not known, or empty.

        Raises Refusal `registration.version` (exit 7).
        """
        ends, unknown = self._schedule(version)
        if older(version, version) is None:
            problem, unknown = f"{version!r} is no version", ""
        else:
            problem = registration_objection(version, ends, now)
        if problem:
            raise Refusal(
                "registration.version",
                "GitHub would not register this agent, or would give it no job",
                exit_code=Exit.RUNNER,
                found=problem,
                expected="a version that GitHub registers and that knows this release's workflow",
                fix="pin a newer release of dr-dispatch: it names a newer agent",
                docs=DOCS,
            )
        return unknown

    def _schedule(self, version: str) -> tuple[Schedule | None, str]:
        """Return GitHub's schedule for a version, or why it is not known."""
        try:
            ends = schedule(self.client, version, org=self.org)
        except Refusal as refusal:
            return None, f"schedule of agent {version}: {refusal.reason}; {refusal.expected}"
        return ends, "" if ends else f"schedule of agent {version}: GitHub has none"

    def _group(self) -> int:
        """Return the id of the runner group, which must serve the repository. Raises Refusal `registration.group`."""
        if not self._group_id:
            params: dict[str, str | int] = {"visible_to_repository": self.client.repository.partition("/")[2]}
            with reading(endpoints.RUNNER_GROUPS):
                listed = {
                    str(each["name"]): int(each["id"])
                    for each in self.client.pages(endpoints.RUNNER_GROUPS, "runner_groups", params=params, org=self.org)
                }
            if self.group not in listed:
                raise Refusal(
                    "registration.group",
                    "the runner group is not there, or does not serve this repository",
                    exit_code=Exit.POLICY,
                    found=f"group {self.group!r}; {self.org} has {', '.join(sorted(listed)) or 'none'} for {self.client.repository}",
                    expected="a group that `registration.group` names and whose repositories include this one",
                    fix="make it (hyops-ci init prints the command), or correct `registration.group`",
                    docs=DOCS,
                )
            self._group_id = listed[self.group]
        return self._group_id

    def _place(self, own: Endpoint, organizations: Endpoint) -> Endpoint:
        return organizations if self.org else own

    def _minted(self, value: object, expires_at: str) -> Minted:
        if not isinstance(value, str) or len(value) < 8:
            raise ValueError
        self._learn(value)
        return Minted(value, expires_at)


def _release(row: Mapping[str, Any]) -> AgentRelease | None:
    """Return a row of the downloads, None for one without a version or a hash."""
    name, sha256 = str(row["filename"]), str(row.get("sha256_checksum") or "")
    hit = _ARCHIVE.fullmatch(name)
    return AgentRelease(hit[1], name, str(row["download_url"]), sha256) if hit and _SHA256.fullmatch(sha256) else None


def _busy(name: str, how: str) -> Refusal:
    return Refusal(
        "registration.busy",
        "this runner is in use: its registration stays",
        exit_code=Exit.CONFLICT,
        found=f"{name} {how}",
        expected="a runner that is offline and works on nothing",
        fix="nothing to do; look again later",
        docs=DOCS,
    )
