"""Machines in states that only Proxmox VE knows: locks, clones that were cut off, ids of others, agents that are silent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hyops_ci.errors import Fault, Refusal
from hyops_ci.runners import proxmox
from hyops_ci.runners.ports import MachineState, Owner
from tests.runners.proxmox_fake.server import TOKEN, Answer, failure
from tests.runners.proxmox_fake.state import NODE, OTHER_NODE, POOL, TEMPLATE, VMID, Vm
from tests.runners.proxmox_fake.world import KEYS, ProxmoxWorld, machine, proxmox_world
from tests.runners.world import HOST_KEY, KEY, NAME, NEXT_KEY, ORDER, OTHERS, OWNER, Trouble

CHANGES = ("POST", "PUT", "DELETE")


def changes(world: ProxmoxWorld) -> list[str]:
    return [each for each in world.fake.seen if each.startswith(CHANGES)]


def test_a_clone_is_set_to_what_the_config_says_before_it_starts() -> None:
    with proxmox_world() as world:
        world.connect().provider.create(ORDER)
        config, calls = world.cluster.vms[VMID].config, changes(world)
    assert [call.rpartition("/")[2] for call in calls] == ["clone", "config", "start"]
    assert config["net0"] == "virtio=BC:24:11:00:00:30,bridge=vmbr0,firewall=1"
    assert (config["ipconfig0"], config["ciuser"], config["ciupgrade"]) == ("ip=10.0.0.30/24,gw=10.0.0.1", "opsadmin", 0)
    assert (config["cores"], config["memory"], config["onboot"], config["tags"]) == (2, "4096", 1, "dr-dispatch")


def test_a_template_on_another_node_is_cloned_to_the_config_s() -> None:
    with proxmox_world() as world:
        world.cluster.vms[TEMPLATE].node = world.cluster.template_node = OTHER_NODE
        assert world.connect().provider.create(ORDER).place == NODE


def test_a_vlan_and_a_bridge_replace_the_template_s() -> None:
    with proxmox_world() as world:
        provider = proxmox.connect(machine(world.fake, vlan=20), OWNER, TOKEN, world.clock, world.said.append).provider
        provider.create(ORDER)
        assert world.cluster.vms[VMID].config["net0"] == "virtio=BC:24:11:00:00:30,bridge=vmbr0,tag=20,firewall=1"


def test_a_bare_clone_is_finished_by_a_run_that_only_starts_it() -> None:
    """Whose key it lets in first does not matter: the next login's replaces it."""
    with proxmox_world() as world:
        world.cluster.clone({"newid": str(VMID), "name": NAME, "pool": POOL, "description": _notes(world)})
        world.clock.sleep(30)
        provider = world.connect().provider
        found = provider.describe(NAME)
        assert found.state is MachineState.STOPPED
        assert provider.start(found).address == "10.0.0.30"
        assert provider.admit(found, "opsadmin", NEXT_KEY) == "opsadmin"
        assert world.logins(NAME) == {" ".join(NEXT_KEY.split()[:2])}


def _notes(world: ProxmoxWorld) -> str:
    from hyops_ci.runners.proxmox import marks

    return marks.write(marks.of_order(ORDER, world.clock))


@pytest.mark.parametrize("owner", [OWNER, None], ids=["own", "nobody"])
def test_a_clone_that_was_cut_off_with_its_node_is_named_and_left(owner: Owner | None) -> None:
    with proxmox_world() as world:
        config = {
            "lock": "clone",
            **({"name": NAME, "description": _notes(world)} if owner else {"description": "qmclone temporary file\n"}),
        }
        world.cluster.vms[VMID] = Vm(VMID, NODE, config, pool=POOL)
        provider = world.connect().provider
        found = provider.describe(NAME)
        assert found.state is MachineState.AMBIGUOUS
        assert "half made" in found.words
        assert ("qm unlock 130 && qm destroy 130" in found.words) is (owner is not None)
        for act in (lambda: provider.create(ORDER), lambda: provider.start(found), lambda: provider.delete(found)):
            with pytest.raises(Refusal, match=r"runner\.foreign"):
                act()
        assert changes(world) == []


def test_an_id_that_is_taken_by_what_the_token_may_not_see_is_not_asked_for() -> None:
    with proxmox_world() as world:
        world.cluster.vms[VMID] = Vm(VMID, NODE, {"name": "secret"}, pool="others")
        with pytest.raises(Refusal, match=r"runner\.foreign") as caught:
            world.connect().provider.create(ORDER)
        assert "may not see" in caught.value.found
        assert changes(world) == []


@pytest.mark.parametrize(("kind", "template"), [("lxc", 0), ("qemu", 1)])
def test_a_container_or_a_template_of_the_id_is_no_machine(kind: str, template: int) -> None:
    with proxmox_world() as world:
        world.put(NAME, OWNER)
        world.cluster.vms[VMID].kind = kind
        world.cluster.vms[VMID].config["template"] = template
        assert world.connect().provider.describe(NAME).state is MachineState.AMBIGUOUS


def test_another_machine_of_the_name_stands_in_the_way_also_without_this_one() -> None:
    with proxmox_world() as world:
        world.cluster.vms[131] = Vm(131, OTHER_NODE, {"name": NAME}, pool=POOL)
        with pytest.raises(Refusal, match=r"runner\.foreign") as caught:
            world.connect().provider.create(ORDER)
        assert "131" in caught.value.found
        assert changes(world) == []


def test_a_leftover_of_another_id_is_deleted_though_the_name_is_taken() -> None:
    with proxmox_world() as world:
        world.put(NAME, OWNER)
        world.put(NAME, OWNER, MachineState.STOPPED)
        provider = world.connect().provider
        leftover = next(each for each in provider.owned() if each.id != str(VMID))
        provider.delete(leftover)
        assert list(world.cluster.vms) == [TEMPLATE, VMID]


def test_marks_that_somebody_changed_since_it_was_looked_at_count() -> None:
    with proxmox_world() as world:
        world.put(NAME, OWNER, MachineState.STOPPED)
        provider = world.connect().provider
        found = provider.describe(NAME)
        world.cluster.vms[VMID].config["description"] = "mine now"
        for act in (provider.start, provider.delete, provider.revoke, provider.host_keys, provider.console):
            with pytest.raises(Refusal, match=r"runner\.foreign"):
                act(found)
        assert changes(world) == []


def test_a_machine_that_was_changed_between_look_and_change_is_looked_at_again() -> None:
    with proxmox_world() as world:
        world.cluster.clone({"newid": str(VMID), "name": NAME, "pool": POOL, "description": _notes(world)})
        world.clock.sleep(30)
        first: list[str] = []

        def meddle(method: str, path: str) -> Answer | None:
            if method == "PUT" and not first:
                first.append(path)
                world.cluster.vms[VMID].config["cores"] = 7
            return None

        world.fake.override = meddle
        assert world.connect().provider.create(ORDER).state is MachineState.RUNNING
        assert len([each for each in changes(world) if each.startswith("PUT")]) == 2


def test_a_lock_that_passes_is_waited_for_and_one_that_stays_is_named() -> None:
    with proxmox_world() as world:
        world.put(NAME, OWNER, MachineState.STOPPED)
        config = world.cluster.vms[VMID].config
        config["lock"] = "backup"
        world.clock.at(5, lambda: config.pop("lock"))
        assert world.connect().provider.create(ORDER).state is MachineState.RUNNING
    with proxmox_world() as world:
        world.put(NAME, OWNER, MachineState.STOPPED)
        world.cluster.vms[VMID].config["lock"] = "backup"
        with pytest.raises(Fault) as caught:
            world.connect().provider.create(ORDER)
        assert "locked (backup)" in caught.value.found


def test_a_start_that_high_availability_takes_over_is_waited_for() -> None:
    """Its task is over before the machine runs."""
    with proxmox_world() as world:
        world.put(NAME, OWNER, MachineState.STOPPED)
        vm = world.cluster.vms[VMID]

        def asked(method: str, path: str) -> Answer | None:
            if path.endswith("/status/start"):
                world.clock.at(world.clock.seconds + 20, lambda: setattr(vm, "running", True))
                return 200, "OK", f'{{"data": "{world.cluster.begin(NODE, "hastart", "130", 0, lambda: "OK").upid}"}}'.encode()
            return None

        world.fake.override = asked
        provider = world.connect().provider
        assert provider.start(provider.describe(NAME)).state is MachineState.RUNNING
        assert world.clock.seconds >= 20


def test_a_clone_under_way_that_the_token_does_not_see_yet_has_a_console_and_no_keys() -> None:
    """Up to its end it is in no pool, so that its configuration is nobody's whose rights come by the pool."""
    with proxmox_world() as world:
        world.cause(Trouble.NEVER)
        with pytest.raises(Fault):
            world.connect().provider.create(ORDER)
        provider = world.connect().provider
        found = provider.describe(NAME)
        assert (found.state, found.place) == (MachineState.STARTING, NODE)
        assert provider.host_keys(found) == ()
        assert isinstance(provider.console(found), str)


def test_a_machine_that_somebody_protected_is_not_deleted_and_named() -> None:
    with proxmox_world() as world:
        world.put(NAME, OWNER, MachineState.STOPPED)
        world.fake.override = lambda method, path: (
            failure(500, "can't remove VM 130 - protection mode enabled") if method == "DELETE" else None
        )
        provider = world.connect().provider
        with pytest.raises(Fault, match=r"runner\.halfway") as caught:
            provider.delete(provider.describe(NAME))
    assert "protection mode" in caught.value.found


def test_a_start_that_nothing_comes_of_is_named_with_what_its_task_said() -> None:
    with proxmox_world() as world:
        world.put(NAME, OWNER, MachineState.STOPPED)

        def asked(method: str, path: str) -> Answer | None:
            if path.endswith("/status/start"):
                task = world.cluster.begin(NODE, "qmstart", "130", 0, lambda: "OK")
                task.log.append("node is overloaded")
                return 200, "OK", f'{{"data": "{task.upid}"}}'.encode()
            return None

        world.fake.override = asked
        provider = world.connect().provider
        with pytest.raises(Fault, match=r"runner\.halfway") as caught:
            provider.start(provider.describe(NAME))
    assert "overloaded" in caught.value.found


# -------------------------------------------------------------------------------------------------- guest agent


def test_a_key_waits_for_cloud_init_which_would_add_its_own() -> None:
    with proxmox_world() as world:
        made = world.connect().provider.create(ORDER)
        begun = world.clock.seconds
        world.connect().provider.admit(made, "opsadmin", NEXT_KEY)
        assert world.clock.seconds - begun >= 20
        assert world.cluster.vms[VMID].inside.files[KEYS] == f"{NEXT_KEY}\n"


def test_the_user_is_the_one_that_cloud_init_made_whatever_a_run_calls_its_own() -> None:
    with proxmox_world() as world:
        world.put(NAME, OWNER)
        provider = world.connect().provider
        found = provider.describe(NAME)
        assert provider.admit(found, "another", KEY) == "opsadmin"
        assert world.logins(NAME) == {" ".join(KEY.split()[:2])}
        provider.revoke(found)
        assert world.logins(NAME) == set()


@pytest.mark.parametrize("user", ["../../root", "a/b", "", "Root", "x" * 33])
def test_a_user_of_the_settings_that_would_leave_its_home_is_none(user: str) -> None:
    with proxmox_world() as world:
        world.put(NAME, OWNER)
        world.cluster.vms[VMID].config["ciuser"] = user
        provider = world.connect().provider
        assert provider.admit(provider.describe(NAME), "opsadmin", KEY) == "opsadmin"
        assert [each for each in world.cluster.vms[VMID].inside.files if each.endswith("authorized_keys")] == [KEYS]


def test_a_machine_without_an_agent_is_named() -> None:
    with proxmox_world() as world:
        world.put(NAME, OWNER)
        world.cluster.vms[VMID].inside.agent_at = None
        provider = world.connect().provider
        found = provider.describe(NAME)
        assert provider.host_keys(found) == ()
        for act in (lambda: provider.admit(found, "opsadmin", KEY), lambda: provider.revoke(found)):
            with pytest.raises(Fault) as caught:
                act()
            assert NAME in caught.value.found
        assert world.clock.seconds >= 600


def test_host_keys_of_a_machine_with_another_address_are_not_believed() -> None:
    with proxmox_world() as world:
        world.put(NAME, OWNER)
        world.boots(NAME, (HOST_KEY,), "")
        world.cluster.vms[VMID].inside.addresses = ["127.0.0.1", "10.0.0.99"]
        provider = world.connect().provider
        with pytest.raises(Fault) as caught:
            provider.host_keys(provider.describe(NAME))
    assert caught.value.gate == "runner.address"
    assert "10.0.0.99" in caught.value.found


def test_what_stands_in_a_host_key_file_is_a_key_or_nothing() -> None:
    with proxmox_world() as world:
        world.put(NAME, OWNER)
        world.boots(NAME, ("-----BEGIN OPENSSH PRIVATE KEY-----",), "")
        provider = world.connect().provider
        assert provider.host_keys(provider.describe(NAME)) == ()


# ------------------------------------------------------------------------------------------------------ way out


@pytest.mark.parametrize(
    ("routes", "neighbours", "ready", "words"),
    [
        (None, None, True, "leaves its network by 10.0.0.1"),
        ("Iface\tDestination\n", None, False, "by nothing, not by 10.0.0.1"),
        ("0100000A", "0200000A", False, "by 10.0.0.2, not by 10.0.0.1"),
        (None, "0x2", False, "10.0.0.1 does not answer"),
    ],
)
def test_a_machine_that_runs_is_asked_for_its_way_out(routes: str | None, neighbours: str | None, ready: bool, words: str) -> None:
    with proxmox_world() as world:
        world.put(NAME, OWNER)
        world.clock.sleep(30)
        files = world.cluster.vms[VMID].inside.files
        if routes == "0100000A":
            files["/proc/net/route"] = files["/proc/net/route"].replace(routes, str(neighbours))
        elif routes:
            files["/proc/net/route"] = routes
        elif neighbours:
            files["/proc/net/arp"] = files["/proc/net/arp"].replace(neighbours, "0x0")
        found = world.connect().egress.look()
    assert found.ready is ready
    assert words in found.words


def test_the_gateway_of_another_owner_s_machine_is_not_asked() -> None:
    with proxmox_world() as world:
        world.put(NAME, OTHERS[0])
        world.clock.sleep(30)
        assert world.connect().egress.look().ready
        assert not [each for each in world.fake.seen if "/agent/" in each]


def test_a_bridge_that_is_down_is_no_way_out() -> None:
    with proxmox_world() as world:
        world.cluster.bridges = {"vmbr0": 0}
        assert not world.connect().egress.look().ready


# ------------------------------------------------------------------------------------------------- what is told


def test_a_failed_clone_leaves_nothing_and_says_why() -> None:
    with proxmox_world() as world:
        world.fake.override = lambda method, path: failure(500, "storage 'gone' does not exist") if path.endswith("/clone") else None
        with pytest.raises(Refusal) as caught:
            world.connect().provider.create(ORDER)
    assert caught.value.gate == "runner.order"
    assert "storage 'gone'" in caught.value.found


def test_what_is_done_is_said() -> None:
    with proxmox_world() as world:
        provider = world.connect().provider
        made = provider.create(ORDER)
        provider.delete(made)
    assert [line.split()[0] for line in world.said] == ["cloning", "setting", "starting", "stopping", "deleting"]
    assert all(NAME in line for line in world.said)


def test_a_task_that_stands_still_is_taken_up_by_the_next_run() -> None:
    with proxmox_world() as world:
        world.cause(Trouble.NEVER)
        with pytest.raises(Fault) as caught:
            world.connect().provider.create(ORDER)
        assert "UPID:" in caught.value.found
        assert world.connect().provider.describe(NAME).state is MachineState.STARTING
        assert len([each for each in changes(world) if each.endswith("/clone")]) == 1
        world.heal()
        assert world.connect().provider.create(replace(ORDER, login_key=NEXT_KEY)).state is MachineState.RUNNING
        assert len([each for each in changes(world) if each.endswith("/clone")]) == 1
