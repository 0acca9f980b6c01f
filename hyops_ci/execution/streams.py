"""Bytes of a child process into whole lines, and lines into text that is safe to print in a job log."""

from __future__ import annotations

import re
from typing import Final

from hyops_ci.text import visible

PREFIX: Final = "hyops | "
MAX_LINE: Final = 64 * 1024
"""Bytes of a line without an end before it is cut; a runaway line must not fill memory."""
_END = re.compile(rb"\r\n|\n|\r")


class LineSplitter:
    """Cuts a stream into lines at LF, CR LF and CR: the runner begins a workflow command after any of the three."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that ended in this chunk, without their ends."""
        # A CR at the very end waits: its LF may be in the next chunk.
        text = self._rest + chunk
        held = text.endswith(b"\r")
        *lines, rest = _END.split(text[:-1] if held else text)
        self._rest = rest + b"\r" * held
        while len(self._rest) > MAX_LINE:
            lines.append(self._rest[:MAX_LINE])
            self._rest = self._rest[MAX_LINE:]
        return lines

    def close(self) -> list[bytes]:
        """Return the last line, if the stream did not end with a line end."""
        rest, self._rest = self._rest, b""
        return [rest.removesuffix(b"\r")] if rest else []


def printable(line: bytes) -> str:
    """Return a child's line behind `hyops | `, with control characters spelled out and no workflow command anywhere in it.

    GitHub's runner reads `::command::` at the beginning of a line only, which the prefix prevents, but the older
    `##[command]` anywhere in it (actions/runner `ActionCommand.cs`), so that one is broken up.
    """
    text = line.decode("utf-8", errors="replace")
    return PREFIX + visible(text, "\t").replace("##[", "## [")
