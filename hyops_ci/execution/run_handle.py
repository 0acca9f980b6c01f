"""Start HyOps under a supervisor process, watch it, cancel it, or find it again after a crash (docs/design/workflows.md 4).

    run = SupervisedRun.start(SupervisorOrder(argv, env, run_dir, timeout=3600, secrets=values), on_line=print, on_step=note)
    ended = run.wait_past_cancel()    # Ended, or None: no final answer. SIGINT and SIGTERM become a cancel

Whatever happens to this process, the journal in `run_dir` says what HyOps did: `SupervisedRun.attach(run_dir)`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from hyops_ci import files, start
from hyops_ci.errors import Exit, Fault
from hyops_ci.execution import journal, processes, supervisor
from hyops_ci.execution.grammar import HyOpsLine
from hyops_ci.execution.journal import Ended, JournalView
from hyops_ci.execution.streams import LineSplitter, printable
from hyops_ci.execution.supervisor import MAX_OUTPUT, SupervisorOrder

CANCEL_WAIT: Final = 9.0
"""Seconds a cancelled step waits: GitHub kills it 10 s after the interrupt."""
POLL: Final = 0.05
"""Seconds between two looks at the journal, once a command has run for `QUICK` seconds; a tenth of it before."""
QUICK: Final = 2.0
_KEPT: Final = ("PATH", "HOME", "LANG", "TMPDIR")
"""What the supervisor process itself needs. RUNNER_TRACKING_ID above all stays out: the runner ends what carries it."""
UTF8: Final = ("-X", "utf8") if sys.flags.utf8_mode else ()
"""Paths are to mean the same there as here."""
_START: Final = Path(start.__file__).resolve()

OnLine = Callable[[str], object]
OnStep = Callable[[HyOpsLine, datetime], object]


class Condition(StrEnum):
    """Condition of a supervised run."""

    RUNNING = "running"
    FINISHED = "finished"
    UNKNOWN = "unknown"
    """No final record, and no process left that could write one."""


class SupervisedRun:
    """One supervised HyOps command, from its caller's side."""

    def __init__(
        self, run_dir: Path, *, on_line: OnLine | None = None, on_step: OnStep | None = None, cancel: Callable[[], bool] | None = None
    ) -> None:
        self.run_dir, self._cancel = run_dir, cancel
        self._on_line, self._on_step = on_line or _ignore, on_step or _ignore
        self._read_to = 0
        self._splitters = {name: LineSplitter() for name in journal.STREAMS}
        self._ended: Ended | None = None
        self._since = time.monotonic()

    @classmethod
    def start(
        cls,
        order: SupervisorOrder,
        *,
        on_line: OnLine | None = None,
        on_step: OnStep | None = None,
        hold: Iterable[int] = (),
    ) -> SupervisedRun:
        """Start a command; returns when it runs.

        `on_line` gets each line ready to print, `on_step` each line that means something with its time; both during
        `wait`, in this process. `hold` are open file descriptors, such as the host lock, that stay open as long as the
        supervisor lives.
        Raises Fault (`hyops.supervisor`, exit 9) when the supervisor cannot be started; a HyOps that cannot be
        started is an `Ended` with `rc` None.
        """
        journal.create(order.run_dir)
        _launch(order, tuple(hold))
        return cls(order.run_dir, on_line=on_line, on_step=on_step)

    @classmethod
    def attach(
        cls, run_dir: Path, *, on_line: OnLine | None = None, on_step: OnStep | None = None, cancel: Callable[[], bool] | None = None
    ) -> SupervisedRun:
        """Find a run again, from any process; `condition` says what is left of it. `cancel` asks a supervisor of another user to end it."""
        return cls(run_dir, on_line=on_line, on_step=on_step, cancel=cancel)

    @property
    def condition(self) -> Condition:
        """Whether there is a final answer, and if not, whether one can still come."""
        held = journal.lock_is_held(self.run_dir)
        if self.view().ended is not None:
            return Condition.FINISHED
        return Condition.RUNNING if held else Condition.UNKNOWN

    def view(self) -> JournalView:
        """Return the journal as it is now."""
        return journal.read_journal(self.run_dir)

    def wait(self, limit: float | None = None) -> Ended | None:
        """Pass on what comes until the final answer, at most `limit` seconds.

        None means no final answer: the limit has passed (`condition` is running) or the supervisor is gone (unknown).
        """
        until = None if limit is None else time.monotonic() + limit
        while True:  # a preflight is over within a second, a recovery takes minutes
            alive = journal.lock_is_held(self.run_dir)
            self._follow()
            if self._ended is not None or not alive or (until is not None and time.monotonic() >= until):
                return self._ended
            time.sleep(POLL if time.monotonic() - self._since > QUICK else POLL / 10)

    def wait_past_cancel(self, patience: float = CANCEL_WAIT) -> Ended | None:
        """`wait`, with SIGINT and SIGTERM to this process taken as a cancel; then at most `patience` seconds more.

        GitHub interrupts a cancelled step, sends SIGTERM 7.5 s and kills 2.5 s later; the supervisor goes on to the
        end whatever becomes of this process. Main thread only, as all signal handling.
        """
        asked: list[float] = []

        def ask(*_: object) -> None:
            if not asked:
                asked.append(time.monotonic())
                self.cancel()

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            while (ended := self.wait(0.25)) is None and journal.lock_is_held(self.run_dir):
                if asked and time.monotonic() - asked[0] >= patience:
                    break
            return ended or self.wait(0)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def cancel(self) -> bool:
        """Ask for an end: interrupt, 20 s, SIGTERM, 5 s, SIGKILL. Returns at once; whether a supervisor was there to ask."""
        if self._cancel is not None:
            return self._cancel()
        view = self.view()
        pid = view.supervisor_pid if view.ended is None else None
        return bool(pid) and journal.lock_is_held(self.run_dir) and processes.send(pid or 0, signal.SIGINT)

    def stdout(self) -> str:
        """Return all of the redacted standard output so far."""
        return self._text("stdout")

    def stderr(self) -> str:
        """Return all of the redacted standard error so far."""
        return self._text("stderr")

    def _text(self, stream: str) -> str:
        try:
            text = files.read_from(self.run_dir / f"{stream}.log", 0, MAX_OUTPUT)
        except (OSError, files.UnsafeFile):
            return ""
        return text.decode("utf-8", errors="replace")

    def _follow(self) -> None:
        """Hand on the records that were written since the last look."""
        text = self._new(journal.JOURNAL, self._read_to, journal.MAX_JOURNAL)
        whole = text[: text.rfind(b"\n") + 1]
        self._read_to += len(whole)
        for record in journal.records(whole):
            match record.get("kind"):
                case "line" if event := journal.timed_line(record):
                    self._on_step(event.line, event.at)
                case "output" if record.get("stream") in journal.STREAMS:
                    self._show(record["stream"], record.get("offset"), record.get("bytes"))
                case "ended" if ended := journal.ended_of(record):
                    for splitter in self._splitters.values():
                        self._print(splitter.close())
                    self._ended = ended

    def _show(self, stream: str, offset: object, size: object) -> None:
        if isinstance(offset, int) and isinstance(size, int) and 0 <= offset <= MAX_OUTPUT and 0 <= size <= MAX_OUTPUT:
            self._print(self._splitters[stream].feed(self._new(f"{stream}.log", offset, size)))

    def _new(self, name: str, offset: int, most: int) -> bytes:
        """Bytes of a file of the run from `offset` on; none where there is no such plain file."""
        with suppress(OSError, files.UnsafeFile):
            return files.read_from(self.run_dir / name, offset, most)
        return b""

    def _print(self, lines: list[bytes]) -> None:
        for line in lines:
            self._on_line(printable(line))


def _launch(order: SupervisorOrder, hold: tuple[int, ...]) -> None:
    """Start the supervisor process and wait until it reports that HyOps runs, or for its end."""
    run_dir = order.run_dir
    env = {name: os.environ[name] for name in _KEPT if name in os.environ}
    errors = os.open(run_dir / "supervisor.err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", *UTF8, str(_START), supervisor.__name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=env,
            cwd="/",
            pass_fds=hold,
        )
    finally:
        os.close(errors)
    try:
        said, _ = process.communicate(order.to_json())
    except BaseException:
        # Interrupted in the moment of the start: no caller will hold this run, so it is cancelled before anything else.
        _cancel_whatever_started(run_dir)
        raise
    if said != b"ready\n" and journal.read_journal(run_dir).ended is None:
        raise Fault(
            "hyops.supervisor",
            "the supervisor of HyOps did not start",
            exit_code=Exit.HYOPS,
            found=_last_line(run_dir / "supervisor.err"),
            expected="a supervisor process of its own session; HyOps was not started",
            fix="run hyops-ci doctor on the runner",
        )


def _cancel_whatever_started(run_dir: Path, limit: float = 5.0) -> None:
    run, until = SupervisedRun.attach(run_dir), time.monotonic() + limit
    while not run.cancel() and run.condition is not Condition.FINISHED and time.monotonic() < until:
        time.sleep(POLL)


def _last_line(path: Path) -> str:
    lines = files.read_end(path, 4096).decode("utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "no message")


def _ignore(*_: object) -> None:
    """Discard the line."""
