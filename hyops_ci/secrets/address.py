"""Addresses of an authority: https only, but for labs."""

from __future__ import annotations

from hyops_ci.address import is_protected
from hyops_ci.errors import Exit, Refusal


def check_address(origin: str, *, lab: bool) -> None:
    """Require https, or http on loopback in class `lab`. Raises Refusal (exit 4) `secrets.address` before anything is sent."""
    if origin.startswith("https://") or (lab and is_protected(origin)):
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
