"""What goes in and comes out of a command over fabric: as fast as the network, and line by line.

fabric (invoke) feeds a command that is no terminal one character every 10 ms: a release would take hours. Its documented way to
change how commands run is a runner of one's own (`config.runners.remote`).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import IO, Any, Final

PIECE: Final = 64 * 1024
NO_STATUS: Final = -1
"""What paramiko answers where no exit code of a command has come: it goes on, it was killed, or the connection broke."""


def feed(text: str) -> IO[str]:
    """Return a stream of which `runner_class` reads large pieces."""
    return io.StringIO(text)


class _Lines(io.StringIO):
    """Hands on each line as it is complete."""

    def __init__(self, heard: Callable[[str], None], most: int) -> None:
        super().__init__()
        self._heard, self._left, self._begun = heard, most, ""

    def write(self, text: str) -> int:
        kept = text[: self._left]
        self._left -= len(kept)
        *lines, self._begun = (self._begun + kept).split("\n")
        for line in lines:
            self._heard(line)
        return len(text)


def listen(heard: Callable[[str], None], most: int) -> IO[str]:
    """Return a stream that calls `heard` with each line of the first `most` characters."""
    return _Lines(heard, most)


def runner_class() -> type[Any]:
    """Return fabric's way to run a command, with a stdin that is read in large pieces and need not be read to its end."""
    from fabric.runners import Remote

    class Feeding(Remote):  # type: ignore[misc, unused-ignore] # fabric has no types
        """Reads what it feeds in large pieces."""

        def read_our_stdin(self, input_: IO[str]) -> str:
            return input_.read(PIECE)

        def write_proc_stdin(self, data: str) -> None:
            """What is left for a command that has ended goes nowhere: what it came to, and said, is its own word on why."""
            try:
                super().write_proc_stdin(data)
            except OSError:
                if self.channel.exit_status == NO_STATUS:
                    raise

    return Feeding
