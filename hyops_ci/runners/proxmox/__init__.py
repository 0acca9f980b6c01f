"""Proxmox VE: the one place that talks to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hyops_ci.contracts.clock import Clock
    from hyops_ci.contracts.runner_machine import ProxmoxMachine
    from hyops_ci.runners.ports import Adapters, Owner, Reach


def adapters_for(machine: ProxmoxMachine, reach: Reach) -> Adapters:
    """Return what reaches the Proxmox VE of this machine. Raises Refusal on a machine of GitHub's, before the token is read."""
    from hyops_ci.runners.proxmox.management import refuse_hosted

    if reach.runner_environment is not None:
        refuse_hosted(machine, reach.runner_environment, reach.runner)
    return connect(machine, reach.owner, reach.secret(machine.token), reach.clock, reach.say)


def connect(machine: ProxmoxMachine, owner: Owner, token: str, clock: Clock, say: Callable[[str], None]) -> Adapters:
    """Return what reaches the Proxmox VE of this machine. Nothing is asked before the first call.

    `token`: `<user>@<realm>!<id>=<uuid>`, as the authority keeps it. Raises Refusal for one that is none.
    """
    from hyops_ci.runners.bastion import ThroughBastion
    from hyops_ci.runners.ports import Access, Adapters
    from hyops_ci.runners.proxmox.api import Api
    from hyops_ci.runners.proxmox.look import Place
    from hyops_ci.runners.proxmox.network import Direct, Gateway
    from hyops_ci.runners.proxmox.provider import ProxmoxProvider

    place = Place(Api(machine.api, token, clock, fingerprint=(machine.fingerprint or "").replace(":", "")), machine, owner)
    access: Access = ThroughBastion(machine.bastion, clock) if machine.bastion else Direct()
    return Adapters(ProxmoxProvider(place, clock, say), Gateway(place), access)
