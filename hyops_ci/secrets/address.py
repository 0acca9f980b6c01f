"""Which authority addresses may be spoken to."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from hyops_ci.errors import Exit, Refusal


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine by its spelling alone; nothing is resolved."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def check_address(origin: str, *, lab: bool) -> None:
    """Allows https, and http on loopback in class `lab`. Raises Refusal (exit 4) `secrets.address` before anything is sent."""
    parts = urlsplit(origin)
    if parts.scheme == "https" or (lab and parts.scheme == "http" and is_loopback(parts.hostname or "")):
        return
    raise Refusal(
        "secrets.address",
        "the authority would be spoken to in clear",
        exit_code=Exit.POLICY,
        found=origin,
        expected="https (http only on loopback in an env of class lab)",
        fix="give the authority a certificate and correct `vault.address`",
        docs="secrets.md",
    )
