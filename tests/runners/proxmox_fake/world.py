"""The fake as the contract suite wants it: `World`."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from hyops_ci.contracts.runner_machine import ProxmoxMachine
from hyops_ci.runners import proxmox
from hyops_ci.runners.ports import Adapters, MachineOrder, MachineState, Owner
from hyops_ci.runners.proxmox import marks
from hyops_ci.runners.proxmox.api import _Wire
from tests.runners.proxmox_fake.server import TOKEN, Fake, serving
from tests.runners.proxmox_fake.state import BRIDGE, NODE, OTHER_NODE, POOL, STORAGE, TEMPLATE, VMID, Cluster, Vm
from tests.runners.world import KEY, NAME, OWNER, Cut, Trouble
from tests.support.clock import Clock

ADDRESS, GATEWAY = "10.0.0.30", "10.0.0.1"
KEYS = "/home/opsadmin/.ssh/authorized_keys"


def machine(fake: Fake, **changes: Any) -> ProxmoxMachine:
    found = {
        "provider": "proxmox",
        "api": f"https://127.0.0.1:{fake.port}",
        "fingerprint": fake.fingerprint,
        "token": "proxmox/bootstrap#token",
        "node": NODE,
        "template": TEMPLATE,
        "vmid": VMID,
        "pool": POOL,
        "storage": STORAGE,
        "bridge": BRIDGE,
        "address": f"{ADDRESS}/24",
        "gateway": GATEWAY,
        "management_runner": ("self-hosted", "mgmt"),
    }
    return ProxmoxMachine.model_validate({**found, **changes})


@dataclass
class ProxmoxWorld:
    """A cluster behind its API."""

    fake: Fake
    places: int = 1
    said: list[str] = field(default_factory=list)
    changes: dict[str, Any] = field(default_factory=dict)
    """Of the settings that `connect` takes."""

    @property
    def cluster(self) -> Cluster:
        return self.fake.cluster

    @property
    def clock(self) -> Clock:
        return self.cluster.clock

    def connect(self, owner: Owner = OWNER, *, may_make_egress: bool = False) -> Adapters:
        return proxmox.connect(machine(self.fake, **self.changes), owner, TOKEN, self.clock, self.said.append)

    def put(self, name: str, owner: Owner | None, state: MachineState = MachineState.RUNNING, *, place: int = 0) -> None:
        taken = self.cluster.vms
        vmid = VMID if name == NAME and VMID not in taken else max(*taken, VMID) + 1
        if state is MachineState.STARTING:
            self._clone(name, owner, vmid)
            return
        vm = Vm(vmid, (NODE, OTHER_NODE)[place], self._config(name, owner), pool=POOL)
        taken[vmid] = vm
        vm.inside.files[KEYS] = ""
        if state is MachineState.RUNNING:
            vm.running = True
            self.cluster.boot(vm)

    def machines(self) -> list[str]:
        self.cluster.pass_time()
        return [str(vm.config.get("name", NAME)) for vm in self.cluster.vms.values() if vm.vmid != TEMPLATE]

    def disks(self) -> int:
        return sum(vm.disks for vm in self.cluster.vms.values())

    def logins(self, name: str) -> set[str]:
        vm = self._named(name)
        keys = [text for path, text in vm.inside.files.items() if path.endswith("/.ssh/authorized_keys")]
        return {" ".join(line.split()[:2]) for text in keys for line in text.splitlines() if line}

    def boots(self, name: str, keys: tuple[str, ...], console: str) -> None:
        inside = self._named(name).inside
        inside.agent_at = inside.settled_at = self.clock.seconds
        inside.files["/var/log/cloud-init-output.log"] = console
        for path, key in zip(("/etc/ssh/ssh_host_ed25519_key.pub", "/etc/ssh/ssh_host_ecdsa_key.pub"), keys, strict=False):
            inside.files[path] = f"{key} root@{name}\n"

    def cause(self, trouble: Trouble) -> None:
        self.cluster.troubles.add(trouble)
        if trouble is Trouble.BAD_ORDER:
            del self.cluster.vms[TEMPLATE]

    def heal(self) -> None:
        self.cluster.heal()

    def way_out(self, there: bool) -> None:
        self.cluster.bridges = {BRIDGE: 1} if there else {}

    def ways_out(self) -> int:
        return len(self.cluster.bridges)

    @contextmanager
    def cut(self, at: int, *, done: bool) -> Iterator[Cut]:
        cut, whole = Cut(at, done), _Wire.request
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_Wire, "request", lambda wire, *args, **values: cut.around(lambda: whole(wire, *args, **values)))
            yield cut

    def _named(self, name: str) -> Vm:
        return next(vm for vm in self.cluster.vms.values() if vm.config.get("name") == name)

    def _config(self, name: str, owner: Owner | None) -> dict[str, Any]:
        found = {
            "name": name,
            "agent": "1",
            "ipconfig0": f"ip={ADDRESS}/24,gw={GATEWAY}",
            "ciuser": "opsadmin",
            "net0": "virtio,bridge=vmbr0",
        }
        noted = {**owner.labels(), marks.MADE: "2026-11-01T00:00:00Z", marks.SETTLED: "applied"} if owner else {}
        return {**found, "description": marks.write(noted) + "\n"}

    def _clone(self, name: str, owner: Owner | None, vmid: int) -> None:
        assert owner is not None
        order = MachineOrder(name, "00000000-0000-5000-8000-000000000000", owner, "opsadmin", KEY)
        self.cluster.clone({"newid": str(vmid), "name": name, "pool": POOL, "description": marks.write(marks.of_order(order, self.clock))})
        self.cluster.vms[vmid].pool = POOL  # as up to 8.x, where a clone belongs to the pool from its beginning; later, at its end
        self.clock.sleep(12)
        self.cluster.pass_time()


@contextmanager
def proxmox_world(clock: Clock | None = None) -> Iterator[ProxmoxWorld]:
    """Yield a new cluster; whatever reaches for a machine's port 22 finds a greeting, where the machine runs."""
    with serving(Cluster(clock or Clock())) as fake, greeting() as port, pytest.MonkeyPatch.context() as patch:
        world, dial = ProxmoxWorld(fake), socket.create_connection

        def connected(address: tuple[str, int], *args: Any, **values: Any) -> socket.socket:
            if address != (ADDRESS, 22):
                return dial(address, *args, **values)
            if not any(vm.running for vm in fake.cluster.vms.values()):
                raise ConnectionRefusedError
            return dial(("127.0.0.1", port), *args, **values)

        patch.setattr(socket, "create_connection", connected)
        yield world


@contextmanager
def greeting() -> Iterator[int]:
    """Yield the port of something that greets as an SSH server does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            while True:
                try:
                    with listener.accept()[0] as way:
                        way.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                except OSError:
                    return

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)
