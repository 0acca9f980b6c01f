"""The way out and the way in of a machine on the management network: the first is looked at and never made, the second is direct."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from typing import Final

from hyops_ci.dataclass import dataclass
from hyops_ci.runners import troubles
from hyops_ci.runners.ports import EgressState, Machine, MachineState
from hyops_ci.runners.proxmox import answers, faults
from hyops_ci.runners.proxmox.api import ApiError
from hyops_ci.runners.proxmox.guest import NEIGHBOURS, ROUTES, AgentSilentError, Guest
from hyops_ci.runners.proxmox.look import Place

SSH: Final = 22


@dataclass(frozen=True)
class Gateway:
    """The gateway of the site. Before the machine is up, its bridge is all that can be seen; then the machine itself is asked."""

    place: Place

    def look(self) -> EgressState:
        """Return whether the machine's bridge is there and, where it runs, whether its gateway answers it."""
        settings = self.place.settings
        with faults.named(f"{settings.bridge} of {settings.node}, for id {settings.vmid}"):
            bridges = answers.bridges(self.place.api.get("nodes", settings.node, "network", type="any_bridge"))
            if not bridges.get(settings.bridge, False):
                return EgressState(False, f"{settings.node} has no bridge {settings.bridge} that is up and that the token may use")
            machine = self.place.standing()
            if machine and machine.state is MachineState.RUNNING:
                try:
                    return self._from_inside(Guest(self.place.api, machine))
                except AgentSilentError:
                    pass
        return EgressState(
            True, f"{settings.bridge} is up on {settings.node}; the gateway {settings.gateway} is seen from the machine only"
        )

    def make(self) -> EgressState:
        """Return what `look` does. Raises Refusal where there is none: the site's network is not this project's to change."""
        state = self.look()
        if not state.ready:
            settings = self.place.settings
            raise troubles.no_way_out(
                state.words,
                f"bring {settings.bridge} of {settings.node} and the gateway {settings.gateway} up, or correct them in the config",
            )
        return state

    def _from_inside(self, guest: Guest) -> EgressState:
        gateway = self.place.settings.gateway
        routes = default_gateways(guest.read(ROUTES) or "")
        if gateway not in routes:
            return EgressState(False, f"the machine leaves its network by {', '.join(routes) or 'nothing'}, not by {gateway}")
        if gateway in silent_neighbours(guest.read(NEIGHBOURS) or ""):
            return EgressState(False, f"the gateway {gateway} does not answer the machine")
        return EgressState(True, f"the machine leaves its network by {gateway}")


@dataclass
class Direct:
    """From the management runner, which is in the machine's own network."""

    words: str = "directly on the management network"

    @contextmanager
    def connect(self, machine: Machine, timeout: float) -> Iterator[socket.socket]:
        """Yield a socket that is connected to the machine's port 22."""
        if not machine.address:
            raise OSError(f"{machine.resource} has no address")
        with socket.create_connection((machine.address, SSH), timeout) as way:
            yield way


def default_gateways(routes: str) -> tuple[str, ...]:
    """Return the gateways of the default routes of `/proc/net/route`."""
    rows = [line.split() for line in routes.splitlines()[1:]]
    return tuple(_address(row[2]) for row in rows if len(row) > 7 and row[1] == row[7] == "00000000" and len(row[2]) == 8)


def silent_neighbours(table: str) -> frozenset[str]:
    """Return the addresses of `/proc/net/arp` that were asked for and did not answer."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return frozenset(row[0] for row in rows if len(row) > 3 and row[2] == "0x0")


def _address(text: str) -> str:
    """Return an address that the kernel shows as one number in the machine's own order of bytes."""
    try:
        return str(IPv4Address(int.from_bytes(bytes.fromhex(text), "little")))
    except ValueError:
        raise ApiError(200, "the routes of the machine cannot be read", readable=False) from None
