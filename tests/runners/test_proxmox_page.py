"""What docs/runners-proxmox.md says is enough, is no more than that, and works where it can be tried."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from hyops_ci.contracts.runner_machine import ProxmoxMachine
from hyops_ci.errors import DispatchError
from hyops_ci.runners.ports import MachineState
from tests.runners.proxmox_fake import models
from tests.runners.proxmox_fake.server import TOKEN, certificate
from tests.runners.proxmox_fake.state import POOL, TEMPLATE, TOKEN_ID, TOKEN_USER, VMID
from tests.runners.proxmox_fake.world import ProxmoxWorld, machine, proxmox_world
from tests.runners.world import HOST_KEY, KEY, NAME, ORDER, OWNER

PAGE = (Path(__file__).parents[2] / "docs/runners-proxmox.md").read_text("utf-8")
COMMANDS = [shlex.split(line) for line in re.findall(r"^    (.+)$", PAGE, re.M)]


def commands(*words: str) -> list[list[str]]:
    return [each[len(words) :] for each in COMMANDS if each[: len(words)] == list(words)]


def options(words: list[str]) -> dict[str, str]:
    names = [word for word in words if word.startswith("--")]
    return {name.removeprefix("--"): words[words.index(name) + 1] for name in names}


def rights(whose: str) -> dict[str, set[str]]:
    """Return what the page gives the user or the token."""
    roles = {each[0]: set(options(each)["privs"].split()) for each in commands("pveum", "role", "add")}
    given = [(each[0], options(each)) for each in commands("pveum", "acl", "modify")]
    return {path: roles[found["roles"]] for path, found in given if whose in found.values()}


def life(world: ProxmoxWorld) -> None:
    """All that is ever asked of the API, also for a machine that another run left."""
    adapters = world.connect()
    assert adapters.egress.look().ready
    made = adapters.provider.create(ORDER)
    adapters.provider.admit(made, "opsadmin", KEY)
    world.boots(NAME, (HOST_KEY,), "")
    assert adapters.egress.look().ready
    assert adapters.provider.host_keys(made) == (HOST_KEY,)
    assert adapters.provider.console(made)
    adapters.provider.revoke(made)
    assert [each.name for each in adapters.provider.owned()] == [NAME]
    adapters.provider.delete(made)
    assert world.machines() == []


def test_the_token_of_the_page_is_enough_and_none_of_its_privileges_is_left_over() -> None:
    with proxmox_world() as world:
        world.cluster.acl.rights = rights(f"{TOKEN_USER}!{TOKEN_ID}")
        life(world)
        used, given = world.cluster.acl.used, rights(f"{TOKEN_USER}!{TOKEN_ID}")
    assert used == {(path, privilege) for path, privileges in given.items() for privilege in privileges}


def test_a_token_has_no_more_than_its_user() -> None:
    assert rights(TOKEN_USER) == rights(f"{TOKEN_USER}!{TOKEN_ID}")
    assert commands("pveum", "user", "add") == [[TOKEN_USER]]
    assert commands("pveum", "user", "token", "add") == [[TOKEN_USER, TOKEN_ID, "--privsep", "1"]]
    assert commands("pveum", "pool", "add") == [[POOL]]


@pytest.mark.parametrize(("path", "privilege"), sorted((path, each) for path, found in rights(TOKEN_USER).items() for each in found))
def test_without_one_of_them_something_is_refused(path: str, privilege: str) -> None:
    with proxmox_world() as world:
        world.cluster.acl.rights = rights(TOKEN_USER)
        world.cluster.acl.rights[path].discard(privilege)
        with pytest.raises((DispatchError, AssertionError)):
            life(world)


def test_rights_on_the_id_itself_go_with_the_machine_as_the_page_says() -> None:
    with proxmox_world() as world:
        found = rights(TOKEN_USER)
        world.cluster.acl.rights = {**found, f"/vms/{VMID}": found.pop(f"/pool/{POOL}")}
        from hyops_ci.runners import proxmox

        provider = proxmox.connect(machine(world.fake, pool=None), OWNER, TOKEN, world.clock, world.said.append).provider
        provider.delete(provider.create(ORDER))
        with pytest.raises(DispatchError) as caught:
            provider.create(ORDER)
    assert caught.value.gate == "runner.permission"


def test_the_fingerprint_that_the_page_s_command_prints_is_the_one_to_pin(tmp_path: Path) -> None:
    (command,) = [each for each in COMMANDS if each[0] == "openssl"]
    file = tmp_path / "pve-ssl.pem"
    certificate()[1].cert_chain_pems[0].write_to_path(str(file))
    with proxmox_world() as world:
        said = subprocess.run(
            [str(file) if word == "/etc/pve/local/pve-ssl.pem" else word for word in command], capture_output=True, text=True, check=True
        ).stdout
        pinned = machine(world.fake, fingerprint=said.strip().partition("=")[2])
        from hyops_ci.runners import proxmox

        provider = proxmox.connect(pinned, OWNER, TOKEN, world.clock, world.said.append).provider
        assert provider.describe(NAME).state is MachineState.ABSENT


def test_the_template_s_settings_are_ones_that_the_api_has() -> None:
    for words in [*commands("qm", "create"), *commands("qm", "set")]:
        assert words[0] == str(TEMPLATE)
        models.check_request("PUT", "/nodes/{node}/qemu/{vmid}/config", options(words))
    assert [options(each)["agent"] for each in commands("qm", "set") if "--agent" in each] == ["enabled=1"]
    assert [each[0] for each in commands("qm", "template")] == [str(TEMPLATE)]


def test_settings_and_refusals_that_the_page_names_are_there() -> None:
    named = set(re.findall(r"`(runner\.[a-z]+)`", PAGE))
    refusals = (Path(__file__).parents[2] / "docs/refusals.md").read_text("utf-8")
    assert named
    assert not [gate for gate in named if f"`{gate}`" not in refusals]
    assert {"vmid", "token", "fingerprint", "management_runner", "pool"} <= set(ProxmoxMachine.model_fields) & set(
        re.findall(r"`(\w+)", PAGE)
    )
