"""Writing the journal of a run of HyOps: each record on disk before the next thing happens, as far as the disk has room."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from hyops_ci.dataclass import dataclass, field
from hyops_ci.execution.grammar import HyOpsLine, StepEvent
from hyops_ci.execution.journal import JOURNAL, ROOM, Record
from hyops_ci.room import Reserve, append_whole, sync_what_can

SET_ASIDE: Final = 256 * 1024
"""Bytes kept free for a journal's last words on a disk that fills up."""
MAX_WAITING: Final = 2000
"""Records that wait in memory for room."""
MAX_TEXT: Final = 2000
"""Characters of a field of a line. Cut after redaction: half a secret would not be found."""


class JournalWriter:
    """Appends records. Used by the supervisor alone. `redact` takes the secrets out of what a record holds.

    A disk without room is no reason to stop: records wait in memory, in their order, until there is some.
    """

    def __init__(self, run_dir: Path, redact: Callable[[Record], Record] = lambda data: data) -> None:
        self._handle = os.open(run_dir / JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._redact = redact
        self._room = {"line": ROOM, "output": ROOM}
        self._reserve = Reserve(run_dir / "reserve", SET_ASIDE)
        self._waiting: deque[bytes] = deque()

    def write(self, kind: str, *, sync: bool = True, **data: object) -> None:
        """One record, on disk when this returns unless `sync` is false.

        The first `line` or `output` that finds no room becomes a record `full`; it and those after it are not kept.
        """
        self._append(kind, self._redact(data))
        if sync:
            self.sync()

    def line(self, line: HyOpsLine) -> None:
        """A line of the clean stream that means something: its words are of the grammar, and stay."""
        values = {name: getattr(line, name) for name in line.__slots__}
        fields = {name: value[:MAX_TEXT] if isinstance(value, str) else value for name, value in values.items() if value not in ("", None)}
        self._append("line", {"type": type(line).__name__, **fields})
        self.sync()

    def _append(self, kind: str, data: Record) -> None:
        text = _record(kind, data)
        if kind in self._room:
            room = self._room[kind]
            self._room[kind] = room - len(text) if len(text) <= room else -1
            if self._room[kind] < 0:
                if room < 0:
                    return
                text = _record("full", {"of": kind})
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(text)
        elif kind == "line":
            self._waiting[-1] = _record("full", {"of": "line"})
        self.whole()

    def whole(self) -> bool:
        """Write what waits, as far as there is room; return whether everything is written."""
        while self._waiting and append_whole(self._handle, self._waiting[0], self._reserve):
            self._waiting.popleft()
        return not self._waiting

    def release(self) -> None:
        """Give back the room that was set aside: what is written now are the last words."""
        self._reserve.release()

    def sync(self) -> None:
        """What was written so far is on disk."""
        sync_what_can(self._handle)

    def close(self) -> None:
        """Nothing more will be written."""
        self._reserve.release()
        os.close(self._handle)


@dataclass
class RepeatedLines:
    """Leaves out lines that say again what the last line of their step said: a record of each would be noise without end."""

    _last: dict[str, HyOpsLine] = field(default_factory=dict)

    def is_new(self, line: HyOpsLine) -> bool:
        """Return whether the line says something that its step's, or HyOps', last line did not: another status, or its reason."""
        key = line.step if isinstance(line, StepEvent) else type(line).__name__
        last = self._last.get(key)
        if isinstance(line, StepEvent) and isinstance(last, StepEvent) and line.status is last.status:
            return bool(line.reason) and not last.reason and self._keep(key, line)
        return line != last and self._keep(key, line)

    def _keep(self, key: str, line: HyOpsLine) -> bool:
        self._last[key] = line
        return True


def _record(kind: str, data: Record) -> bytes:
    return json.dumps({"kind": kind, "at": datetime.now(UTC).isoformat(), **data}, ensure_ascii=True).encode() + b"\n"
