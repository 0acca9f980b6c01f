"""What happened to HyOps, on disk before the next thing happens, so that a killed caller loses nothing.

A run directory (0700) holds `journal.jsonl` (one JSON record per line, synced), `stdout.log` and `stderr.log`
(redacted; never the raw stream), `supervisor.err` and `lock`, which the supervisor holds while it lives.
What HyOps starts runs as the same user and may write here too, so whatever is read back is read with suspicion.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from hyops_ci import files, portable
from hyops_ci.dataclass import dataclass
from hyops_ci.execution.grammar import FinalLine, HyOpsLine, PreflightLine, StepEvent, StepStatus

JOURNAL: Final = "journal.jsonl"
LOCK: Final = "lock"
STREAMS: Final = ("stdout", "stderr")
ROOM: Final = 8 << 20
"""Bytes of `line` records that a journal takes, and again of `output` records; all else is always kept."""
MAX_JOURNAL: Final = 4 * ROOM
"""Bytes of a journal that are read."""
MODE: Final = 0o640
"""Of the files. Their folder keeps everybody out, or lets the group of the runner's user in where HyOps has a user of its own."""
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
    cleaned: Record | None = None
    """What was removed and put back in the env after the end; None where nobody did."""
    full: bool = False
    """Whether lines that meant something found no room: what HyOps said is not known to its end."""

    @property
    def lines(self) -> tuple[HyOpsLine, ...]:
        """The lines that mean something, in order."""
        return tuple(event.line for event in self.events)


def create(run_dir: Path) -> None:
    """Make the run directory. Raises FileExistsError when a journal lies there already: a run is never overwritten."""
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(run_dir / JOURNAL, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE))


def records(text: bytes) -> Iterator[Record]:
    """The whole records in `text`. A torn last line (the writer was killed in mid-write) is left out."""
    for line in text.split(b"\n")[:-1]:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            yield record


def read_journal(run_dir: Path) -> JournalView:
    """Return the journal of a run directory; a missing or unreadable one reads as a run of which nothing is known. Never raises."""
    try:
        text = files.read(run_dir / JOURNAL, MAX_JOURNAL)
    except (OSError, files.UnsafeFile):
        text = b""
    starting: Record = {}
    started: Record = {}
    ended: Ended | None = None
    redactions: dict[str, int] = {}
    events, signals = [], []
    full, cleaned = False, None
    for record in records(text):
        match record.get("kind"):
            case "starting":
                starting = record
            case "started":
                started = record
            case "line" if event := timed_line(record):
                events.append(event)
            case "signal":
                signals.append(str(record.get("name", "")))
            case "redactions":
                redactions = _counts(record.get("counts"))
            case "cleaned":
                cleaned = record.get("done")
            case "full":
                full = full or record.get("of") == "line"
            case "ended":
                ended = ended_of(record) or ended
    return JournalView(
        started_at=_at(starting),
        hyops_pid=_pid(started.get("hyops")),
        supervisor_pid=_pid(starting.get("supervisor")),
        events=tuple(events),
        signals=tuple(signals),
        redactions=redactions,
        ended=ended,
        cleaned=cleaned if isinstance(cleaned, dict) else None,
        full=full,
    )


def timed_line(record: Record) -> Timed | None:
    """Return the line that a `line` record holds, and its time; None for a record that is none."""
    at, line = _at(record), _line(record)
    return Timed(at, line) if at is not None and line is not None else None


def _line(record: Record) -> HyOpsLine | None:
    def text(name: str) -> str:
        value = record.get(name, "")
        return value if isinstance(value, str) else ""

    try:
        match record.get("type"):
            case "StepEvent":
                status = StepStatus(text("status"))
                numbers = {name: _number(record.get(name)) for name in ("rc", "progress")}
                return StepEvent(text("step"), status, text("reason"), module=text("module"), action=text("action"), **numbers)
            case "PreflightLine":
                return PreflightLine(text("blueprint"), text("status"), _number(record.get("steps")) or 0)
            case "FinalLine":
                return FinalLine(text("blueprint"), text("status"), _number(record.get("steps")))
    except ValueError:
        return None
    return None


def ended_of(record: Record) -> Ended | None:
    """Return the final answer that an `ended` record holds, or None for a record that is none."""
    rc, strays, seconds = record.get("rc"), record.get("strays"), record.get("seconds")
    by_itself, error, why = record.get("by_itself"), record.get("error"), record.get("stop")
    stop = next((each for each in Stop if each == why), None)
    if stop is None or (rc is not None and _number(rc) is None) or not isinstance(by_itself, bool) or not isinstance(error, str):
        return None
    if not isinstance(strays, list) or isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    return Ended(rc=rc, by_itself=by_itself, stop=stop, seconds=seconds, strays=tuple(map(str, strays)), error=error)


def hold_lock(run_dir: Path) -> int:
    """Take the run's lock for as long as this process lives; the handle. Raises BlockingIOError when it is held."""
    handle = os.open(run_dir / LOCK, portable.LOCK_FILE, MODE)
    portable.lock(handle, wait=False)
    return handle


def lock_is_held(run_dir: Path) -> bool:
    """Return whether a supervisor lives for this run. A lock cannot be confused with another process, as a pid can."""
    try:
        return portable.is_locked(run_dir / LOCK)
    except OSError:  # there is none
        return False


def _at(record: Record) -> datetime | None:
    """Return when a record was written, or None where it does not say."""
    try:
        at = datetime.fromisoformat(record["at"])
    except (KeyError, TypeError, ValueError):
        return None
    return at if at.tzinfo is not None else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _pid(value: object) -> int | None:
    """Return a process to which a signal may be sent: kill(2) gives 0, 1 and what is negative another meaning."""
    pid = _number(value)
    return pid if pid is not None and 1 < pid < 1 << 31 else None


def _counts(value: object) -> dict[str, int]:
    found = value.items() if isinstance(value, dict) else ()
    return {name: number for name, each in found if (number := _number(each)) is not None}
