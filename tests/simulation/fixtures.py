"""What the library's functions get in place of a disk, a clock and a ledger: each passes its calls on to the `Replay`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, TypeVar, cast

from hyops_ci.contracts.approval import Subject
from hyops_ci.contracts.digest import canonical
from hyops_ci.contracts.ledger import Claim, Tip
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import State, may_follow
from hyops_ci.ledger.ledger import ClaimRequest, Ledger
from hyops_ci.ledger.standby import ChosenLedger
from hyops_ci.ledger.store import Head
from hyops_ci.ledger.vouching import Sign, Vouchers
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.job import Job
from tests.ledger.ledger_setup import SERVICE
from tests.simulation import keys
from tests.simulation.process import Replay, moment_of

T = TypeVar("T")
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
        self.vouchers: Vouchers | None = keys.vouchers(replay)
        self.key: Sign | None = None
        self.sign: Sign | None = None
        """What the stages find on disk, which is nothing: the world says who has a key."""

    @property
    def lacks_key(self) -> bool:
        """As the ledger's own."""
        return self.key is None

    def _asked(self, act: Callable[[Ledger], T], keep: bool = True) -> T:
        def on(ledger: Ledger) -> T:
            # The clock of the stages is asked through the log, once; a look at the ledger is made as often as it takes.
            ledger.vouchers = keys.vouchers(self._replay) if self.vouchers is not None else None
            ledger.sign = self.key
            return act(ledger)

        return self._replay.on_ledger(on, keep)

    def tip(self) -> Tip:
        """Of the real ledger."""
        return self._asked(lambda ledger: ledger.tip())

    def look(self, request: ClaimRequest) -> None:
        """Of the real ledger."""
        self._asked(lambda ledger: ledger.look(request), keep=False)

    def claim(self, request: ClaimRequest) -> Claim:
        """Of the real ledger."""
        return self._asked(lambda ledger: ledger.claim(request))

    def advance(self, claim: Claim, state: State, **how: Any) -> Tip:
        """Of the real ledger; only conclude looks at the answer."""
        return self._asked(lambda ledger: ledger.advance(claim, state, **how), keep=self._keep)

    def renew(self, claim: Claim, *, at: str) -> None:
        """Of the real ledger."""
        self._asked(lambda ledger: ledger.renew(claim, at=at), keep=False)

    def answer(self, envelope: dict[str, Any], about: Subject, at: str) -> None:
        """Of the real ledger."""
        known: dict[str, Any] = {"approvers": tuple(keys.APPROVERS.values()), "lifetime": 10_000_000}
        self._asked(lambda ledger: ledger.answer(envelope, subject=about, at=at, **known), keep=False)

    def settle(self, **word: Any) -> None:
        """Of the real ledger, signed by a person."""

        def signed(head: Head) -> dict[str, Any]:
            return keys.jonas_settles(head, word["serves"], word["reason"], word["at"])

        self._asked(lambda ledger: ledger.settle(signed, **word), keep=False)


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


def world_of(replay: Replay, keep: bool = False, *, on_host: bool = True) -> RunContext:
    """The world of the stages, with this ledger in it; `on_host` has the key of its host."""
    ledger = LedgerProxy(replay, keep)
    ledger.key = keys.host_signs if on_host else None
    job = Job(run_id=replay.run.run_id, attempt=replay.run.attempt, on_github=True)
    chosen = {SERVICE: ChosenLedger(cast("Ledger", ledger))}
    return RunContext(job, Clock(replay), _NOWHERE, _NOWHERE, ledger_remote="", chosen=chosen)


def plan_of(replay: Replay) -> Plan:
    """The part of a `Plan` that the library's functions use here."""
    return cast(
        "Plan",
        SimpleNamespace(
            service=SERVICE,
            target_site=replay.run.target,
            env_class=None,
            exercise="isolated" if replay.run.drill else None,
            point_of_no_return="cutover",
        ),
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

    def read(self, name: str) -> bytes:
        """Only the config is read as it was written."""
        assert name == "sources/config"
        return canonical({**keys.config().document(), "api_version": "hybridops/v1"})

    def write_json(self, name: str, value: object) -> None:
        """The refusal, which the states say too."""
