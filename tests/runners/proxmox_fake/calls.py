"""The calls of the API that the fake has, with what each of them asks and does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.runners.proxmox_fake.privileges import AGENT
from tests.runners.proxmox_fake.state import POOL, STORAGE, TOKEN_ID, TOKEN_USER, Cluster, Task, Vm

_VM = "/nodes/{node}/qemu/{vmid}"
ROUTES = {
    ("GET", "/cluster/resources"): "resources",
    ("GET", "/cluster/nextid"): "next_id",
    ("GET", "/nodes/{node}/network"): "network",
    ("GET", "/nodes/{node}/tasks"): "task_list",
    ("GET", "/nodes/{node}/tasks/{upid}/status"): "task_status",
    ("GET", "/nodes/{node}/tasks/{upid}/log"): "task_log",
    ("GET", f"{_VM}/config"): "config",
    ("PUT", f"{_VM}/config"): "set_config",
    ("GET", f"{_VM}/status/current"): "status",
    ("POST", f"{_VM}/status/start"): "start",
    ("POST", f"{_VM}/status/stop"): "stop",
    ("POST", f"{_VM}/clone"): "clone",
    ("DELETE", _VM): "destroy",
    ("GET", f"{_VM}/agent/file-read"): "file_read",
    ("POST", f"{_VM}/agent/file-write"): "file_write",
    ("GET", f"{_VM}/agent/network-get-interfaces"): "interfaces",
}


class Failed(Exception):
    """An answer that is an error."""

    def __init__(self, words: str, status: int = 500, errors: dict[str, str] | None = None) -> None:
        self.words, self.status, self.errors = words, status, errors
        super().__init__(words)


@dataclass
class Calls:
    cluster: Cluster

    # ------------------------------------------------------------------------------------------------ cluster

    def resources(self, values: dict[str, str]) -> Any:
        acl = self.cluster.acl
        rows = []
        for vm in self.cluster.vms.values():
            if acl.has(vm.paths, "VM.Audit"):
                row = {
                    "id": f"{vm.kind}/{vm.vmid}",
                    "vmid": vm.vmid,
                    "node": vm.node,
                    "type": vm.kind,
                    "status": "running" if vm.running else "stopped",
                }
                row |= {"name": vm.config["name"], "template": int(bool(vm.config.get("template")))} if "name" in vm.config else {}
                rows.append(row | ({"lock": vm.config["lock"]} if "lock" in vm.config else {}))
        return rows

    def next_id(self, values: dict[str, str]) -> Any:
        vmid = int(values["vmid"])
        if vmid in self.cluster.vms:
            raise Failed("Parameter verification failed.", 400, {"vmid": f"VM {vmid} already exists"})
        return vmid

    def network(self, values: dict[str, str], node: str) -> Any:
        shown = [name for name in self.cluster.bridges if self.cluster.acl.has((f"/sdn/zones/localnetwork/{name}",), "SDN.Use")]
        return [{"iface": name, "type": "bridge", **({"active": 1} if self.cluster.bridges[name] else {})} for name in shown]

    # -------------------------------------------------------------------------------------------------- tasks

    def task_list(self, values: dict[str, str], node: str) -> Any:
        rows = []
        for task in reversed(self.cluster.tasks.values()):
            fits = task.node == node and task.kind == values.get("typefilter", task.kind) and task.id == values.get("vmid", task.id)
            if fits and (not task.exit or values.get("source") == "all"):
                row = {
                    "upid": task.upid,
                    "node": node,
                    "pid": 1,
                    "pstart": 1,
                    "starttime": 1,
                    "type": task.kind,
                    "id": task.id,
                    "user": TOKEN_USER,
                }
                rows.append({**row, "tokenid": TOKEN_ID, "status": task.exit or "RUNNING"})
        return rows[: int(values.get("limit", 50))]

    def task_status(self, values: dict[str, str], node: str, upid: str) -> Any:
        task = self._task(upid)
        found = {"upid": upid, "node": node, "pid": 1, "pstart": 1, "starttime": 1, "type": task.kind, "id": task.id, "user": TOKEN_USER}
        return {**found, "tokenid": TOKEN_ID, **({"status": "stopped", "exitstatus": task.exit} if task.exit else {"status": "running"})}

    def task_log(self, values: dict[str, str], node: str, upid: str) -> Any:
        return [{"n": number, "t": line} for number, line in enumerate(self._task(upid).log, 1)]

    def _task(self, upid: str) -> Task:
        if upid not in self.cluster.tasks:
            raise Failed("no such task", 400, {"upid": "no such task"})
        return self.cluster.tasks[upid]

    # ----------------------------------------------------------------------------------------------- machines

    def clone(self, values: dict[str, str], node: str, vmid: str) -> Any:
        cluster, acl = self.cluster, self.cluster.acl
        template = cluster.vms.get(int(vmid))
        acl.need((f"/vms/{vmid}",), "VM.Clone")
        pool = values.get("pool", "")
        acl.need((f"/vms/{values['newid']}", *([f"/pool/{pool}"] if pool else [])), "VM.Allocate")
        if template is None or template.node != node:
            raise Failed(f"Configuration file 'nodes/{node}/qemu-server/{vmid}.conf' does not exist")
        storage = values.get("storage", STORAGE)
        if storage != STORAGE:
            raise Failed(f"storage '{storage}' does not exist")
        acl.need((f"/storage/{storage}",), "Datastore.AllocateSpace")
        acl.need(("/sdn/zones/localnetwork/vmbr0",), "SDN.Use")
        if pool and pool != POOL:
            raise Failed(f"pool '{pool}' does not exist")
        if int(values["newid"]) in cluster.vms:
            raise Failed(f"unable to create VM {values['newid']}: config file already exists")
        return cluster.clone(values).upid

    def config(self, values: dict[str, str], node: str, vmid: str) -> Any:
        vm = self._vm(node, vmid)
        self.cluster.acl.need(vm.paths, "VM.Audit")
        return {**vm.config, "digest": vm.digest}

    def set_config(self, values: dict[str, str], node: str, vmid: str) -> Any:
        vm = self._vm(node, vmid)
        self.cluster.acl.need_settings(vm.paths, values)
        self._unlocked(vm)
        if values.pop("digest", vm.digest) != vm.digest:
            raise Failed("detected modified configuration - file changed by other user? Try again.")
        if "net0" in values:
            bridge = values["net0"].partition("bridge=")[2].partition(",")[0]
            self.cluster.acl.need((f"/sdn/zones/localnetwork/{bridge}",), "SDN.Use")
        for name in filter(None, values.pop("delete", "").split(",")):
            vm.config.pop(name, None)
        numbers = {"cores", "onboot", "ciupgrade"}
        vm.config |= {name: int(value) if name in numbers else value for name, value in values.items()}
        return None

    def status(self, values: dict[str, str], node: str, vmid: str) -> Any:
        vm = self._vm(node, vmid)
        self.cluster.acl.need(vm.paths, "VM.Audit")
        state = "running" if vm.running else "stopped"
        return {"vmid": vm.vmid, "status": state, "qmpstatus": state, "ha": {"managed": 0}}

    def start(self, values: dict[str, str], node: str, vmid: str) -> Any:
        vm = self._vm(node, vmid)
        self.cluster.acl.need(vm.paths, "VM.PowerMgmt")
        self._unlocked(vm)
        if vm.running:
            raise Failed(f"VM {vmid} already running")
        return self.cluster.start(vm).upid

    def stop(self, values: dict[str, str], node: str, vmid: str) -> Any:
        vm = self._vm(node, vmid)
        self.cluster.acl.need(vm.paths, "VM.PowerMgmt")

        def effect() -> str:
            vm.running, vm.inside.agent_at = False, None
            return "OK"

        return self.cluster.begin(node, "qmstop", vmid, 2.0, effect).upid

    def destroy(self, values: dict[str, str], node: str, vmid: str) -> Any:
        vm = self._vm(node, vmid)
        self.cluster.acl.need(vm.paths, "VM.Allocate")
        self._unlocked(vm)
        if vm.running:
            raise Failed(f"VM {vmid} is running - destroy failed")

        def effect() -> str:
            self.cluster.vms.pop(vm.vmid, None)
            self.cluster.acl.rights.pop(f"/vms/{vmid}", None)  # as the API does: only what a pool gives is left
            return "OK"

        return self.cluster.begin(node, "qmdestroy", vmid, 2.0, effect).upid

    def _vm(self, node: str, vmid: str) -> Vm:
        vm = self.cluster.vms.get(int(vmid))
        if vm is None or vm.node != node:
            raise Failed(f"Configuration file 'nodes/{node}/qemu-server/{vmid}.conf' does not exist")
        return vm

    @staticmethod
    def _unlocked(vm: Vm) -> None:
        if lock := vm.config.get("lock"):
            raise Failed(f"VM is locked ({lock})")

    # -------------------------------------------------------------------------------------------- guest agent

    def file_read(self, values: dict[str, str], node: str, vmid: str) -> Any:
        vm = self._agent(node, vmid, "file-read")
        path, seconds = values["file"], self.cluster.clock.seconds
        if path == "/run/cloud-init/result.json" and vm.inside.settled_at is not None and seconds >= vm.inside.settled_at:
            return {"content": "{}", "bytes-read": 2}
        if path not in vm.inside.files:
            raise Failed(f"Agent error: failed to open file '{path}' (mode: 'r'): No such file or directory")
        content = vm.inside.files[path]
        count = int(values.get("count", 16 << 20))
        return {"content": content[:count], "bytes-read": min(count, len(content)), **({"truncated": 1} if len(content) > count else {})}

    def file_write(self, values: dict[str, str], node: str, vmid: str) -> Any:
        vm = self._agent(node, vmid, "file-write")
        if values["file"] not in vm.inside.files:
            raise Failed(f"Agent error: failed to open file '{values['file']}' (mode: 'w'): No such file or directory")
        vm.inside.files[values["file"]] = values["content"]
        return None

    def interfaces(self, values: dict[str, str], node: str, vmid: str) -> Any:
        vm = self._agent(node, vmid, "network-get-interfaces")
        shown = [{"ip-address": each, "ip-address-type": "ipv4", "prefix": 24} for each in vm.inside.addresses]
        return {"result": [{"name": "eth0", "hardware-address": "bc:24:11:00:00:30", "ip-addresses": shown}, {"name": "lo"}]}

    def _agent(self, node: str, vmid: str, command: str) -> Vm:
        vm = self._vm(node, vmid)
        self.cluster.acl.need(vm.paths, AGENT[command])
        if not vm.config.get("agent"):
            raise Failed("No QEMU guest agent configured")
        if not vm.running:
            raise Failed(f"VM {vmid} is not running")
        if vm.inside.agent_at is None or self.cluster.clock.seconds < vm.inside.agent_at:
            raise Failed("QEMU guest agent is not running")
        return vm
