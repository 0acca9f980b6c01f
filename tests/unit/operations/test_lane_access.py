"""The way to a lane's machine and registration: asked once, at the first use, and named where something is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hyops_ci.config.file import parsed_config
from hyops_ci.errors import Refusal
from hyops_ci.operations.lane_access import LaneAccess, Means
from hyops_ci.runners.ports import Owner
from tests.support.clock import Clock
from tests.support.github.app_key import install_app
from tests.support.github.fixture import github_fake
from tests.support.github.server import FakeGitHub

__all__ = ["github_fake"]
TOKEN = "dr@pve!bootstrap=0d9d7f3c-0000-4d6a-9b0c-5d1b0c2a7e11"
SERVICES = "services: {pg-ha/lab: {failover: {lane: onprem, blueprint: dr/postgresql-ha-failback-onprem@v1}}}\nenvs: {lab: {class: lab}}\n"
MACHINE = """
lanes:
  onprem:
    machine:
      provider: proxmox
      api: https://127.0.0.1:1
      token: dr/proxmox#token
      node: pve1
      template: 9000
      vmid: 9001
      address: 10.1.0.20/24
      gateway: 10.1.0.1
      management_runner: [self-hosted, management]
"""
OWNER = Owner(4711, "onprem", "proxmox-ops-runner")


def access(text: str, **means: Any) -> LaneAccess:
    return LaneAccess(parsed_config((SERVICES + text).encode()), "onprem", Means(Clock(), **means))


@pytest.fixture
def lab(tmp_path: Path, github_fake: FakeGitHub) -> str:
    """A lab's authority with the App's key and the provider's token."""
    key = install_app(github_fake, github_fake.add_repository("acme/shop", private=True), "administration: write")
    (tmp_path / "lab.yml").write_text(f'token: "{TOKEN}"\nprivate_key: |\n' + "".join(f"  {line}\n" for line in key.splitlines()))
    return f'vault: {{kind: file, path: "{tmp_path / "lab.yml"}"}}\nregistration: {{app_id: 31, key: "dr/github-app#private_key"}}\n'


def test_one_login_gives_provider_and_registration(lab: str, github_fake: FakeGitHub) -> None:
    learned: list[str] = []
    noted: list[tuple[str, dict[str, Any]]] = []
    way = access(lab + MACHINE, api_url=github_fake.url, learn=learned.append, note=lambda name, **data: noted.append((name, data)))
    assert noted == [], "nothing is asked before the first use"
    assert way.adapters(OWNER).provider is not None
    assert way.registry("acme/shop").token().value in learned
    assert [name for name, _ in noted] == ["authority"]
    assert TOKEN in learned
    assert TOKEN not in repr(way) + str(noted)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (MACHINE, "no vault in the config"),
        ("lanes: {}\n", "no lanes.onprem.machine"),
    ],
)
def test_what_is_not_there_is_named(text: str, found: str) -> None:
    with pytest.raises(Refusal) as refused:
        access(text).adapters(OWNER)
    assert (refused.value.gate, found in refused.value.found) == ("runner.tools", True)


def test_no_app_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"runner\.tools"):
        access(MACHINE).registry("acme/shop")


def test_in_a_shell_the_file_that_a_person_put_there(tmp_path: Path) -> None:
    text = f"""
vault: {{address: "http://127.0.0.1:9", site: gcp, break_glass: {{method: token-file, path: "{tmp_path / "token"}"}}}}
"""
    with pytest.raises(Refusal, match=r"secrets\.login") as refused:
        _ = access(text + MACHINE).values
    assert str(tmp_path / "token") in refused.value.found
