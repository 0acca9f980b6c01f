"""What a machine is set to: the config's size and network, and who logs in first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote

from hyops_ci.contracts.runner_machine import ProxmoxMachine
from hyops_ci.runners.proxmox import marks
from hyops_ci.runners.proxmox.answers import Config

_MAC: Final = re.compile(r"[a-z0-9-]+(=[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5})?")
_ADDRESS: Final = re.compile(r"(?:^|,)ip=([0-9.]{7,15})/")


def settings(machine: ProxmoxMachine, config: Config, noted: Mapping[str, str]) -> dict[str, str | int]:
    """Return all settings of a clone that has those of its template still, in the form of the API."""
    return {
        **(login(noted[marks.USER], noted[marks.KEY]) if marks.USER in noted and marks.KEY in noted else {}),
        "ciupgrade": 0,
        "ipconfig0": f"ip={machine.address},gw={machine.gateway}",
        "cores": machine.cores,
        "memory": machine.memory_mb,
        "net0": _network(machine, config.get("net0")),
        "agent": "enabled=1",
        "onboot": 1,
        "tags": marks.TAG,
        "description": marks.write({**noted, marks.SETTLED: "applied"}),
    }


def login(user: str, key: str) -> dict[str, str | int]:
    """Return the settings by which cloud-init lets the holder of a key in."""
    return {"ciuser": user, "sshkeys": quote(key.strip(), safe="")}


def login_key(config: Config) -> str:
    """Return the key that cloud-init lets in at a first start; empty where there is none."""
    return unquote(config.get("sshkeys")).strip()


def address(config: Config) -> str:
    """Return the address that a machine is set to; empty where it is set to none."""
    match = _ADDRESS.search(config.get("ipconfig0"))
    return match[1] if match else ""


def _network(machine: ProxmoxMachine, present: str) -> str:
    """Return the first card: the clone's own, with its MAC address, on the bridge and VLAN of the config."""
    card, *options = present.split(",") if present else ["virtio"]
    kept = [option for option in options if not option.startswith(("bridge=", "tag=", "trunks="))]
    wanted = [f"bridge={machine.bridge}", *([f"tag={machine.vlan}"] if machine.vlan else [])]
    return ",".join([card if _MAC.fullmatch(card) else "virtio", *wanted, *kept])
