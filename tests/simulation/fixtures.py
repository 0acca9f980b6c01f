"""What the library's functions get in place of a disk, a clock and a ledger: each passes its calls on to the `Replay`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

from hyops_ci.contracts.approval import Subject
from hyops_ci.contracts.ledger import Claim, Tip
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import State, may_follow
from hyops_ci.ledger.ledger import ClaimRequest, Ledger
from hyops_ci.ledger.standby import ChosenLedger
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.job import Job
from tests.ledger.ledger_setup import SERVICE
from tests.simulation.process import Replay, moment_of

_NOWHERE: Final = Path("nowhere")


class Part:
    """The evidence of one process, as the stages hold it."""

    def __init__(self, replay: Replay, stage: str, state: State | None) -> None:
        self._replay, self.stage, self.state = replay, stage, state

    def enter(self, state: State, because: str = "", **_: object) -> None:
        """As the recorder does, refusing a move that the table does not allow."""
        if not (state is State.RECEIVED if self.state is None else may_follow(self.state, state)):
            raise ValueError(f"a run does not go from {self.state} to {state}")
        self._replay.enter(self.stage, state, because)
        self.state = state

    def note(self, name: str, **_: object) -> None:
        """No state."""

    def refusal(self, name: str, **_: object) -> None:
        """No state."""


class LedgerProxy:
    """The ledger as the stages ask it."""

    def __init__(self, replay: Replay, keep: bool = False) -> None:
        self._replay, self._keep = replay, keep

    def tip(self) -> Tip:
        """Of the real ledger."""
        return self._replay.on_ledger(lambda ledger: ledger.tip())

    def look(self, request: ClaimRequest) -> None:
        """Of the real ledger."""
        self._replay.on_ledger(lambda ledger: ledger.look(request), keep=False)

    def claim(self, request: ClaimRequest) -> Claim:
        """Of the real ledger."""
        return self._replay.on_ledger(lambda ledger: ledger.claim(request))

    def advance(self, claim: Claim, state: State, **how: Any) -> Tip:
        """Of the real ledger; only conclude looks at the answer."""
        return self._replay.on_ledger(lambda ledger: ledger.advance(claim, state, **how), keep=self._keep)

    def renew(self, claim: Claim, *, at: str) -> None:
        """Of the real ledger."""
        self._replay.on_ledger(lambda ledger: ledger.renew(claim, at=at), keep=False)

    def answer(self, envelope: dict[str, Any], about: Subject, at: str) -> None:
        """Of the real ledger."""
        self._replay.on_ledger(lambda ledger: ledger.answer(envelope, subject=about, at=at), keep=False)

    def settle(self, **word: Any) -> None:
        """Of the real ledger."""
        self._replay.on_ledger(lambda ledger: ledger.settle(**word), keep=False)


class Clock:
    """The stages' clock."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay

    def now(self) -> datetime:
        """The schedule's time."""
        return moment_of(self._replay.clock())

    def monotonic(self) -> float:
        """Not asked here."""
        raise NotImplementedError

    def sleep(self, seconds: float) -> None:
        """Not asked here."""
        raise NotImplementedError


def world_of(replay: Replay, keep: bool = False) -> RunContext:
    """The world of the stages, with this ledger in it."""
    job = Job(run_id=replay.run.run_id, attempt=replay.run.attempt, on_github=True)
    chosen = {SERVICE: ChosenLedger(cast("Ledger", LedgerProxy(replay, keep)))}
    return RunContext(job, Clock(replay), _NOWHERE, _NOWHERE, ledger_remote="", chosen=chosen)


def plan_of(replay: Replay) -> Plan:
    """The part of a `Plan` that the library's functions use here."""
    return cast(
        "Plan",
        SimpleNamespace(service=SERVICE, target_site=replay.run.target, env_class=None, exercise="isolated" if replay.run.drill else None),
    )


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
