"""Process trees on Linux: who descends from us, and how the strays of HyOps are ended.

SIGTERM kills `hyops` at once and orphans `ansible-playbook`, which goes on changing things (docs/hyops.md).
A child subreaper inherits such orphans, so whatever HyOps started stays below its supervisor.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

from hyops_ci.dataclass import dataclass
from hyops_ci.execution.prctl import prctl

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36


@dataclass(frozen=True, slots=True)
class Process:
    """One process as `/proc/<pid>/stat` shows it. `start` in clock ticks since boot tells pids that were reused apart."""

    pid: int
    name: str
    state: str
    parent: int
    session: int
    start: int


def become_subreaper() -> None:
    """Orphaned descendants become our children instead of init's. Raises OSError when the kernel refuses."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def interrupt_when_parent_dies() -> None:
    """Runs in HyOps' process before exec: should its supervisor be killed, HyOps gets the interrupt it handles."""
    prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def read_process(pid: int) -> Process | None:
    """Return the process, or None when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return Process(pid, head.partition("(")[2], fields[0], int(fields[1]), int(fields[3]), int(fields[19]))


def descendants(root: int) -> tuple[Process, ...]:
    """Living processes below `root`, zombies left out, in no particular order."""
    everyone = [process for path in Path("/proc").glob("[0-9]*") if (process := read_process(int(path.name)))]
    below = {root}
    grown = True
    while grown:
        more = {process.pid for process in everyone if process.parent in below} - below
        below |= more
        grown = bool(more)
    return tuple(process for process in everyone if process.pid in below and process.pid != root and process.state not in "ZX")


def send(pid: int, number: signal.Signals, *, group: bool = False) -> bool:
    """Send a signal to a process or to its group; whether anybody was there to receive it."""
    with suppress(ProcessLookupError, PermissionError):
        (os.killpg if group else os.kill)(pid, number)
        return True
    return False


def reap() -> dict[int, int]:
    """Collect every child that has ended: pid -> exit code, or minus the signal that ended it."""
    collected: dict[int, int] = {}
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            collected[ended[0]] = os.waitstatus_to_exitcode(ended[1])
    return collected
