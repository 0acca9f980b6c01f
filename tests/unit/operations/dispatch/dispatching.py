"""What the tests of dispatch and of following share: a caller's repository on the fake GitHub, a clock that waits at once, a bundle."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hyops_ci.github.api.client import Client
from tests.support.github.repositories import Repository
from tests.support.github.runs import Run
from tests.support.github.server import FakeGitHub
from tests.unit.evidence import sample_run

NAME = "acme/recovery"
REPOSITORY_ID = 4711
"""With run 212 the decision's id of the bundle that `sample_run` seals: `manual-4711-212`."""
RUN = 212
FILE = """\
name: Disaster recovery
on:
  workflow_dispatch:
    inputs:
      action: {type: choice, options: [failover, failback]}
      service: {type: string}
      reason: {type: string}
      restore: {type: string, default: latest}
      decision: {type: string}
      decision_ref: {type: string}
      bootstrap_reason: {type: choice, options: ["", runner-recovery, initial-bootstrap, lab-fallback], default: ""}
  repository_dispatch: {types: [dr-decision]}
permissions: {}
jobs:
  dr:
    permissions: {contents: write, actions: write}
    uses: hybridops/dr-dispatch/.github/workflows/dispatch.yml@v1
"""
PERMISSIONS = ("actions: write", "contents: write", "metadata: read")
DECISION: dict[str, Any] = {
    "api_version": "hybridops/v1",
    "kind": "Decision",
    "decision_id": "inc-4242-power-lost",
    "decision_type": "failover",
    "service": "pg-ha/prod",
    "rationale": "INC-4242 on-prem DC lost power",
    "issued_at": "2026-11-23T03:04:31Z",
    "issuer": "hybridops:decision-service",
}


def decision(**changes: Any) -> bytes:
    """A canonical decision as its author wrote it."""
    return json.dumps({**DECISION, **changes}, indent=2).encode()


@dataclass
class StandingClock:
    """Time passes when somebody waits; then the next of `on_sleep` happens."""

    at: datetime = datetime(2026, 11, 23, 3, 4, 31, tzinfo=UTC)
    waited: float = 0
    on_sleep: list[Callable[[], object]] = field(default_factory=list)

    def now(self) -> datetime:
        return self.at + timedelta(seconds=self.waited)

    def monotonic(self) -> float:
        return self.waited

    def sleep(self, seconds: float) -> None:
        self.waited += seconds
        if self.on_sleep:
            self.on_sleep.pop(0)()


@dataclass
class Caller:
    """A caller's repository, who asks, and what was said."""

    fake: FakeGitHub
    repository: Repository
    client: Client
    clock: StandingClock
    said: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.said.append(line)

    def starts(self, then: Callable[[Run], object]) -> None:
        """What happens to a run as soon as it is started."""
        self.repository.workflows[0].on_start = lambda run: then(run) and None

    def count_from_run(self) -> None:
        """The next thing that gets a number, a run that is started, has the number `RUN`."""
        self.repository.state._ids = itertools.count(RUN)


def caller(fake: FakeGitHub, file: str = FILE, permissions: tuple[str, ...] = PERMISSIONS) -> Caller:
    """A repository with one workflow."""
    repository = fake.add_repository(NAME, number=REPOSITORY_ID)
    repository.add_workflow(".github/workflows/dr.yml", file)
    clock = StandingClock()
    client = Client.connect(NAME, token=fake.add_token(*permissions), api_url=fake.url, sleep=clock.sleep, monotonic=clock.monotonic)
    return Caller(fake, repository, client, clock)


def bundle(folder: Path, **changes: Any) -> bytes:
    """The sealed bundle of run 212-1."""
    root = folder / "run"
    root.mkdir(parents=True)
    sample_run.sealed(root, folder / "evidence.tar", **changes)
    return (folder / "evidence.tar").read_bytes()


def recovers(evidence: bytes, attempt: int = 1) -> Callable[[Run], None]:
    """A run that is over as soon as it began."""

    def end(run: Run) -> None:
        run.add_artifact(f"dr-evidence-{run.id}-{attempt}", {"evidence.tar": evidence, "report.html": b"<html>"})
        run.finish()

    return end
