"""A machine, GitHub, and the order that makes the one a runner of the other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

from hyops_ci.contracts.runner_machine import Installation
from hyops_ci.runners.bootstrap import AgentArchive, Registration, Release, RunnerIdentity, SetupOrder, SetupResult, set_up
from hyops_ci.runners.ssh import Login, ProvenHost, new_login, prove
from tests.runners.host.agent_archive import build
from tests.runners.host.agent_service import AgentService, agent_service
from tests.runners.host.booted import BootedHost, booted
from tests.runners.host.offline import hyops_archive, wheelhouse
from tests.support.github.server import FakeGitHub, start_github

LABEL: Final = "gcp-ops-runner"
NAME: Final = "ops-1"
WHEELS, ARCHIVES = "/srv/wheels", "/srv/archives"
TRUST: Final = {
    "api_version": "hybridops/v1",
    "kind": "HostTrust",
    "repository_id": 4242,
    "repository_owner_id": 77,
    "ref": "refs/heads/main",
    "workflow_shas": ["3f2a" + 36 * "0"],
    "caller_workflows": ["acme/recovery/.github/workflows/dr.yml"],
    "runner_refs": [LABEL],
    "approvers": [],
    "host": {"user": "hyops", "envs_base": "/srv/hyops/envs", "vault_password_file": "/etc/hyops/vault-password"},
}


class RealClock:
    """Time as it is."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return monotonic()

    def sleep(self, seconds: float) -> None:
        sleep(seconds)


@dataclass
class Site:
    """One machine before or after its bootstrap."""

    host: BootedHost
    github: FakeGitHub
    service: AgentService
    archive: AgentArchive
    release: Release
    login: Login
    minted: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def mint(self) -> Registration:
        """A registration token, as the product gets one: late."""
        self.minted.append(f"AR{self.github.next_id():027d}")
        self.github.runner_tokens.append(self.minted[-1])
        return Registration(token=self.minted[-1])

    def order(self, **changes: Any) -> SetupOrder:
        settings: dict[str, Any] = {
            "trust": json.dumps(TRUST).encode(),
            "identity": RunnerIdentity(self.service.url, NAME, (LABEL,)),
            "register": self.mint,
            "installation": Installation(archives=ARCHIVES, wheelhouse=WHEELS),
            "agent": self.archive,
            "release": self.release,
        }
        return SetupOrder(**settings | changes)

    def prove(self, say: Callable[[str], None] | None = None) -> ProvenHost:
        return prove(self.host.candidate(), self.login, limit=30, clock=RealClock(), say=say or self.said.append)

    def set_up(self, **changes: Any) -> SetupResult:
        with self.prove() as host:
            return set_up(host, self.order(**changes), self.said.append)


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """A machine that was just made: booted, with the run's key in it, and nothing else of ours."""
    with start_github() as github, booted(folder) as host:
        repository = github.add_repository("acme/recovery", private=True, number=4242)
        with agent_service(github, repository, host.github) as service:
            (archives := folder / "archives").mkdir()
            archive, release = build(archives), hyops_archive(archives)
            shutil.copytree(archives, host.root / ARCHIVES.lstrip("/"))
            shutil.copytree(wheelhouse(), host.root / WHEELS.lstrip("/"))
            login = new_login("ops")
            host.let_in(login)
            yield Site(host, github, service, archive, release, login)
