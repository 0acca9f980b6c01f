"""What a run's processes do, in the order of the stages, with the library's own code wherever it needs no HyOps.

From the library: the ledger and its rules, `refuse_unfit_job`, `tell_ledger`, `stopped_state`; of conclude `cut_off` and `tell`.
Written here, after `stages/part.py`, `stages/execute.py` and `stages/recovering.py`: the order of it all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

from bench.schedules.process import Call, Hand, ask_for, moment_of
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.ledger import Claim, Tip
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import TERMINAL, State, may_follow
from hyops_ci.errors import DispatchError, Exit, Refusal
from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.execution.outcome import Outcome
from hyops_ci.ledger.ledger import ClaimRequest, Ledger
from hyops_ci.ledger.standby import Chosen
from hyops_ci.stages import conclude as concluding
from hyops_ci.stages.ending import stopped_state
from hyops_ci.stages.execute import refuse_unfit_job, tell_ledger
from hyops_ci.stages.heartbeat import SUPERSEDED
from hyops_ci.stages.job import Job
from hyops_ci.stages.recovering import Act
from hyops_ci.stages.remains import WALK, cut_off
from hyops_ci.stages.rundir import RunDir
from hyops_ci.stages.world import World
from tests.ledger.scene import SERVICE

BUNDLE: Final = "sha256:" + "b" * 64
_NOWHERE: Final = Path("nowhere")
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
    """What a person sees who looks: which side serves, and at which epoch the ledger stood."""

    serves: str
    epoch: int


@dataclass(frozen=True)
class Ended:
    """How HyOps ended."""

    state: State
    moved: bool


BEAT: Final = "beat"
"""The answer to a process that waits for HyOps: four minutes have passed."""


class Part:
    """The evidence of one process, as the stages hold it."""

    def __init__(self, hand: Hand, stage: str, state: State | None) -> None:
        self._hand, self.stage, self.state = hand, stage, state

    def enter(self, state: State, because: str = "", **_: object) -> None:
        """As the recorder does, refusing a move that the table does not allow."""
        if not (state is State.RECEIVED if self.state is None else may_follow(self.state, state)):
            raise ValueError(f"a run does not go from {self.state} to {state}")
        self._hand.enter(self.stage, state, because)
        self.state = state

    def note(self, name: str, **_: object) -> None:
        """No state."""

    def refusal(self, name: str, **_: object) -> None:
        """No state."""


class Asked:
    """The ledger as the stages ask it."""

    def __init__(self, hand: Hand, keep: bool = False) -> None:
        self._hand, self._keep = hand, keep

    def tip(self) -> Tip:
        """Of the real ledger."""
        return self._hand.over_ledger(lambda ledger: ledger.tip())

    def look(self, request: ClaimRequest) -> None:
        """Of the real ledger."""
        self._hand.over_ledger(lambda ledger: ledger.look(request), keep=False)

    def claim(self, request: ClaimRequest) -> Claim:
        """Of the real ledger."""
        return self._hand.over_ledger(lambda ledger: ledger.claim(request))

    def advance(self, claim: Claim, state: State, **how: Any) -> Tip:
        """Of the real ledger; only conclude looks at the answer."""
        return self._hand.over_ledger(lambda ledger: ledger.advance(claim, state, **how), keep=self._keep)

    def renew(self, claim: Claim, *, at: str) -> None:
        """Of the real ledger."""
        self._hand.over_ledger(lambda ledger: ledger.renew(claim, at=at), keep=False)

    def settle(self, **word: Any) -> None:
        """Of the real ledger."""
        self._hand.over_ledger(lambda ledger: ledger.settle(**word), keep=False)


class Clock:
    """The stages' clock."""

    def __init__(self, hand: Hand) -> None:
        self._hand = hand

    def now(self) -> datetime:
        """The schedule's time."""
        return moment_of(self._hand.clock())

    def monotonic(self) -> float:
        """Not asked here."""
        raise NotImplementedError

    def sleep(self, seconds: float) -> None:
        """Not asked here."""
        raise NotImplementedError


def world_of(hand: Hand, keep: bool = False) -> World:
    """The world of the stages, with this ledger in it."""
    job = Job(run_id=hand.run.run_id, attempt=hand.run.attempt, on_github=True)
    chosen = {SERVICE: Chosen(cast("Ledger", Asked(hand, keep)))}
    return World(job, Clock(hand), _NOWHERE, _NOWHERE, ledger_remote="", chosen=chosen)


def plan_of(hand: Hand) -> Plan:
    """The part of a `Plan` that the library's functions use here."""
    return cast("Plan", SimpleNamespace(service=SERVICE, target_site=hand.run.target, env_class=None))


def execute(hand: Hand) -> None:
    """Plan, check and execute of one run, told as `stages/part.py` and `stages/execute.py` do."""
    hand.ask(Call("begin"))
    world, act, part = world_of(hand), Act(), Part(hand, "plan", None)
    _stage(part, lambda: _story(hand, world, act, part))
    hand.sealed = part.state
    if act.claim is not None and part.state is not None:
        tell_ledger(plan_of(hand), act, part.state, BUNDLE, world)


def _story(hand: Hand, world: World, act: Act, part: Part) -> None:
    ledger, run = world.ledger(SERVICE), hand.run
    part.enter(State.RECEIVED)
    ledger.look(ask_for(run, _stamp(world)))
    part.enter(State.PLANNED)
    part.stage = "check"
    part.enter(State.CHECKED)
    part.stage = "execute"
    refuse_unfit_job(plan_of(hand), world)
    part.enter(State.APPROVED)
    hand.ask(Call("lock"))
    act.claim = ledger.claim(ask_for(run, _stamp(world)))
    for state in (State.CLAIMED, State.SECRETS_READY, State.PREFLIGHT_PASSED):
        part.enter(state)
    ledger.advance(act.claim, State.EXECUTING, at=_stamp(world), mutating=True)
    part.enter(State.EXECUTING)
    ended = _see_through(hand, world, act.claim)
    act.outcome = Outcome(ended.state, (), (), (), ended.moved)
    if ended.state in DONE:
        part.enter(State.VERIFYING)
    part.enter(ended.state)


def _see_through(hand: Hand, world: World, claim: Claim) -> Ended:
    """HyOps and the heartbeat beside it: who is told that the lock is gone cancels."""
    hand.ask(Call("start", claim=claim))
    while (answer := hand.ask(Call("wait", claim=claim))) == BEAT:
        try:
            world.ledger(SERVICE).renew(claim, at=_stamp(world))
        except DispatchError as error:
            if error.gate == SUPERSEDED:
                return cast("Ended", hand.ask(Call("cancel", claim=claim)))
    return cast("Ended", answer)


def conclude(hand: Hand) -> None:
    """The last job of a run, wherever the run stopped."""
    found, world, plan = cast("Found", hand.ask(Call("begin"))), world_of(hand, keep=True), plan_of(hand)
    if found.sealed and found.last is not None:
        if found.claim is not None:
            concluding.tell(plan, found.claim, found.last, BUNDLE, world, moved=found.moved)
        return
    part, folder = Part(hand, "conclude", found.last), Folder(plan, found.claim)
    _stage(part, lambda: _left(part, folder, world))
    hand.sealed = part.state
    if folder.claim is not None and part.state is not None:
        unbegun = not found.begun and State.EXECUTING not in [each.state for each in hand.trail]
        concluding.tell(plan, folder.claim, part.state, BUNDLE, world, moved=found.moved, unbegun=unbegun)


def _left(part: Part, folder: Folder, world: World) -> None:
    """As `settle_state` does."""
    recorder, run = cast("PartRecorder", part), cast("RunDir", folder)
    if part.state is None:
        part.enter(State.RECEIVED)
    if part.state in TERMINAL or (part.state in WALK and cut_off(recorder, run, world) is not None):
        return
    raise Refusal("run.cancelled", "the run was cancelled", exit_code=Exit.CANCELLED)


class Folder:
    """The run's folder as `cut_off` uses it."""

    def __init__(self, plan: Plan, claim: Claim | None) -> None:
        self._plan, self.claim = plan, claim

    def read_model(self, name: str, _: object) -> Plan:
        """Only the plan is read."""
        assert name == "plan.json"
        return self._plan

    def write_model(self, name: str, model: Claim) -> None:
        """Only the claim is written."""
        assert name == "claim.json"
        self.claim = model

    def write_json(self, name: str, value: object) -> None:
        """The refusal, which the states say too."""


def settle(hand: Hand) -> None:
    """A person looks, and says which side serves."""
    seen = cast("Seen", hand.ask(Call("begin")))
    with _nothing_done():
        Asked(hand).settle(
            serves=seen.serves, home_site="onprem", reason="looked", settled_by="jonas", at=stamp(moment_of(hand.clock())), epoch=seen.epoch
        )


def _stage(part: Part, story: Callable[[], None]) -> None:
    """As `run_stage` does: whatever stops the story leads to a state."""
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


def _stamp(world: World) -> str:
    return stamp(world.clock.now())
