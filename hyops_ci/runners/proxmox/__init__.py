"""Proxmox VE: the one place that talks to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hyops_ci.contracts.clock import Clock
    from hyops_ci.contracts.runner_machine import ProxmoxMachine
    from hyops_ci.runners.ports import Adapters, Owner


def connect(machine: ProxmoxMachine, owner: Owner, token: str, clock: Clock, say: Callable[[str], None]) -> Adapters:
    """Return what reaches the Proxmox VE of this machine. Nothing is asked before the first call.

    `token`: `<user>@<realm>!<id>=<uuid>`, as the authority keeps it. Raises Refusal for one that is none.
    """
    from hyops_ci.runners.ports import Adapters
    from hyops_ci.runners.proxmox.api import Api
    from hyops_ci.runners.proxmox.look import Place
    from hyops_ci.runners.proxmox.network import Direct, Gateway
    from hyops_ci.runners.proxmox.provider import ProxmoxProvider

    place = Place(Api(machine.api, token, clock, fingerprint=(machine.fingerprint or "").replace(":", "")), machine, owner)
    return Adapters(ProxmoxProvider(place, clock, say), Gateway(place), Direct())
