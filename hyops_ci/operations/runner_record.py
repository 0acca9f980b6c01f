"""Evidence of work on a runner outside a run: its events and what it found, sealed like a run that was recorded only.

It recovers nothing: the bundle ends in RECORDED, or in what refused it, and anyone verifies it with `hyops-ci evidence verify`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hyops_ci.contracts.run import State
from hyops_ci.dataclass import dataclass
from hyops_ci.evidence.bundle import Sealed
from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.redaction import Redactor
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.execution_state import ExecutionState
from hyops_ci.stages.handover import RunDir, new_run
from hyops_ci.stages.planned_run import CONFIG
from hyops_ci.stages.runner import StageEnd, run_stage
from hyops_ci.stages.sealing import seal_run


@dataclass(frozen=True)
class Recorded:
    """How it ended, and the bundle."""

    end: StageEnd
    sealed: Sealed

    @property
    def exit_code(self) -> int:
        """Of the command: what refused it, else 0; 11 where its own bundle does not verify."""
        return int(self.end.refusal.exit_code) if self.end.refusal else 11 if self.sealed.problems else 0


@dataclass(frozen=True)
class Occasion:
    """What is recorded."""

    stage: str
    """Whose part it is."""
    words: str
    """What it was, in the events."""
    config: bytes
    """The reviewed config, which says who signs."""


def record(about: Occasion, folder: Path, context: RunContext, body: Callable[[PartRecorder, RunDir], None], hidden: list[str]) -> Recorded:
    """Carry out `body` and seal what it left in its folder into `<folder>/evidence.tar`.

    `hidden` gets every secret value before it could be shown: none is sealed. Raises Refusal (exit 2) for a folder that is in use.
    """
    run = new_run(folder / "run")
    run.write(CONFIG, about.config)

    def whole(part: PartRecorder) -> None:
        part.redact = lambda value: Redactor(hidden).json(value)
        part.enter(State.RECEIVED)
        part.note("occasion", words=about.words)
        body(part, run)
        part.enter(State.RECORDED)

    end = run_stage(about.stage, run, context, whole)
    return Recorded(end, seal_run(run, context, end, ExecutionState(redactor=Redactor(hidden))))
