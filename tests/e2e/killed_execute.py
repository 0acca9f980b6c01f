"""Execute in a process of its own that kills itself, hard, right after a chosen moment. `python killed_execute.py <folder> <moment>`."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Never

from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.operations.rehearse.sandbox import Site
from hyops_ci.stages.context import RunContext, SystemClock
from hyops_ci.stages.execute import stage
from hyops_ci.stages.handover import RunDir


def world_of(folder: Path, run: RunDir) -> RunContext:
    """The world of the run that was planned in `folder`."""
    world = Site(folder, SystemClock()).world()
    return replace(world, job=replace(world.job, run_id=run.read_json("job.json")["run_id"]))


def moment_of(kind: str, name: str, data: dict[str, Any]) -> str:
    """An event as one word: `transition:CLAIMED`, `step:postgresql_restore:running`."""
    if name in ("step", "cleanup.step"):
        return f"{name.removesuffix('.step')}:{data['step']}:{data['status']}"
    return f"{kind}:{name}"


def die() -> Never:
    """As an out-of-memory killer, a pulled plug or a cancelled step ends it: nothing runs afterwards."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


def lie_in_wait(moment: str) -> None:
    """Die right after `moment` is on disk, or in the ledger; `torn:...` inside the line."""
    write, claim, advance, seal = PartRecorder._write, Ledger.claim, Ledger.advance, stage.seal_run

    def _write(self: PartRecorder, kind: str, name: str, data: dict[str, Any]) -> None:
        word = moment_of(kind, name, data)
        if moment == f"torn:{word}":
            os.write(self._file, b'{"at":"2026-11-23T03:04:31.000000Z","data":{')
            die()
        write(self, kind, name, data)
        if moment == word:
            die()

    def _claim(self: Ledger, request: Any) -> Any:
        made = claim(self, request)
        return die() if moment == "push:claim" else made

    def _advance(self: Ledger, *args: Any, **words: Any) -> Any:
        made = advance(self, *args, **words)
        return die() if moment == f"push:{args[1]}" else made

    def _seal(*args: Any) -> Any:
        sealed = seal(*args)
        return die() if moment == "sealed" else sealed

    PartRecorder._write, Ledger.claim, Ledger.advance = _write, _claim, _advance  # type: ignore[method-assign]  # of this process alone
    stage.seal_run = _seal


def main() -> None:
    """Carry out what was planned, checked and approved in the folder."""
    folder, moment = Path(sys.argv[1]), sys.argv[2]
    run = RunDir(folder / "run-1" / "run")
    lie_in_wait(moment)
    stage.execute(run, world_of(folder, run), (folder / "approvals.json").read_text())


if __name__ == "__main__":
    main()
