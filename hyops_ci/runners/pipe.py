"""A way that is no socket, made one: what uses it then needs to know nothing of tunnels."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Final, Protocol

CHUNK: Final = 16 * 1024
"""Bytes that are carried at once."""
ENDS: Final = 5.0
"""Seconds that are given to what is under way when the socket is closed."""


class Way(Protocol):
    """Bytes there and back. Its calls raise OSError when it breaks, and may come from two threads."""

    def send(self, data: bytes) -> None:
        """Carry bytes there."""
        ...

    def receive(self) -> bytes:
        """Return what came back; nothing when the other side has ended."""
        ...

    def close(self) -> None:
        """End it; `receive` returns or raises then."""
        ...


@contextmanager
def as_socket(way: Way) -> Iterator[socket.socket]:
    """Yield a socket whose other end is the way. Its end is the way's end, and the other way round."""
    near, inner = socket.socketpair()

    def there() -> None:
        with suppress(OSError):
            while data := inner.recv(CHUNK):
                way.send(data)
        with suppress(OSError):
            way.close()

    def back() -> None:
        with suppress(OSError):
            while data := way.receive():
                inner.sendall(data)
        with suppress(OSError):
            inner.shutdown(socket.SHUT_RDWR)

    threads = [Thread(target=carry, daemon=True) for carry in (there, back)]
    for thread in threads:
        thread.start()
    try:
        yield near
    finally:
        near.close()
        for thread in threads:
            thread.join(ENDS)
        inner.close()
