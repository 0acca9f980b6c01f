"""SHA-256 beside the reading and writing: hashing leaves the interpreter's lock, so a thread of its own costs no time."""

from __future__ import annotations

import hashlib
from queue import Queue
from threading import Thread
from types import TracebackType
from typing import Final, Self

WAITING: Final = 8
"""Chunks that may wait; a reader that is faster waits for the hash."""


class Background:
    """A hash that runs in a thread between `with` and its end. Then `hexdigest` answers."""

    def __init__(self) -> None:
        self._hasher = hashlib.sha256()
        self._chunks: Queue[bytes | None] = Queue(WAITING)
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._chunks.put(None)
        self._thread.join()

    def update(self, data: bytes) -> None:
        """Bytes that come next."""
        self._chunks.put(data)

    def hexdigest(self) -> str:
        """Of everything, after the `with`."""
        return self._hasher.hexdigest()

    def _run(self) -> None:
        while (data := self._chunks.get()) is not None:
            self._hasher.update(data)
