"""One process that can be stopped at every call it makes of the world, by replaying what it was answered so far.

A process is a function of answers: run again with the answers it had, it comes to the call after them and stops there. So a process is
a value (two tuples), a schedule can be gone back to, and every line between two calls is the library's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final, Protocol, TypeVar, cast
from unittest import mock

import hyops_ci.ledger.ledger as ledger_module
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.ledger import Claim, Tip
from hyops_ci.contracts.run import State
from hyops_ci.errors import DispatchError
from hyops_ci.ledger.last_seen import TipMemory
from hyops_ci.ledger.ledger import ClaimRequest, Ledger
from hyops_ci.ledger.store import Head, Store
from tests.ledger.ledger_setup import SERVICE, START
from tests.support.ref_store import Lost

T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """One dispatch: which decision, where, and whether it is a drill or a re-run."""

    number: int
    decision: int
    decision_type: DecisionType = DecisionType.FAILOVER
    drill: bool = False
    host: str = "gcp"
    attempt: int = 1
    nonce: int = 0
    source: int = 0

    @property
    def run_id(self) -> str:
        """As GitHub counts: the run, then the attempt."""
        return f"{1000 + self.number}-{self.attempt}"

    @property
    def decision_id(self) -> str:
        """Two runs may carry one decision."""
        return f"manual-77-{self.decision:04d}"

    @property
    def target(self) -> str:
        """The site that serves after it."""
        return "gcp" if self.decision_type is DecisionType.FAILOVER else "onprem"


@dataclass(frozen=True)
class Call:
    """What a process asks of the world. `name` is one of begin, read, push, append, lock, start, wait."""

    name: str
    parent: str | None = None
    commit: str = ""
    tip: Tip | None = field(default=None, compare=False)
    message: str = ""
    claim: Claim | None = field(default=None, compare=False)


@dataclass(frozen=True)
class No:
    """An answer that is an error."""

    error: BaseException = field(compare=False)
    gate: str = ""


class Stopped(BaseException):
    """The process stands at a call that has no answer yet."""

    def __init__(self, call: Call) -> None:
        super().__init__(call.name)
        self.call = call


class Host(Protocol):
    """What the process's host remembers."""

    def seen(self) -> str | None:
        """The commit remembered."""
        ...

    def keep(self, head: Head) -> None:
        """Remember this one."""
        ...


@dataclass(frozen=True)
class Entered:
    """A state that a process wrote down, or the refusal that led to it."""

    stage: str
    state: State
    at: int
    refusal: str = ""


@dataclass
class Replay:
    """The world of a process (ledger, clock, evidence, host), replayed from its log of answers as far as that goes."""

    run: Run
    log: list[object]
    inner: list[object]
    now: int
    host: Host | None
    store_of: Callable[[Replay], Store]
    trail: list[Entered] = field(default_factory=list)
    sealed: State | None = None
    known: Head | None = None
    """The head that the process last read or made."""
    _at: int = 0
    _inside: int = 0
    _minted: int = 0

    @property
    def replaying(self) -> bool:
        """Whether what comes next was done before."""
        return self._at < len(self.log)

    def clock(self) -> int:
        """Seconds since the simulation began; asked once, as a process does."""
        return cast("int", self.once(lambda: self.now))

    def once(self, act: Callable[[], object]) -> object:
        """Something that needs no waiting: done now, and answered from the log from then on."""
        if not self.replaying:
            self.log.append(act())
        self._at += 1
        return self.log[self._at - 1]

    def ask(self, call: Call) -> object:
        """An answer of the world; stops where there is none yet. Raises what it was answered."""
        if not self.replaying:
            raise Stopped(call)
        self._at += 1
        return _given(self.log[self._at - 1])

    def inside(self, call: Call) -> object:
        """The same within one operation of the ledger, whose answers are forgotten once it is over."""
        self._inside += 1
        if self._inside > len(self.inner):
            raise Stopped(call)
        return _given(self.inner[self._inside - 1])

    def inside_once(self, act: Callable[[], object]) -> object:
        """What needs no waiting within an operation."""
        self._inside += 1
        if self._inside > len(self.inner):
            self.inner.append(act())
        return self.inner[self._inside - 1]

    def on_ledger(self, act: Callable[[Ledger], T], keep: bool = True) -> T:
        """One operation of the real ledger, which goes on from the head that the process knows since the one before.

        What it answered is kept only where the story looks at it; the head that is known after it stands before it in the log.
        """
        if not self.replaying:
            self._inside = self._minted = 0
            ledger = Ledger(self.store_of(self), SERVICE, _Memory(self) if self.host else None, known=self.known)
            try:
                with mock.patch.object(ledger_module, "secrets", self):
                    answer: object = act(ledger)
            except DispatchError as error:
                answer = No(error, error.gate)
            self.inner.clear()
            self.log += [ledger.known, answer if keep or isinstance(answer, No) else None]
        self.known = cast("Head | None", self.log[self._at])
        self._at += 2
        return cast("T", _given(self.log[self._at - 1]))

    def token_hex(self, size: int) -> str:
        """Stands in for `secrets` in the ledger: as unique, and the same when replayed."""
        self._minted += 1
        return f"{self.run.number:x}{self._at:x}{self._minted:x}".rjust(2 * size, "0")

    def enter(self, stage: str, state: State, refusal: str = "") -> None:
        """Evidence: the run is in `state`."""
        self.trail.append(Entered(stage, state, self.clock(), refusal))


class PushStore:
    """The remote end of the in-memory store: each call is one that the process can be stopped at."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay

    def read(self) -> Head | None:
        """The head."""
        return cast("Head | None", self._replay.inside(Call("read")))

    def push(self, parent: str | None, commit: str, tip: Tip) -> bool:
        """Whether it was the next one."""
        return bool(self._replay.inside(Call("push", parent, commit, tip)))


class AppendStore:
    """A store whose two calls are answered whole, by a store that the schedule holds: the Git one."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay

    def read(self) -> Head | None:
        """The head."""
        return cast("Head | None", self._replay.inside(Call("read")))

    def append(self, parent: str | None, tip: Tip, message: str) -> str | None:
        """One commit more, or None."""
        return cast("str | None", self._replay.inside(Call("append", parent, "", tip, message)))


class _Memory(TipMemory):
    """The host's memory, asked through the log."""

    def __init__(self, replay: Replay) -> None:
        super().__init__(Path("memory"))
        self._replay = replay

    def seen(self) -> str | None:
        assert self._replay.host is not None
        return cast("str | None", self._replay.inside_once(self._replay.host.seen))

    def keep(self, head: Head) -> None:
        host = self._replay.host
        assert host is not None
        self._replay.inside_once(lambda: host.keep(head))


def _given(answer: object) -> object:
    if isinstance(answer, No):
        raise answer.error.with_traceback(None)
    return answer


LOST: Final = No(Lost(), "lost")


def moment_of(seconds: int) -> datetime:
    """A moment of the simulation."""
    return START + timedelta(seconds=seconds)


@lru_cache(maxsize=1 << 12)
def time_of(seconds: int) -> str:
    """The same, as documents write it."""
    return stamp(moment_of(seconds))


@lru_cache(maxsize=1 << 12)
def ask_for(run: Run, at: str) -> ClaimRequest:
    """What `take_claim` of the stage asks for."""
    digest = f"sha256:{run.decision:032x}{run.source:032x}"
    return ClaimRequest(
        service=SERVICE,
        decision_id=run.decision_id,
        decision_type=run.decision_type,
        drill=run.drill,
        source_sha256=digest,
        decision_digest=digest,
        plan_digest=digest,
        check_digest=digest,
        run_id=run.run_id,
        run_url="",
        at=at,
        target_site=run.target,
        home_site="onprem",
        nonces=(f"nonce-{run.nonce}",),
    )
