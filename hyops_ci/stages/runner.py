"""How every stage begins and ends: its part of the evidence is open throughout, and whatever stops it is written down."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass

from hyops_ci.contracts.run import TERMINAL, RefusalRecord, State
from hyops_ci.errors import DispatchError, Exit, Fault, Refusal
from hyops_ci.evidence.recorder import BrokenChain, PartRecorder
from hyops_ci.report.headline import stopped_state
from hyops_ci.stages.context import World
from hyops_ci.stages.handover import RunDir

Story = Callable[[PartRecorder], None]
REFUSAL = "refusal.json"


@dataclass(frozen=True)
class StageEnd:
    """Where a stage left the run, and what stopped it."""

    state: State
    refusal: RefusalRecord | None = None


def run_stage(name: str, run: RunDir, world: World, story: Story) -> StageEnd:
    """Tell one stage's story. A refusal ends the run in the state that it leads to; the record is on disk before this returns."""
    try:
        part = PartRecorder(run.root, name, world.clock)
    except BrokenChain as error:
        raise Refusal(
            "handover.chain",
            "the events handed over do not hold together",
            exit_code=Exit.EVIDENCE,
            found=str(error),
            expected="an unbroken chain",
            fix="start a new run",
        ) from None
    with part:
        try:
            story(part)
        except DispatchError as error:
            return stop(part, run, error)
        except KeyboardInterrupt:
            return stop(part, run, _interrupted(part.state))
        except Exception as error:  # noqa: BLE001 - the last line of defence: a bug must end in a sealed state, not in a lost run
            return stop(part, run, _bug(error, part.state))
        return StageEnd(part.state or State.RECEIVED)


def stop(part: PartRecorder, run: RunDir, error: DispatchError) -> StageEnd:
    """Write down what stopped the run and enter the state that this leads to."""
    record = RefusalRecord.of(error)
    if part.state is None:
        part.enter(State.RECEIVED)
    part.refusal(error.gate, **error.to_json())
    if part.state in TERMINAL:  # a stage that was started although the run is over changes nothing about its end
        return StageEnd(part.state, record)
    run.write_json(REFUSAL, record.document())
    part.enter(stopped_state(part.state or State.RECEIVED, error))
    return StageEnd(part.state or State.RECEIVED, record)


def _interrupted(state: State | None) -> Refusal:
    """A cancel that came while this process was not waiting for HyOps."""
    return Refusal(
        "run.cancelled",
        "the run was cancelled",
        exit_code=Exit.CANCELLED,
        found=f"an interrupt in {state or State.RECEIVED}",
        expected="a run to its end",
        fix="start a new run",
    )


def _bug(error: Exception, state: State | None) -> Fault:
    """A fault of our own: its kind and place, never its text, which could hold a secret."""
    frames = traceback.extract_tb(error.__traceback__)
    frame = next((each for each in reversed(frames) if "/hyops_ci/" in each.filename), frames[-1])
    place = f"{frame.filename.rpartition('/hyops_ci/')[2]}:{frame.lineno}"
    touched = state in (State.EXECUTING, State.VERIFYING)
    return Fault(
        "internal.error",
        "a fault of dr-dispatch itself",
        exit_code=Exit.INDETERMINATE if touched else Exit.USAGE,
        found=f"{type(error).__name__} at {place}",
        expected="no such fault",
        fix="report it with the evidence of this run; what was changed so far stands in its events",
    )
