"""What a run's processes do, in the order of the stages, with the library's own code wherever it needs no HyOps.

From the library: the ledger and its rules, `refuse_unfit_job`, `record_end`, `stopped_state`; of conclude `cut_off` and `close_claim`.
Written here, after `stages/runner.py`, `stages/execute/stage.py` and `stages/execute/recovery.py`: the order of the calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, cast

from hyops_ci.contracts.approval import Subject
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.ledger import Claim
from hyops_ci.contracts.run import TERMINAL, State
from hyops_ci.errors import DispatchError, Exit, Refusal
from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.execution.outcome import Outcome
from hyops_ci.execution.verification import ProbeResult, Verification
from hyops_ci.ledger.transitions import first_tip
from hyops_ci.report.headline import stopped_state
from hyops_ci.stages.conclude.crashed import WALK, cut_off
from hyops_ci.stages.conclude.stage import Closing, close_claim
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.execute.heartbeat import SUPERSEDED
from hyops_ci.stages.execute.stage import record_end, refuse_unfit_job
from hyops_ci.stages.execution_state import ExecutionState
from hyops_ci.stages.handover import RunDir
from tests.ledger.ledger_setup import SERVICE, at, signed
from tests.simulation import keys
from tests.simulation.fixtures import Folder, LedgerProxy, Part, plan_of, world_of
from tests.simulation.process import Call, Replay, Run, ask_for, moment_of

BUNDLE: Final = "sha256:" + "b" * 64
DONE: Final = (State.COMPLETED, State.COMPLETED_WITH_EXCEPTIONS)


@dataclass(frozen=True)
class Found:
    """What conclude finds of execute: its sealed bundle, or its open folder, or neither."""

    last: State | None
    sealed: bool = False
    claim: Claim | None = None
    moved: bool = False
    begun: bool = False
    """Its events reach EXECUTING."""


@dataclass(frozen=True)
class Seen:
    """What a person finds: the site that serves, and the epoch of the ledger."""

    serves: str
    epoch: int


@dataclass(frozen=True)
class Ended:
    """How HyOps ended."""

    state: State
    moved: bool


BEAT: Final = "beat"
"""The answer to a process that waits for HyOps: four minutes have passed."""


SEEN: Final = Verification((ProbeResult("tcp", "db:5432", True, "TCP db:5432 open", 1),))
"""What the probes of every run that ends well have seen: a run that nobody saw moves nothing, and waits for a person."""


def execute(replay: Replay) -> None:
    """Plan, check and execute of one run, in order as `stages/runner.py` and `stages/execute/stage.py` do."""
    replay.ask(Call("begin"))
    world, execution, part = world_of(replay), ExecutionState(plan=plan_of(replay)), Part(replay, "plan", None)
    _stage(part, lambda: _recover(replay, world, execution, part))
    replay.sealed = part.state
    if part.state is not None:
        record_end(execution, part.state, BUNDLE, world)


def _recover(replay: Replay, world: RunContext, execution: ExecutionState, part: Part) -> None:
    ledger, run = world.ledger(SERVICE), replay.run
    part.enter(State.RECEIVED)
    ledger.look(ask_for(run, _stamp(world)))
    part.enter(State.PLANNED)
    part.stage = "check"
    part.enter(State.CHECKED)
    part.stage = "execute"
    refuse_unfit_job(plan_of(replay), world)
    part.enter(State.APPROVED)
    replay.ask(Call("lock"))
    claim = execution.claim = ledger.claim(ask_for(run, _stamp(world)))
    for state in (State.CLAIMED, State.SECRETS_READY, State.PREFLIGHT_PASSED):
        part.enter(state)
    ledger.advance(claim, State.EXECUTING, at=_stamp(world), mutating=True)
    part.enter(State.EXECUTING)
    ended = _see_through(replay, world, claim)
    execution.outcome = Outcome(ended.state, (), (), (), ended.moved)
    if ended.state in DONE:
        part.enter(State.VERIFYING)
        execution.verification = SEEN
    part.enter(ended.state)


def _see_through(replay: Replay, world: RunContext, claim: Claim) -> Ended:
    """HyOps and its heartbeat: a process whose claim is gone cancels HyOps."""
    replay.ask(Call("start", claim=claim))
    while (answer := replay.ask(Call("wait", claim=claim))) == BEAT:
        try:
            world.ledger(SERVICE).renew(claim, at=_stamp(world))
        except DispatchError as error:
            if error.gate == SUPERSEDED:
                return cast("Ended", replay.ask(Call("cancel", claim=claim)))
    return cast("Ended", answer)


def conclude(replay: Replay) -> None:
    """The last job of a run, wherever the run stopped."""
    found, world, plan = cast("Found", replay.ask(Call("begin"))), world_of(replay, keep=True, on_host=False), plan_of(replay)
    if found.sealed and found.last is not None:
        if found.claim is not None:
            close_claim(plan, found.claim, Closing(found.last, BUNDLE, found.moved), keys.config(), world)
        return
    part, folder = Part(replay, "conclude", found.last), Folder(plan, found.claim)
    _stage(part, lambda: _left(part, folder, world))
    replay.sealed = part.state
    if folder.claim is not None and part.state is not None:
        unbegun = not found.begun and State.EXECUTING not in [each.state for each in replay.trail]
        close_claim(plan, folder.claim, Closing(part.state, BUNDLE, found.moved, unbegun=unbegun), keys.config(), world)


def _left(part: Part, folder: Folder, world: RunContext) -> None:
    """As `terminal_state` does."""
    recorder, run = cast("PartRecorder", part), cast("RunDir", folder)
    if part.state is None:
        part.enter(State.RECEIVED)
    if part.state in TERMINAL or (part.state in WALK and cut_off(recorder, run, world, {"execute": "failure"}) is not None):
        return
    raise Refusal("run.cancelled", "the run was cancelled", exit_code=Exit.CANCELLED)


def settle(replay: Replay) -> None:
    """A person finds out and settles which site serves."""
    seen = cast("Seen", replay.ask(Call("begin")))
    with _nothing_done():
        LedgerProxy(replay).settle(
            serves=seen.serves,
            home_site="onprem",
            reason="looked",
            settled_by="jonas",
            at=stamp(moment_of(replay.clock())),
            epoch=seen.epoch,
        )


def approve(replay: Replay) -> None:
    """A person pushes a signed approval for a run, at any moment."""
    replay.ask(Call("begin"))
    about, envelope = _yes_to(replay.run)
    with _nothing_done():
        LedgerProxy(replay).answer(envelope, about, stamp(moment_of(replay.clock())))


@lru_cache(maxsize=64)
def _yes_to(run: Run) -> tuple[Subject, dict[str, Any]]:
    asked = ask_for(run, at())
    about = Subject(
        repository_id=4711,
        ledger_id=first_tip(SERVICE, "a" * 32, "onprem", at()).ledger_id,
        min_epoch=0,
        nonce=f"{run.number:032x}",
        decision_digest=asked.decision_digest,
        plan_digest=asked.plan_digest,
        check_digest=asked.check_digest,
        service=SERVICE,
        decision_type=run.decision_type,
    )
    return about, signed(about, minutes=100_000)


def _stage(part: Part, story: Callable[[], None]) -> None:
    """As `run_stage` does: every error leads to a terminal state."""
    try:
        story()
    except DispatchError as error:
        if part.state is None:
            part.enter(State.RECEIVED)
        if part.state in TERMINAL:
            return
        before = part.state or State.RECEIVED
        part.enter(stopped_state(before, error), because=error.gate)


@contextmanager
def _nothing_done() -> Iterator[None]:
    try:
        yield
    except DispatchError:
        return


def _stamp(world: RunContext) -> str:
    return stamp(world.clock.now())
