"""What happened to HyOps, on disk before the next thing happens, so that a killed caller loses nothing.

A run directory (0700) holds `journal.jsonl` (one JSON record per line, synced), `stdout.log` and `stderr.log`
(redacted; never the raw stream), `supervisor.err` and `lock`, which the supervisor holds while it lives.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from hyops_ci.execution.grammar import FinalLine, HyOpsLine, PreflightLine, StepEvent, StepStatus

JOURNAL: Final = "journal.jsonl"
LOCK: Final = "lock"
STREAMS: Final = ("stdout", "stderr")
Record = dict[str, Any]


class Stop(StrEnum):
    """Why HyOps was asked to stop; empty when it was not."""

    NOT_ASKED = ""
    CANCEL = "cancel"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class Ended:
    """The final answer of the supervisor.

    `rc` is HyOps' exit code, or minus the signal that killed it, or None when it never started (`error` says why).
    `by_itself` is true when HyOps exited on its own or after an interrupt that it handled. `seconds` since its start.
    """

    rc: int | None
    by_itself: bool
    stop: Stop = Stop.NOT_ASKED
    seconds: float = 0.0
    strays: tuple[str, ...] = ()
    """Names of processes that outlived HyOps and were ended by us."""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Timed:
    """A line that meant something, and when it was read (UTC)."""

    at: datetime
    line: HyOpsLine


@dataclass(frozen=True, slots=True)
class JournalView:
    """A journal as read. `ended` is None while there is no final answer."""

    started_at: datetime | None
    """When HyOps was about to be started: from then on it may have done something."""
    hyops_pid: int | None
    supervisor_pid: int | None
    events: tuple[Timed, ...]
    signals: tuple[str, ...]
    redactions: dict[str, int]
    """How often each secret was taken out of the output, by name."""
    ended: Ended | None

    @property
    def lines(self) -> tuple[HyOpsLine, ...]:
        """The lines that mean something, in order."""
        return tuple(event.line for event in self.events)


def create(run_dir: Path) -> None:
    """Make the run directory. Raises FileExistsError when a journal lies there already: a run is never overwritten."""
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(run_dir / JOURNAL, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


class JournalWriter:
    """Appends records. Used by the supervisor alone. `redact` takes the secrets out of what a record holds."""

    def __init__(self, run_dir: Path, redact: Callable[[Record], Record] = lambda data: data) -> None:
        self._handle = os.open(run_dir / JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._redact = redact

    def write(self, kind: str, *, sync: bool = True, **data: object) -> None:
        """One record, on disk when this returns unless `sync` is false."""
        self._append(kind, self._redact(data))
        if sync:
            self.sync()

    def line(self, line: HyOpsLine) -> None:
        """A line of the clean stream that means something: its words are of the grammar, and stay."""
        fields = {name: value for name in line.__slots__ if (value := getattr(line, name)) not in ("", None)}
        self._append("line", {"type": type(line).__name__, **fields})
        self.sync()

    def _append(self, kind: str, data: Record) -> None:
        record = {"kind": kind, "at": datetime.now(UTC).isoformat(), **data}
        os.write(self._handle, json.dumps(record, ensure_ascii=True).encode() + b"\n")

    def sync(self) -> None:
        """What was written so far is on disk."""
        os.fdatasync(self._handle)

    def close(self) -> None:
        """Nothing more will be written."""
        os.close(self._handle)


def records(text: bytes) -> Iterator[Record]:
    """The whole records in `text`. A torn last line (the writer was killed in mid-write) is left out."""
    for line in text.split(b"\n")[:-1]:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            yield record


def read_journal(run_dir: Path) -> JournalView:
    """The journal of a run directory; a missing one reads as a run of which nothing is known."""
    try:
        text = (run_dir / JOURNAL).read_bytes()
    except FileNotFoundError:
        text = b""
    starting: Record = {}
    started: Record = {}
    ended: Ended | None = None
    redactions: dict[str, int] = {}
    events, signals = [], []
    for record in records(text):
        match record.get("kind"):
            case "starting":
                starting = record
            case "started":
                started = record
            case "line":
                events.append(Timed(_at(record), line_of(record)))
            case "signal":
                signals.append(str(record["name"]))
            case "redactions":
                redactions = record["counts"]
            case "ended":
                ended = ended_of(record)
    return JournalView(
        started_at=_at(starting) if starting else None,
        hyops_pid=started.get("hyops"),
        supervisor_pid=starting.get("supervisor"),
        events=tuple(events),
        signals=tuple(signals),
        redactions=redactions,
        ended=ended,
    )


def line_of(record: Record) -> HyOpsLine:
    """The line that a `line` record holds."""
    data = {key: value for key, value in record.items() if key not in ("kind", "at", "type")}
    if record["type"] == "StepEvent":
        return StepEvent(**{**data, "status": StepStatus(data["status"])})
    if record["type"] == "PreflightLine":
        return PreflightLine(**data)
    return FinalLine(data["blueprint"], data["status"], data.get("steps"))


def ended_of(record: Record) -> Ended:
    """The final answer that an `ended` record holds."""
    return Ended(
        rc=record["rc"],
        by_itself=record["by_itself"],
        stop=Stop(record["stop"]),
        seconds=record["seconds"],
        strays=tuple(record["strays"]),
        error=record["error"],
    )


def hold_lock(run_dir: Path) -> int:
    """Take the run's lock for as long as this process lives; the handle. Raises BlockingIOError when it is held."""
    handle = os.open(run_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return handle


def lock_is_held(run_dir: Path) -> bool:
    """Whether a supervisor lives for this run. A lock cannot be confused with another process, as a pid can."""
    try:
        handle = os.open(run_dir / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _at(record: Record) -> datetime:
    return datetime.fromisoformat(record["at"])
