"""Host keys as cloud-init prints them on the console at the first boot."""

from __future__ import annotations

import re
from typing import Final

BEGIN: Final = "-----BEGIN SSH HOST KEY KEYS-----"
END: Final = "-----END SSH HOST KEY KEYS-----"
_KEY: Final = re.compile(r"\b((?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) [A-Za-z0-9+/]{20,2000}={0,2})(?=\s|$)")


def printed_keys(console: str) -> tuple[str, ...]:
    """Return the public keys of the whole blocks of a console; none where there is no such block, or two say different keys.

    A program of the machine may be able to print there, too: it can then spoil what the boot printed, and put nothing in its place.
    """
    blocks = [block for rest in console.split(BEGIN)[1:] for block, whole, _ in [rest.partition(END)] if whole]
    keys = {tuple(dict.fromkeys(_KEY.findall(block))) for block in blocks}
    return keys.pop() if len(keys) == 1 else ()
