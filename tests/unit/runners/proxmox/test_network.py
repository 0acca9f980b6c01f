"""The kernel's tables of a Linux machine, as its guest agent reads them."""

from __future__ import annotations

import socket
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.runners.ports import Machine, MachineState
from hyops_ci.runners.proxmox.api import ApiError
from hyops_ci.runners.proxmox.network import Direct, default_gateways, silent_neighbours

ROUTE = "eth0\t{}\t{}\t0003\t0\t0\t0\t{}\t0\t0\t0\n"


@given(st.ip_addresses(v=4))
def test_a_default_route_is_found(address: object) -> None:
    packed = socket.inet_aton(str(address))[::-1].hex().upper()
    table = "Iface\n" + ROUTE.format("0000000A", "00000000", "00FFFFFF") + ROUTE.format("00000000", packed, "00000000")
    assert default_gateways(table) == (str(address),)


@given(st.text())
def test_any_table_is_read(table: str) -> None:
    with suppress(ApiError):
        assert isinstance(default_gateways(table), tuple)
    assert isinstance(silent_neighbours(table), frozenset)


def test_a_gateway_that_is_no_number_is_refused() -> None:
    with pytest.raises(ApiError):
        default_gateways("Iface\n" + ROUTE.format("00000000", "XXXXXXXX", "00000000"))


def test_a_machine_without_an_address_is_not_reached() -> None:
    with pytest.raises(OSError, match="no address"), Direct().connect(Machine("x", MachineState.ABSENT), 1):
        pass
