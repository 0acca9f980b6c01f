"""The state behind the fake: machines, their guests, tasks that take their time, and what is told to go wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.runners.proxmox_fake.privileges import Acl
from tests.runners.world import Trouble
from tests.support.clock import Clock

NODE, OTHER_NODE = "pve1", "pve2"
TEMPLATE, VMID = 9000, 130
POOL, STORAGE, BRIDGE = "dr-runners", "local-lvm", "vmbr0"
TOKEN_USER, TOKEN_ID = "dr@pve", "bootstrap"
AGENT_UP, SETTLED = 12.0, 20.0
"""Seconds from a start until the guest agent answers, and until cloud-init is done."""
VM_PRIVILEGES = {
    "VM.Allocate",
    "VM.Audit",
    "VM.Config.CPU",
    "VM.Config.Cloudinit",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.Options",
    "VM.GuestAgent.Audit",
    "VM.GuestAgent.FileRead",
    "VM.GuestAgent.FileWrite",
    "VM.PowerMgmt",
}


def least_rights() -> dict[str, set[str]]:
    """What docs/runners-proxmox.md gives the token."""
    return {
        f"/pool/{POOL}": set(VM_PRIVILEGES),
        f"/vms/{TEMPLATE}": {"VM.Audit", "VM.Clone"},
        f"/storage/{STORAGE}": {"Datastore.AllocateSpace"},
        f"/sdn/zones/localnetwork/{BRIDGE}": {"SDN.Use"},
    }


@dataclass
class Inside:
    """The operating system of a machine."""

    files: dict[str, str] = field(default_factory=dict)
    agent_at: float | None = None
    settled_at: float | None = None
    instance: str = ""
    addresses: list[str] = field(default_factory=list)


@dataclass
class Vm:
    vmid: int
    node: str
    config: dict[str, Any]
    pool: str = ""
    running: bool = False
    kind: str = "qemu"
    disks: int = 1
    inside: Inside = field(default_factory=Inside)

    @property
    def digest(self) -> str:
        return hashlib.sha1(repr(sorted(self.config.items())).encode()).hexdigest()

    @property
    def paths(self) -> tuple[str, ...]:
        return (f"/vms/{self.vmid}", *([f"/pool/{self.pool}"] if self.pool else []))


@dataclass
class Task:
    upid: str
    node: str
    kind: str
    id: str
    begun: float
    ends: float
    log: list[str]
    halfway: Callable[[], None] | None
    effect: Callable[[], str]
    """What it does at its end; returns its exit status."""
    exit: str = ""


@dataclass
class Cluster:
    clock: Clock
    acl: Acl = field(default_factory=lambda: Acl(least_rights()))
    vms: dict[int, Vm] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    bridges: dict[str, int] = field(default_factory=lambda: {BRIDGE: 1})
    troubles: set[Trouble] = field(default_factory=set)
    template_node: str = NODE

    def __post_init__(self) -> None:
        config = {
            "name": "debian-12",
            "template": 1,
            "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1",
            "scsi0": f"{STORAGE}:base-9000-disk-0",
        }
        self.vms[TEMPLATE] = Vm(TEMPLATE, self.template_node, {**config, "memory": "2048", "cores": 1}, disks=0)

    # ------------------------------------------------------------------------------------------------- tasks

    def begin(
        self, node: str, kind: str, name: str, seconds: float, effect: Callable[[], str], halfway: Callable[[], None] | None = None
    ) -> Task:
        if Trouble.SLOW in self.troubles:
            seconds = 90.0
        if Trouble.NEVER in self.troubles:
            seconds = float("inf")
        number = len(self.tasks) + 1
        upid = f"UPID:{node}:{number:08X}:{number:08X}:{int(self.clock.now().timestamp()):08X}:{kind}:{name}:{TOKEN_USER}!{TOKEN_ID}:"
        now = self.clock.seconds
        task = Task(upid, node, kind, name, now, now + seconds, [], halfway, effect)
        self.tasks[upid] = task
        return task

    def pass_time(self) -> None:
        for task in list(self.tasks.values()):
            if task.exit:
                continue
            if task.halfway and self.clock.seconds >= task.begun + min(task.ends - task.begun, 1e9) / 2:
                task.halfway()
                task.halfway = None
            if self.clock.seconds >= task.ends:
                task.exit = task.effect()
                task.log.append(f"TASK {'OK' if task.exit == 'OK' else f'ERROR: {task.exit}'}")

    def heal(self) -> None:
        self.troubles.clear()
        for task in self.tasks.values():
            if task.ends == float("inf"):
                task.ends = self.clock.seconds

    # ------------------------------------------------------------------------------------------------ machines

    def clone(self, values: dict[str, str]) -> Task:
        newid, node = int(values["newid"]), values.get("target", self.template_node)
        vm = Vm(newid, self.template_node, {"description": "qmclone temporary file\n", "lock": "clone"}, disks=0)
        full = {name: value for name, value in self.vms[TEMPLATE].config.items() if name != "template"}
        full |= {
            "name": values["name"],
            "description": values.get("description", "") + "\n",
            "net0": f"virtio=BC:24:11:00:00:{newid % 100:02},bridge=vmbr0,firewall=1",
        }
        troubles = set(self.troubles)

        def halfway() -> None:
            if newid in self.vms:
                vm.config = {**full, "lock": "clone"}
                vm.disks = 1

        def effect() -> str:
            for trouble, words in (
                (Trouble.QUOTA, "clone failed: copy failed: qemu-img: error while writing: Disk quota exceeded"),
                (Trouble.NO_ROOM, "clone failed: lvcreate error: insufficient free space: 10 extents needed, but only 2 available"),
                (Trouble.NO_ROOM_ANYWHERE, "clone failed: unable to create image: No space left on device"),
            ):
                if trouble in troubles:
                    self.vms.pop(newid, None)
                    return words
            vm.config, vm.node, vm.pool, vm.disks = full, node, values.get("pool", ""), 1
            return "OK"

        self.vms[newid] = vm
        task = self.begin(self.template_node, "qmclone", str(TEMPLATE), 20.0, effect, halfway)
        task.log.append(f"creating a clone of VM {TEMPLATE} with ID {newid}")
        return task

    def start(self, vm: Vm) -> Task:
        broken = Trouble.HALFWAY in self.troubles

        def effect() -> str:
            if broken:
                return "start failed: QEMU exited with code 1"
            vm.running = True
            self.boot(vm)
            return "OK"

        task = self.begin(vm.node, "qmstart", str(vm.vmid), 3.0, effect)
        if broken:
            task.log.append("kvm: no bootable device; grub rescue>")
        return task

    def boot(self, vm: Vm) -> None:
        """As cloud-init does: for a configuration it has not seen, it adds the user's key to those that are there."""
        now, inside = self.clock.seconds, vm.inside
        inside.agent_at, inside.settled_at = now + AGENT_UP, now + SETTLED
        seen = repr([(name, vm.config.get(name)) for name in ("ciuser", "sshkeys", "ipconfig0")])
        address = str(vm.config.get("ipconfig0", "")).partition("ip=")[2].partition("/")[0]
        inside.addresses = ["127.0.0.1", *([address] if address else [])]
        if seen != inside.instance:
            inside.instance = seen
            key = unquote(str(vm.config.get("sshkeys", ""))).strip()
            path = f"/home/{vm.config.get('ciuser', 'debian')}/.ssh/authorized_keys"
            present = inside.files.get(path, "")
            if key and key not in present:
                inside.files[path] = f"{present}{key}\n"
        inside.files["/proc/net/route"] = ROUTES
        inside.files["/proc/net/arp"] = NEIGHBOURS


ROUTES = (
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    "eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    "eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
)
NEIGHBOURS = (
    "IP address       HW type     Flags       HW address            Mask     Device\n"
    "10.0.0.1         0x1         0x2         bc:24:11:aa:bb:cc     *        eth0\n"
)
