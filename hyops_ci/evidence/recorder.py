"""Record events as they happen: one hash-chained JSON line each, on disk before the next action begins (docs/design/contracts.md 7).

A part is one stage's events and files. Its first event cites the last hash of the previous part. A process that
is killed leaves at worst one torn line, which the next process cuts off and records.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Final, Self

from hyops_ci import files, portable
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.clock import Clock
from hyops_ci.contracts.digest import canonical, digest
from hyops_ci.contracts.run import Event, State, may_follow
from hyops_ci.evidence.conclusions import LEDGER, WAITED
from hyops_ci.parsing.documents import read_document, read_json
from hyops_ci.room import Reserve, append_whole

STAGES: Final = ("plan", "ensure-runner", "check", "execute", "conclude")
"""Stages in the order in which their parts chain."""
GENESIS: Final = "sha256:" + "0" * 64
EVENTS: Final = "events.jsonl"
MAX_LINE: Final = 1 << 20
"""Bytes of one event. What would be longer is recorded without its data: one event must not keep the others from being read."""
INTAKE: Final = "intake"
TOLD: Final = frozenset({INTAKE, LEDGER, WAITED})
"""Notes that documents are compared with. The others, such as a line for each step, are as many as HyOps wrote."""
MAX_TOLD: Final = 10_000


class BrokenChain(ValueError):
    """Events that do not form one chain; the text says where."""


class PartRecorder:
    """The recorder of one stage. Every call is on disk when it returns."""

    def __init__(self, run_dir: Path, stage: str, clock: Clock, redact: Callable[[Any], Any] = lambda value: value) -> None:
        """Open or continue the part of `stage`. Raises BrokenChain if the events do not form a chain, or a later stage has begun."""
        if stage not in STAGES:
            raise ValueError(f"{stage} is no stage with a part")
        self.folder = run_dir / "parts" / stage
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._stage, self._clock, self.redact = stage, clock, redact
        torn = sum(_cut_torn(run_dir / "parts" / each / EVENTS) for each in STAGES)
        self.reserve: Reserve | None = None
        """Room that is given back to this part when the disk has none left."""
        self.state: State | None = None
        """The state of the run, by the last transition of any part."""
        last = None
        for last in read_chain(run_dir):
            self.state = State(last.name) if last.kind == "transition" else self.state
        if last is not None and STAGES.index(last.stage) > STAGES.index(stage):
            raise BrokenChain(f"parts/{stage}/{EVENTS} cannot go on after {last.stage} has begun")
        self._last, self._seq = (last.hash, last.seq + 1) if last is not None else (GENESIS, 0)
        self._file = os.open(self.folder / EVENTS, portable.APPEND, 0o600)
        for folder in (self.folder, *self.folder.parents[:2]):
            files.sync_folder(folder)
        if torn:
            self.note("journal.torn", bytes=torn)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._file)

    def enter(self, state: State, **data: Any) -> None:
        """Record that the run enters `state`. Raises ValueError for a transition that the table does not allow."""
        if not (state is State.RECEIVED if self.state is None else may_follow(self.state, state)):
            raise ValueError(f"a run does not go from {self.state} to {state}")
        self._write("transition", state.value, data)
        self.state = state

    def intent(self, name: str, **data: Any) -> None:
        """Record that something is about to be changed."""
        self._write("intent", name, data)

    def result(self, name: str, **data: Any) -> None:
        """Record the result of the intent of the same name."""
        self._write("result", name, data)

    def note(self, name: str, **data: Any) -> None:
        """Record a fact."""
        self._write("note", name, data)

    def refusal(self, name: str, **data: Any) -> None:
        """Record that a gate refused."""
        self._write("refusal", name, data)

    def keep(self, path: str, content: bytes) -> None:
        """Write a file of this stage at `path` inside the part, atomically and to disk. Raises ValueError for a path outside of it."""
        target, inside = self.folder / path, PurePosixPath(path)
        if inside.is_absolute() or ".." in inside.parts or inside.as_posix() in (".", EVENTS):
            raise ValueError(f"{path} is no place for a file of {self._stage}")
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.write(target, content)

    def _write(self, kind: str, name: str, data: dict[str, Any]) -> None:
        event = {
            "seq": self._seq,
            "at": stamp(self._clock.now()),
            "stage": self._stage,
            "kind": kind,
            "name": name,
            "data": self.redact(data),
            "prev": self._last,
        }
        if (size := len(canonical(event))) > MAX_LINE - 100:  # the hash is added, and the line's end
            event["data"] = {"left_out": f"{size} bytes"}
        event["hash"] = digest(event)
        line = canonical(event) + b"\n"
        if not append_whole(self._file, line, self.reserve):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(self._file)
        self._last, self._seq = event["hash"], self._seq + 1


def read_chain(run_dir: Path) -> Iterator[Event]:
    """Yield all events of a run in order, each verified against its predecessor. Raises BrokenChain."""
    return _chained((stage, _lines_of(run_dir / "parts" / stage / EVENTS)) for stage in STAGES)


def chain(parts: Iterable[tuple[str, bytes]]) -> Iterator[Event]:
    """Yield the events of (stage, bytes of its file) in order, each verified against its predecessor. Raises BrokenChain."""
    return _chained((stage, io.BytesIO(content)) for stage, content in parts)


def _lines_of(path: Path) -> Iterator[bytes]:
    if path.exists():
        with path.open("rb") as file:
            yield from iter(lambda: file.readline(MAX_LINE), b"")


def _chained(parts: Iterable[tuple[str, Iterable[bytes]]]) -> Iterator[Event]:
    """Yield the events of (stage, its lines with their line ends)."""
    last, seq = GENESIS, 0
    for stage, lines in parts:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                raise BrokenChain(f"parts/{stage}/{EVENTS} ends inside a line")
            event = parse_event(line[:-1], f"parts/{stage}/{EVENTS}:{number}")
            if event.stage != stage or event.prev != last or event.seq != seq:
                raise BrokenChain(f"parts/{stage}/{EVENTS}:{number} does not follow the event before it")
            yield event
            last, seq = event.hash, seq + 1


class PartReader:
    """The events of one stage, read piece by piece in whatever order the parts come; only those that tell the story are kept.

    `problem` says where they break; `follows` asks whether they go on where the part before ended.
    """

    def __init__(self, stage: str) -> None:
        """Nothing is read yet."""
        self.stage, self.path = stage, f"parts/{stage}/{EVENTS}"
        self.problem = ""
        self.events: list[Event] = []
        """Those of every kind but notes, and the notes in `TOLD`."""
        self.first: Event | None = None
        self.last: Event | None = None
        self._rest, self._lines = b"", 0

    def feed(self, data: bytes) -> None:
        """Read on."""
        if self.problem:
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        try:
            for line in lines:
                self._take(line)
        except BrokenChain as error:
            self.problem = str(error)
        if len(self._rest) >= MAX_LINE:
            self.problem = self.problem or f"{self.path} holds a line without end"

    def follows(self, last: Event | None) -> str:
        """Return why these events do not go on after `last`, the last one of the parts before; empty where they do."""
        if self.problem or self._rest:
            return self.problem or f"{self.path} ends inside a line"
        before, seq = (last.hash, last.seq + 1) if last is not None else (GENESIS, 0)
        fits = self.first is None or (self.first.prev, self.first.seq) == (before, seq)
        return "" if fits else f"{self.path}:1 does not follow the event before it"

    def _take(self, line: bytes) -> None:
        self._lines += 1
        event = parse_event(line, f"{self.path}:{self._lines}")
        last = self.last
        if event.stage != self.stage or (last is not None and (event.prev, event.seq) != (last.hash, last.seq + 1)):
            raise BrokenChain(f"{self.path}:{self._lines} does not follow the event before it")
        self.first, self.last = self.first or event, event
        if event.kind != "note" or event.name in TOLD:
            self.events.append(event)
        if len(self.events) > MAX_TOLD:
            raise BrokenChain(f"{self.path} tells more than a run has")


def parse_event(line: bytes, where: str) -> Event:
    """Return the event of one line. Raises BrokenChain if its hash does not match."""
    try:
        event = read_document(Event, line)
        fields = read_json(line)
        said = fields.pop("hash")
        if canonical({**fields, "hash": said}) != line or digest(fields) != said:
            raise BrokenChain(f"{where} is not what was written")
    except (ValueError, TypeError) as error:
        raise error if isinstance(error, BrokenChain) else BrokenChain(f"{where} is no event") from None
    return event


def _cut_torn(path: Path) -> int:
    """Cut off an incomplete last line. Returns the number of bytes removed."""
    if not path.exists():
        return 0
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with path.open("r+b") as file:
            file.truncate(whole)
            os.fsync(file.fileno())
    return len(data) - whole
