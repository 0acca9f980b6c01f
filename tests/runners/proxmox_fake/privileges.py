"""What each call asks of the token, as Proxmox VE's own source has it (qemu-server 9.2.6, pve-manager of its time).

`permissions` of the modules below `PVE/API2`: `Qemu.pm`, `Qemu/Agent.pm`, `Cluster.pm`, `Network.pm`, `Tasks.pm`; for settings
`check_vm_modify_config_perm`; for bridges `check_bridge_access`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

AGENT = {
    "file-read": "VM.GuestAgent.FileRead",
    "file-write": "VM.GuestAgent.FileWrite",
    "network-get-interfaces": "VM.GuestAgent.Audit",
}
SETTINGS = {
    "cores": "VM.Config.CPU",
    "memory": "VM.Config.Memory",
    "agent": "VM.Config.Options",
    "onboot": "VM.Config.Options",
    "description": "VM.Config.Options",
    "tags": "VM.Config.Options",
    "net": "VM.Config.Network",
    "ipconfig": "VM.Config.Cloudinit",
    "ciuser": "VM.Config.Cloudinit",
    "ciupgrade": "VM.Config.Cloudinit",
    "sshkeys": "VM.Config.Cloudinit",
}


class Denied(Exception):
    """403."""


@dataclass
class Acl:
    """The rights of the one token, by path, and which of them were needed."""

    rights: dict[str, set[str]]
    used: set[tuple[str, str]] = field(default_factory=set)

    def has(self, paths: tuple[str, ...], privilege: str) -> bool:
        for path in paths:
            if privilege in self.rights.get(path, set()):
                self.used.add((path, privilege))
                return True
        return False

    def need(self, paths: tuple[str, ...], privilege: str) -> None:
        if not self.has(paths, privilege):
            raise Denied(f"Permission check failed ({paths[0]}, {privilege})")

    def need_settings(self, paths: tuple[str, ...], values: Mapping[str, str]) -> None:
        names = [*values, *values.get("delete", "").split(",")]
        for name in names:
            if name and name not in ("digest", "delete"):
                self.need(paths, SETTINGS[name.rstrip("0123456789")])
