"""`runner status` and `runner reap` over a real provider's client: Proxmox VE behind TLS, the fake GitHub, a real ledger.

The pages *add a runner* and *runner recovery* are followed here, command by command.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from hyops_ci.cli.app import cli
from hyops_ci.contracts.base import stamp
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.runners.ports import MachineState, Owner
from tests.runners.proxmox_fake.server import TOKEN
from tests.runners.proxmox_fake.world import ProxmoxWorld, machine, proxmox_world
from tests.runners.world import NAME
from tests.support.github.fixture import github_fake
from tests.support.github.repositories import Repository
from tests.support.github.server import FakeGitHub

__all__ = ["github_fake"]
SERVICE = "pg-ha/lab"
RECOVERY = Path(__file__).parents[2] / "docs" / "runner-recovery.md"


@dataclass
class Desk:
    """A person at a checkout, with a token of GitHub's and the lab's secrets."""

    world: ProxmoxWorld
    repository: Repository
    state_dir: Path
    config: Path

    def run(self, command: str) -> Result:
        """Run one command as it is written on a page."""
        words = shlex.split(command)
        assert words[0] == "hyops-ci"
        return CliRunner().invoke(cli, [*words[1:]], standalone_mode=False)

    def owner(self) -> Owner:
        return Owner(self.repository.id, "onprem", NAME)

    def later(self) -> None:
        """A quarter of an hour goes by."""
        self.world.clock.sleep(900)


@pytest.fixture
def desk(github_fake: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    repository = github_fake.add_repository("acme/shop", private=True)
    token = github_fake.add_token("administration: write", "actions: read", "organization_self_hosted_runners: read", actor="maria")
    ledger = tmp_path / "ledger.git"
    subprocess.run(["git", "init", "-q", "--bare", str(ledger)], check=True)
    home = tmp_path / "home"
    state_dir = home / ".local" / "state" / "dr-dispatch"
    Ledger.over_git(str(ledger), SERVICE, state_dir=tmp_path / "elsewhere").init("gcp", stamp(datetime.now(UTC)))
    (tmp_path / "lab.yml").write_text(f'token: "{TOKEN}"\n')
    (tmp_path / ".github").mkdir()
    config = tmp_path / ".github" / "dr-dispatch.yml"
    with proxmox_world() as world:
        written = {
            "services": {SERVICE: {"failover": {"lane": "onprem", "blueprint": "dr/postgresql-ha-failback-onprem@v1"}}},
            "envs": {"lab": {"class": "lab"}},
            "vault": {"kind": "file", "path": str(tmp_path / "lab.yml")},
            "ledger": {"repository": str(ledger)},
            "lanes": {"onprem": {"runner_ref": NAME, "machine": json.loads(machine(world.fake).model_dump_json(exclude_none=True))}},
        }
        config.write_text(yaml.safe_dump(written))
        for name in ("GITHUB_ACTIONS", "DR_TOKEN", "GITHUB_TOKEN", "DR_RUNNER_TOKEN", "GITHUB_REPOSITORY", "DR_LANE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"HOME": home, "GH_TOKEN": token, "GH_REPO": "acme/shop", "GITHUB_API_URL": github_fake.url}.items():
            monkeypatch.setenv(name, str(value))
        home.mkdir()
        # Whatever waits at the provider waits by the cluster's clock.
        monkeypatch.setattr("hyops_ci.stages.context.SystemClock", lambda: world.clock)
        monkeypatch.chdir(tmp_path)
        yield Desk(world, repository, state_dir, config)


def test_a_machine_without_a_runner_is_shown_twice_and_then_removed(desk: Desk) -> None:
    desk.world.put(NAME, desk.owner())
    shown = desk.run("hyops-ci runner reap")
    assert shown.return_value == 0, shown.output
    assert f"keep  lane onprem   machine {NAME}" in shown.stdout
    assert "seen for the first time" in shown.stdout
    early = desk.run(f"hyops-ci runner reap --remove {NAME}")
    assert early.exception is not None
    assert "reap.kept" in str(early.exception)
    desk.later()
    again = desk.run("hyops-ci runner reap --lane onprem")
    assert f"hyops-ci runner reap --remove {NAME}" in again.stdout
    done = desk.run(f"hyops-ci runner reap --remove {NAME}")
    assert done.return_value == 0, done.output
    assert "nothing is left over" in done.stdout
    assert desk.world.machines() == []


def test_a_registration_without_a_machine_is_removed(desk: Desk) -> None:
    desk.repository.add_runner(NAME, [NAME], status="offline")
    desk.run("hyops-ci runner reap")
    desk.later()
    assert desk.run(f"hyops-ci runner reap --remove {NAME}").return_value == 0
    assert desk.repository.runners == []


def test_another_owners_machine_is_not_shown_and_not_touched(desk: Desk) -> None:
    desk.world.put(NAME, Owner(1, "onprem", NAME))
    shown = desk.run("hyops-ci runner reap")
    assert "nothing is left over" in shown.stdout
    status = desk.run("hyops-ci runner status --lane onprem")
    assert "is ambiguous" in status.stdout
    assert desk.world.machines() == [NAME]


@pytest.mark.parametrize(
    ("state", "words"),
    [(MachineState.RUNNING, "ok    machine onprem"), (MachineState.STOPPED, "FAIL  machine onprem"), (None, "is absent")],
)
def test_status_shows_what_the_provider_shows(desk: Desk, state: MachineState | None, words: str) -> None:
    if state is not None:
        desk.world.put(NAME, desk.owner(), state)
    desk.repository.add_runner(NAME, [NAME])
    shown = desk.run("hyops-ci runner status --lane onprem")
    assert shown.return_value == 0, shown.output
    assert words in shown.stdout
    [found] = json.loads(desk.run("hyops-ci runner status --lane onprem --format json").stdout)
    assert found["machine"]["state"] == (state.value if state else "absent")


def test_what_cannot_be_seen_is_said(desk: Desk) -> None:
    (desk.config.parents[1] / "lab.yml").unlink()
    desk.repository.add_runner(NAME, [NAME])
    status = desk.run("hyops-ci runner status --lane onprem")
    assert status.return_value == 0, "GitHub's view is known"
    assert "?     machine onprem not seen: the lab's secret file cannot be used" in status.stdout
    reap = desk.run("hyops-ci runner reap")
    assert reap.return_value == 12
    assert "machines: the lab's secret file cannot be used" in reap.stdout


def test_no_lane_has_a_machine(desk: Desk) -> None:
    found = desk.run("hyops-ci runner reap --lane gcp")
    assert "runner.tools" in str(found.exception)


def test_the_providers_token_is_shown_nowhere(desk: Desk) -> None:
    secret = TOKEN.partition("=")[2]
    for command in ("hyops-ci runner status", "hyops-ci runner reap", "hyops-ci runner reap --format json"):
        done = desk.run(command)
        assert secret not in done.output + repr(done.exception)
    assert not any(secret.encode() in path.read_bytes() for path in desk.state_dir.rglob("*") if path.is_file())


def test_the_page_on_recovery_is_followed(desk: Desk) -> None:
    """Each command of the page, in its order, with this lane and its names; what makes a machine is run by the stage's own tests."""
    desk.world.put(NAME, desk.owner())
    commands = re.findall(r"^ {4,}(hyops-ci runner (?:status|reap).*)$", RECOVERY.read_text(), re.MULTILINE)
    assert [command.split()[2] for command in commands] == ["status", "reap", "reap"]
    for command in commands:
        done = desk.run(command.replace("gcp-ops-runner-01", NAME).replace("--lane gcp", "--lane onprem"))
        assert done.exception is None, done.exception
        if "reap" in command:
            desk.later()
    assert desk.world.machines() == []
