"""HyOps commands that change nothing and end within seconds, `--version` and the preflight: run to their end without a supervisor.

The deploy has one (`run_handle`), since it must outlive this process. A question ends with the process that asks it.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from hyops_ci.dataclass import dataclass
from hyops_ci.execution import processes

MAX_ANSWER: Final = 4 * 1024 * 1024
"""Bytes of standard output that are read. A longer answer is none."""
GRACE: Final = 5.0
"""Seconds from SIGTERM to SIGKILL for a command that took too long or said too much."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command answered. `rc` is None where it had to be ended, and `error` says why."""

    rc: int | None
    stdout: str = ""
    error: str = ""


def ask(argv: Sequence[str], environment: Mapping[str, str], *, timeout: float) -> Answer:
    """Return the answer of a command. `timeout` in seconds. Raises OSError where it cannot be started."""
    until = time.monotonic() + timeout
    with subprocess.Popen(
        argv,
        env=dict(environment),
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=processes.interrupt_when_parent_dies,
    ) as child:
        try:
            said = _read(child, until)
            if said is None:
                return Answer(None, error=f"more than {MAX_ANSWER} bytes of output")
            return Answer(child.wait(_left(until)), said.decode("utf-8", errors="replace"))
        except subprocess.TimeoutExpired:
            return Answer(None, error=f"no answer within {timeout:g} s")
        finally:
            if child.poll() is None:
                _end(child)


def _read(child: subprocess.Popen[bytes], until: float) -> bytes | None:
    """Return standard output to its end, None where it is too long. Raises TimeoutExpired."""
    pipe = child.stdout.fileno() if child.stdout is not None else -1
    said = bytearray()
    while len(said) <= MAX_ANSWER:
        if not select.select([pipe], [], [], _left(until))[0]:
            raise subprocess.TimeoutExpired(child.args, 0)
        part = os.read(pipe, 65536)
        if not part:
            return bytes(said)
        said += part
    return None


def _left(until: float) -> float:
    return max(0.0, until - time.monotonic())


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the command and everything in its session."""
    processes.send(child.pid, signal.SIGTERM, group=True)
    with suppress(subprocess.TimeoutExpired):
        child.wait(GRACE)
    processes.send(child.pid, signal.SIGKILL, group=True)
