"""Run one stage: open its part of the evidence, and turn a refusal, a cancellation or a bug into a terminal state."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from hyops_ci.contracts.run import TERMINAL, RefusalRecord, State
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import DispatchError, Exit, Fault, Refusal
from hyops_ci.evidence.recorder import BrokenChain, PartRecorder
from hyops_ci.redaction import scrub_patterns
from hyops_ci.report.headline import stopped_state
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.handover import RunDir

StageBody = Callable[[PartRecorder], object]
REFUSAL = "refusal.json"


@dataclass(frozen=True)
class StageEnd:
    """The state in which a stage left the run, and what stopped it."""

    state: State
    refusal: RefusalRecord | None = None


def run_stage(name: str, folder: RunDir, context: RunContext, body: StageBody) -> StageEnd:
    """Run the body of one stage and return where it left the run. Whatever stops it is on disk before this returns.

    Raises Refusal (exit 11) where the events of the stages before do not chain.
    """
    try:
        part = PartRecorder(folder.root, name, context.clock)
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
            body(part)
        except DispatchError as error:
            return stop(part, folder, error)
        except KeyboardInterrupt:
            return stop(part, folder, _interrupted(part.state))
        except Exception as error:  # noqa: BLE001 - the last line of defence: a bug must end in a sealed state, not in a lost run
            return stop(part, folder, _bug(error, part.state))
        return StageEnd(part.state or State.RECEIVED)


def stop(part: PartRecorder, folder: RunDir, error: DispatchError) -> StageEnd:
    """Record what stopped the run, enter the state that this leads to, and return it."""
    record = RefusalRecord.of(error)
    # What a refusal found may be words of HyOps or of an authority, which may repeat what they were sent.
    said = {name: scrub_patterns(part.redact(getattr(record, name))) for name in ("reason", "found", "expected", "fix")}
    record = record.model_copy(update=said)
    if part.state is None:
        part.enter(State.RECEIVED)
    part.refusal(error.gate, **{**error.to_json(), **said})
    if part.state in TERMINAL:  # a stage that was started after the run's end changes nothing about it
        return StageEnd(part.state, record)
    folder.write_json(REFUSAL, record.document())
    part.enter(stopped_state(part.state or State.RECEIVED, error))
    return StageEnd(part.state or State.RECEIVED, record)


def _interrupted(state: State | None) -> Refusal:
    """Return the refusal for a cancellation that came while this process was not waiting for HyOps."""
    done = state is State.VERIFYING
    return Refusal(
        "run.cancelled",
        "cancelled while the service was being verified; HyOps had ended well" if done else "the run was cancelled",
        exit_code=Exit.CANCELLED,
        found=f"an interrupt in {state or State.RECEIVED}",
        expected="a run to its end",
        fix="look at the service: what HyOps did stays done" if done else "start a new run",
    )


def _bug(error: Exception, state: State | None) -> Fault:
    """Return the fault for a bug of our own: its kind and place, never its text, which could hold a secret."""
    frames = traceback.extract_tb(error.__traceback__)
    frame = next((each for each in reversed(frames) if "/hyops_ci/" in each.filename), frames[-1])
    place = f"{frame.filename.rpartition('/hyops_ci/')[2]}:{frame.lineno}"
    touched = state in (State.EXECUTING, State.VERIFYING, State.CLEANING_UP)
    return Fault(
        "internal.error",
        "a fault of dr-dispatch itself",
        exit_code=Exit.INDETERMINATE if touched else Exit.USAGE,
        found=f"{type(error).__name__} at {place}",
        expected="no such fault",
        fix="report it with the evidence of this run; what was changed so far stands in its events",
    )
