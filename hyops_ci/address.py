"""Addresses that a secret may be sent to, and hosts that are this one."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit

_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+", re.ASCII)
_NAMES: Final = frozenset({"", "localhost", "localhost.localdomain", "localhost4", "localhost6", "ip6-localhost", "ip6-loopback"})

_THIS_NETWORK: Final = IPv4Network("0.0.0.0/8")


def is_loopback(host: str) -> bool:
    """Return whether `host` is this machine by its spelling alone, in the one that everybody reads alike; nothing is resolved."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_this_host(host: str) -> bool:
    """Return whether a connection to `host` may end on this machine or its own link, in any spelling that a resolver takes.

    Nothing is resolved. An address in brackets is one of IPv6; a host without a name is this one.
    """
    name = host.strip("[]").partition("%")[0].rstrip(".").lower()
    if name in _NAMES or name.endswith(".localhost"):
        return True
    address = _address(name)
    return address is not None and (address.is_loopback or address.is_unspecified or address.is_link_local or address in _THIS_NETWORK)


def host_of(origin: str) -> str:
    """Return the host of `https://host:port`, one of IPv6 in its brackets. Raises ValueError for brackets that hold no address."""
    host, bracket, _ = origin.partition("://")[2].partition("]")
    if not bracket:
        return host.partition(":")[0]
    IPv6Address(host.removeprefix("["))
    return f"{host}]"


def is_protected(url: str) -> bool:
    """Return whether the connection is protected on its way: https, or http to the loopback. False for a malformed URL."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    except ValueError:
        return False


def _address(name: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a name spells, None for a name. One of IPv6 that holds one of IPv4 is that one."""
    if ":" not in name:
        return _ipv4(name)
    try:
        address = IPv6Address(name)
    except ValueError:
        return None
    inside = int(address) & 0xFFFFFFFF
    holds_ipv4 = address.ipv4_mapped is not None or (int(address) >> 32 in (0, 0x64FF9B << 64) and inside > 1)
    return IPv4Address(inside) if holds_ipv4 else address


def _ipv4(name: str) -> IPv4Address | None:
    """As `inet_aton` reads it: one to four numbers, decimal, octal (`0177`) or hexadecimal (`0x7f`), the last one of all bytes left."""
    parts = name.split(".")
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) and len(part) <= 16 for part in parts):
        return None
    try:
        *first, last = map(_number, parts)
    except ValueError:
        return None
    if any(each > 255 for each in first) or last >= 1 << 8 * (4 - len(first)):
        return None
    return IPv4Address(sum(each << 8 * (3 - place) for place, each in enumerate(first)) + last)


def _number(text: str) -> int:
    if text[:2] in ("0x", "0X"):
        return int(text[2:] or "0", 16)
    return int(text, 8 if text[0] == "0" else 10)
