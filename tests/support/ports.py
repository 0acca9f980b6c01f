"""Ports for servers that cannot choose one themselves, and ports at which nobody listens. Among all processes each is dealt once.

A server that listens at port 0 and says which one it got needs none of this. Who asks the system for a free port, lets go of it and
listens there later, finds it taken now and then: the system gives it to the next process that asks, or to a connection on its way out.
So these lie below the ones that the system gives out, and one counter deals them to all processes that run from this checkout.
"""

from __future__ import annotations

import random
import socket
from pathlib import Path
from typing import Final

from hyops_ci.files import locked

_CACHE: Final = Path(__file__).parents[2] / ".venv"
_SYSTEM: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_STEP: Final = 2
"""OpenBao takes the port behind its own, too."""
_MOST: Final = 10_000


def free_port() -> int:
    """A loopback port at which nobody listens, dealt to nobody else for thousands of times. The next one is free, too. Raises OSError."""
    dealt = _dealt()
    kept = _CACHE / "port"
    with locked(_CACHE / "port.lock", wait=None):
        # A checkout that deals for the first time begins anywhere: it may not be the only one on this machine.
        last = int(kept.read_text() or 0) if kept.exists() else random.randrange(len(dealt))
        for turn in range(1, len(dealt) + 1):
            number = (last + turn) % len(dealt)
            if all(map(_is_free, range(dealt[number], dealt[number] + _STEP))):
                kept.write_text(str(number))
                return dealt[number]
    raise OSError(f"no port from {dealt[0]} to {dealt[-1]} is free")


def _dealt() -> range:
    """Below the first one that the system gives out by itself, where there is room for that."""
    first = int(_SYSTEM.read_text().split()[0]) if _SYSTEM.exists() else 32_768
    end = first if first > 2 * _MOST else 32_768
    return range(end - _MOST, end, _STEP)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
