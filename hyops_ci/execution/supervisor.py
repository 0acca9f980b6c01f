"""The supervisor process: starts HyOps, journals it, ends it, and outlives its caller.

Started by `run_handle`, which passes a `SupervisorOrder` through a pipe, so that secrets are in no argv and no file.
It leaves the caller's session, so that neither a closed shell nor a killed step takes it along.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, BinaryIO, Final, cast

from hyops_ci.dataclass import dataclass, field, fields, replace
from hyops_ci.execution import processes
from hyops_ci.execution.grammar import HyOpsLine
from hyops_ci.execution.journal import STREAMS, Ended, Stop, hold_lock
from hyops_ci.execution.journal_writer import JournalWriter, RepeatedLines
from hyops_ci.execution.leftovers import clean_up
from hyops_ci.execution.output import Output
from hyops_ci.execution.prctl import close_to_others
from hyops_ci.redaction import Redactor

MAX_OUTPUT: Final = 256 * 1024 * 1024
"""Bytes of one stream that are kept; the rest is read and dropped, with a record that says so."""
CHUNK: Final = 64 * 1024
DRAIN: Final = 1.0
"""Seconds that output is still read after HyOps has ended, when an orphan holds the pipe open."""
SYNC: Final = 0.5
LAST_WORD: Final = 30.0
"""Seconds that the last records wait for room on a full disk."""


@dataclass(frozen=True, slots=True)
class SupervisorOrder:
    """What the supervisor process is asked to do. Times in seconds."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    run_dir: Path
    """Folder of the journal; it must hold none yet."""
    timeout: float
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Values that never reach a disk or a log, by name."""
    public: Sequence[str] = ()
    """Words that everybody may read, such as the planned steps: no value that is a part of one is searched for."""
    cwd: str = "/"
    grace: float = 20.0
    """From the interrupt to SIGTERM. HyOps gives its provider 15 s and needs a moment more (HyOps `runtime/proc.py`)."""
    patience: float = 5.0
    """From SIGTERM to SIGKILL."""
    linger: float = 2.0
    """What orphans are given to end by themselves."""
    max_output: int = MAX_OUTPUT
    remove_after: tuple[Path, ...] = ()
    """Files removed at the end, such as the lent overlay."""
    clean_up: Path | None = None
    """The runtime root of an env in which, at the end, the bundle is put back and what holds secrets is removed."""

    def to_json(self) -> bytes:
        """Return the order as it goes through the pipe."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return json.dumps(values | {"run_dir": self.run_dir.resolve()}, default=str).encode()

    @classmethod
    def from_json(cls, stream: BinaryIO) -> SupervisorOrder:
        """Read what `to_json` wrote."""
        values = json.load(stream)
        paths = {"run_dir": Path(values["run_dir"]), "remove_after": tuple(Path(each) for each in values["remove_after"])}
        return cls(**values | paths | {"clean_up": Path(values["clean_up"]) if values["clean_up"] else None})


class Supervisor:
    """Keeps one HyOps process from start to end."""

    def __init__(self, order: SupervisorOrder, redactor: Redactor) -> None:
        self._order, self._redactor = order, redactor
        run_dir = order.run_dir
        self._journal = JournalWriter(run_dir, redactor.json)
        self._outputs = {name: Output(name, run_dir, order.max_output, redactor, self._journal) for name in STREAMS}
        self._repeated = RepeatedLines()
        self._selector = selectors.DefaultSelector()
        self._stop = Stop.NOT_ASKED
        self._asked_at = self._synced_at = 0.0
        self._strongest = 0
        self._rc: int | None = None

    def run(self, ready: Callable[[], None]) -> Ended:
        """Start HyOps, say `ready`, stay until it and everything it started has ended; the final answer, journalled."""
        since = datetime.now(UTC)
        self._listen()
        began = time.monotonic()
        self._journal.write("starting", supervisor=os.getpid(), argv=self._order.argv, timeout=self._order.timeout)
        try:
            self._pid = self._start()
        except OSError as error:
            ended = Ended(rc=None, by_itself=True, error=f"{self._order.argv[0]}: {error.strerror}")
        else:
            ready()
            self._stay(began)
            # An unhandled interrupt ends Python itself: HyOps ended by itself, between two steps.
            own_hand = self._rc is not None and (self._rc >= 0 or self._rc == -signal.SIGINT) and self._strongest < 2
            ended = Ended(rc=self._rc, by_itself=own_hand, stop=self._stop, strays=self._end_strays())
        for output in self._outputs.values():
            self._note(output.close())
            output.sync()
        self._journal.write("redactions", counts=dict(self._redactor.counts))
        try:
            for path in self._order.remove_after:
                Path(path).unlink(missing_ok=True)
            if self._order.clean_up is not None:
                self._journal.write("cleaned", done=clean_up(self._order.clean_up, since, self._redactor.find).facts())
        except OSError as error:  # how HyOps ended is worth more: the next run cleans up
            self._journal.write("not-cleaned", error=str(error.strerror))
        self._journal.release()
        ended = replace(ended, seconds=round(time.monotonic() - began, 3))
        self._journal.write(
            "ended",
            rc=ended.rc,
            by_itself=ended.by_itself,
            stop=ended.stop,
            seconds=ended.seconds,
            strays=list(ended.strays),
            error=ended.error,
        )
        until = time.monotonic() + LAST_WORD
        while not self._journal.whole() and time.monotonic() < until:
            time.sleep(0.25)
        self._journal.close()
        return ended

    def _listen(self) -> None:
        """Signals wake the loop. A handler, never SIG_IGN: what is ignored here HyOps would inherit as ignored."""
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        self._selector.register(reader, selectors.EVENT_READ, None)

    def _start(self) -> int:
        order = self._order
        self._child = subprocess.Popen(
            order.argv,
            env=order.env,
            cwd=order.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=processes.interrupt_when_parent_dies,
        )
        for name, pipe in zip(STREAMS, (self._child.stdout, self._child.stderr), strict=True):
            self._selector.register(cast("IO[bytes]", pipe), selectors.EVENT_READ, self._outputs[name])
        self._journal.write("started", hyops=self._child.pid)
        return self._child.pid

    def _stay(self, began: float) -> None:
        read_until = float("inf")
        while True:
            self._turn(0.25)
            now = time.monotonic()
            if self._rc is None:
                self._rc = processes.reap().get(self._pid)
                if self._rc is not None:
                    self._child.returncode = self._rc
                    read_until = now + DRAIN
                else:
                    self._press(now, began)
            if self._rc is not None and (len(self._selector.get_map()) == 1 or now >= read_until):
                return

    def _turn(self, patience: float) -> None:
        """Wait for output or a signal and handle it."""
        for key, _ in self._selector.select(patience):
            if key.data is None:
                self._hear(os.read(key.fd, 64))
            elif chunk := os.read(key.fd, CHUNK):
                self._note(key.data.feed(chunk))
            else:
                self._selector.unregister(key.fileobj)
        if (now := time.monotonic()) - self._synced_at >= SYNC:
            self._synced_at = now
            self._sync()

    def _sync(self) -> None:
        for output in self._outputs.values():
            output.sync()
        self._journal.sync()

    def _note(self, lines: list[HyOpsLine]) -> None:
        for line in filter(self._repeated.is_new, lines):
            self._journal.line(line)

    def _hear(self, numbers: bytes) -> None:
        if {signal.SIGINT, signal.SIGTERM} & set(numbers):
            self._ask(Stop.CANCEL)

    def _ask(self, why: Stop) -> None:
        if self._stop is Stop.NOT_ASKED:
            self._stop, self._asked_at = why, time.monotonic()

    def _press(self, now: float, began: float) -> None:
        """Interrupt, then SIGTERM, then SIGKILL, each once and in its time."""
        if now - began >= self._order.timeout:
            self._ask(Stop.TIMEOUT)
        if self._stop is Stop.NOT_ASKED:
            return
        order, waited = self._order, now - self._asked_at
        ladder = ((0.0, signal.SIGINT), (order.grace, signal.SIGTERM), (order.grace + order.patience, signal.SIGKILL))
        for step, (due, number) in enumerate(ladder, start=1):
            if waited >= due and self._strongest < step:
                self._strongest = step
                self._journal.write("signal", name=number.name, why=self._stop)
                processes.send(self._pid, number, group=True)

    def _end_strays(self) -> tuple[str, ...]:
        """End what outlived HyOps; the names. Orphans are our children (subreaper), however often they forked."""
        self._outlast(self._order.linger if self._stop is Stop.NOT_ASKED and self._rc == 0 else 0.0)
        strays = processes.descendants(os.getpid())
        if strays:
            self._journal.write("strays", names=[process.name for process in strays], pids=[process.pid for process in strays])
        for number, limit in ((signal.SIGTERM, 1.0), (signal.SIGKILL, 5.0)):
            for process in processes.descendants(os.getpid()):
                processes.send(process.pid, number)
            self._outlast(limit)
        return tuple(sorted(process.name for process in strays))

    def _outlast(self, limit: float) -> None:
        until = time.monotonic() + limit
        while processes.descendants(os.getpid()) and time.monotonic() < until:
            self._turn(0.05)
            processes.reap()


def serve(order_stream: BinaryIO) -> None:
    """Run as the supervisor process: read the order, keep HyOps, leave the final answer in the journal."""
    order = SupervisorOrder.from_json(order_stream)
    held = hold_lock(order.run_dir)
    processes.become_subreaper()

    def ready() -> None:
        with suppress(BrokenPipeError):  # the caller may be gone already
            os.write(1, b"ready\n")
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)

    Supervisor(order, Redactor(order.secrets, order.public)).run(ready)
    os.close(held)


def main() -> None:
    """Entry point of the detached process: leaves the caller's session and process tree, then serves."""
    close_to_others()  # before the order, and the secrets in it, are read
    if os.fork():
        os._exit(0)
    os.setsid()
    serve(sys.stdin.buffer)
