"""Host keys as cloud-init prints them on the console at the first boot."""

from __future__ import annotations

import re
from typing import Final

BEGIN: Final = "-----BEGIN SSH HOST KEY KEYS-----"
END: Final = "-----END SSH HOST KEY KEYS-----"
_KEY: Final = re.compile(r"\b((?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) [A-Za-z0-9+/]{20,2000}={0,2})(?=\s|$)")


def printed_keys(console: str) -> tuple[str, ...]:
    """Return the public keys of the last whole block of a console; none where there is no such block."""
    _, found, rest = console.rpartition(BEGIN)
    block, whole, _ = rest.partition(END)
    return tuple(dict.fromkeys(_KEY.findall(block))) if found and whole else ()
