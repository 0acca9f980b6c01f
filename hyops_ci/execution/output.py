"""One stream of HyOps on its way to disk, and its lines that mean something."""

from __future__ import annotations

import os
from pathlib import Path

from hyops_ci.execution.grammar import HyOpsLine, read_line
from hyops_ci.execution.journal import MODE
from hyops_ci.execution.journal_writer import JournalWriter
from hyops_ci.execution.streams import LineSplitter
from hyops_ci.redaction import PatternFilter, Redactor
from hyops_ci.room import sync_what_can, write_what_fits


class Output:
    """One stream of HyOps on its way to disk: redacted, counted, and cut where it grows without end.

    Nothing behind the two filters sees what HyOps really wrote: what is kept, read as grammar and shown is the clean stream.
    """

    def __init__(self, name: str, run_dir: Path, limit: int, redactor: Redactor, journal: JournalWriter) -> None:
        self.name, self._limit, self._journal = name, limit, journal
        self._known, self._unknown = redactor.filter(), PatternFilter(redactor.counts)
        self._file = os.open(run_dir / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
        self._bytes = 0
        self._lines = LineSplitter()
        self._dirty = self._cut = False

    def feed(self, chunk: bytes) -> list[HyOpsLine]:
        """Keep a chunk; the lines of it that mean something (only standard output has any)."""
        return self._pass(self._unknown.feed(self._known.feed(chunk)))

    def close(self) -> list[HyOpsLine]:
        """Keep what the filters still hold."""
        return self._pass(self._unknown.feed(self._known.close()) + self._unknown.close()) + self._read(self._lines.close())

    def sync(self) -> None:
        """What was kept so far is on disk."""
        if self._dirty:
            sync_what_can(self._file)
            self._dirty = False

    def _pass(self, clean: bytes) -> list[HyOpsLine]:
        self._keep(clean)
        return self._read(self._lines.feed(clean))

    def _read(self, lines: list[bytes]) -> list[HyOpsLine]:
        if self.name != "stdout":
            return []
        return [event for line in lines if (event := read_line(line.decode("utf-8", errors="replace"))) is not None]

    def _keep(self, clean: bytes) -> None:
        kept = write_what_fits(self._file, clean[: self._limit - self._bytes])
        if kept:
            self._journal.write("output", stream=self.name, offset=self._bytes, bytes=kept, sync=False)
            self._bytes += kept
            self._dirty = True
        if kept < len(clean) and not self._cut:  # grown without end, or no room on the disk: HyOps goes on
            self._cut, self._limit = True, self._bytes
            self._journal.write("cut", stream=self.name, at_byte=self._limit)
