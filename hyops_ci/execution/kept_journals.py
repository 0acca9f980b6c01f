"""Journals of HyOps that outlive the job that started it: a runner empties its temporary folder, and HyOps may end after that.

They lie in the state folder of the user that hyops-ci runs as, one folder for each run. What is read there is what the supervisor wrote,
and what HyOps' own children could have written: it is told as HyOps' word, and decides nothing.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

from hyops_ci.contracts.base import stamp, whole_second
from hyops_ci.execution.grammar import FinalLine, StepEvent
from hyops_ci.execution.journal import JOURNAL, lock_is_held
from hyops_ci.execution.run_handle import Condition, SupervisedRun

RUNS: Final = "runs"
DEPLOY: Final = "deploy"
NAMES: Final = ("destroy-first", DEPLOY, "destroy")
"""Journals of a run, in the order in which they begin: a drill removes what an earlier one left, recovers, and removes what it made."""
MAX_RUNS: Final = 20
"""Runs that are kept, the newest."""
MAX_BYTES: Final = 512 << 20
"""Bytes of all of them; the newest is kept whatever its size."""


def keep(state_dir: Path, run_id: str, here: Path, name: str = DEPLOY) -> None:
    """Let the journal at `here`, which is yet to be made, outlive the folder that it is in, and remove old ones.

    Where `here` is a link already, the journal lies with another user, and only the way to it is kept. Raises OSError.
    """
    kept = _place(state_dir, run_id, name)
    kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_old(kept.parent)
    if here.is_symlink():
        with suppress(FileExistsError):
            kept.symlink_to(here.readlink())
        return
    kept.mkdir(mode=0o700, exist_ok=True)
    here.symlink_to(kept)


def journal_of(state_dir: Path, run_id: str, name: str = DEPLOY) -> Path | None:
    """Return the folder of a journal of a run on this host, None where there is none."""
    kept = _place(state_dir, run_id, name)
    return kept if kept.is_dir() else None


def at_work(state_dir: Path, run_id: str) -> bool | None:
    """Return whether a run's HyOps is at work on this host; None where nothing is known of it here."""
    found = _begun(state_dir, run_id)
    return any(SupervisedRun.attach(journal).condition is Condition.RUNNING for journal in found) if found else None


def last_word(state_dir: Path, run_id: str) -> str:
    """Return in a line what the supervisor of a run last wrote on this host, empty where it wrote nothing here."""
    found = _begun(state_dir, run_id)
    if not found:
        return ""
    run = SupervisedRun.attach(found[-1])
    view, condition = run.view(), run.condition
    steps = [
        f", last step {event.line.step} {event.line.status} at {whole_second(stamp(event.at))}"
        for event in view.events
        if isinstance(event.line, StepEvent)
    ]
    finals = [line.status for line in view.lines if isinstance(line, FinalLine)]
    last = steps[-1] if steps else ""
    if condition is Condition.RUNNING:
        return f"HyOps of run {run_id} is STILL AT WORK on this host{last}"
    if condition is Condition.UNKNOWN or view.ended is None:
        return f"HyOps of run {run_id} left no last word on this host{last}"
    return f"HyOps of run {run_id} ended with rc {view.ended.rc}, status {finals[-1] if finals else 'not said'}{last}"


def _place(state_dir: Path, run_id: str, name: str) -> Path:
    return state_dir / RUNS / (run_id if name == DEPLOY else f"{run_id}.{name}")


def _begun(state_dir: Path, run_id: str) -> list[Path]:
    """Return the journals of a run on this host, in the order in which they begin, without those that never began but the deploy's."""
    found = [(name, journal) for name in NAMES if (journal := journal_of(state_dir, run_id, name)) is not None]
    return [journal for name, journal in found if name == DEPLOY or (journal / JOURNAL).exists()]


def _remove_old(folder: Path) -> None:
    """Remove runs beyond the newest, and beyond what all may take; never one that is at work."""
    runs = sorted(folder.iterdir(), key=lambda each: each.lstat().st_mtime, reverse=True)
    taken = 0
    for number, run in enumerate(runs):
        taken += 0 if run.is_symlink() else sum(each.stat().st_size for each in run.glob("*"))
        if number and (number >= MAX_RUNS - 1 or taken > MAX_BYTES) and not lock_is_held(run):
            with suppress(OSError):
                if run.is_symlink():
                    run.unlink()
                else:
                    shutil.rmtree(run)
