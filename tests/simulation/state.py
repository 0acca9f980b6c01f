"""The simulated state of one service as a value: the branch, the clock, the processes, HyOps, the hosts.

What can happen next is in `choices`, what it does in `step`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, TypeAlias

from hyops_ci.contracts.ledger import Claim, Tip
from hyops_ci.contracts.run import TERMINAL, State
from hyops_ci.ledger.store import Head
from hyops_ci.ledger.transitions import first_tip
from tests.ledger.ledger_setup import SERVICE, at
from tests.simulation import state_keys
from tests.simulation.invariants import HyOps
from tests.simulation.model import Ended, Found
from tests.simulation.process import Call, Entered, No, Run
from tests.support.ref_store import grown, name_of

Role: TypeAlias = Literal["execute", "conclude", "person", "approver"]
BEGIN: Final = Call("begin")
ACTING: Final = (State.EXECUTING, State.VERIFYING)
_KEPT: Final = (Ended, Found, Tip)


@dataclass(frozen=True)
class Process:
    """One process: what it was answered, and the call it stands at (None: it came to its end)."""

    run: Run
    role: Role
    log: tuple[object, ...] = ()
    inner: tuple[object, ...] = ()
    call: Call | None = BEGIN
    trail: tuple[Entered, ...] = ()
    sealed: State | None = None
    alive: bool = True
    unseen: bool = False
    """GitHub lost sight of it, and it goes on."""
    pushed: str = ""
    """The last commit that it tried to push."""
    known: Head | None = None
    """The head that it last read or made: its next change is tried on top of it."""
    broken: str = ""
    """It ended by an error that is no refusal."""

    @property
    def over(self) -> bool:
        """Nothing more comes from it."""
        return self.call is None or not self.alive

    @cached_property
    def schedule(self) -> bool:
        """Whether it came to its own end, and reported to the ledger where it had to."""
        return self.alive and self.call is None and not isinstance(self.log[-1], No)

    @property
    def state(self) -> State | None:
        """Where its run is, as it wrote it down."""
        return self.trail[-1].state if self.trail else None

    @cached_property
    def claim(self) -> Claim | None:
        """The claim that it was given."""
        return next((each for each in self.log if isinstance(each, Claim)), None)

    @cached_property
    def name(self) -> Hashable:
        """Equal for processes with the same future on the same branch, apart from what `name_on` adds."""
        if self.call is None or not self.alive:
            return (self.alive, self.sealed, self.state, self.claim is not None, self.schedule)
        clock = self.log[-1] if self.log and isinstance(self.log[-1], int) else None
        known = None if self.known is None else state_keys.of_branch(self.known)
        now = (self.call.name, self.unseen, clock, known, tuple(state_keys.of_answer(each) for each in self.inner))
        acts = self.role == "execute" and self.state in ACTING and self.call.name != "start"
        if acts or self.sealed is not None:  # what led here does not matter any more
            return (*now, self.sealed, self.state, tuple(state_keys.of_answer(each) for each in self.log if isinstance(each, _KEPT)))
        return (*now, state_keys.of_log(self.log))

    def name_on(self, head: Head) -> Hashable:
        """The name, and how what it read and pushed stands to the branch now."""
        if self.over or self.call is None or (self.known is None and not self.inner):
            return self.name
        current = tuple(each.commit == head.commit for each in (self.known, *self.inner) if isinstance(each, Head))
        return (self.name, current, (self.call.commit or self.pushed) in head.commits)


@dataclass(frozen=True)
class Budget:
    """How many faults may still happen."""

    faults: int = 0
    """Crashes, lost answers, runners that GitHub loses sight of."""
    jumps: int = 0
    """Times that the clock jumps past the patience."""
    beats: int = 1
    """Heartbeats of a live run, per run."""
    forgets: int = 0
    """Times that a host loses its memory."""
    attacks: int = 0
    """Tips that somebody without a key pushes."""
    subtle: bool = False
    """Also what the random schedules alone do: power cuts, interrupts, clients that moved before a failure."""


@dataclass(frozen=True)
class SimState:
    """The state at one moment. For each run its processes stand at `2n` (execute) and `2n + 1` (conclude); people follow."""

    head: Head
    budget: Budget
    processes: tuple[Process, ...]
    hyops: tuple[HyOps, ...] = ()
    beats: tuple[int, ...] = ()
    now: int = 0
    serves: str = "onprem"
    remembered: tuple[tuple[str, str], ...] = ()
    overtaken: frozenset[int] = frozenset()
    """Drills whose claim a real run took."""
    attacked: tuple[str, ...] = ()
    """What was pushed by somebody without a key."""

    def locked(self, host: str) -> bool:
        """Whether somebody holds the env of a host: a process from its lock to its end, and HyOps for as long as it works."""
        return any(each.run.host == host and self.holds_lock(index) for index, each in enumerate(self.processes))

    def holds_lock(self, index: int) -> bool:
        """Whether this process, or the HyOps that it handed its lock to, holds the env."""
        process = self.processes[index]
        if process.role != "execute" or not any(each == "locked" for each in process.log):
            return False
        return self.works(process.run.number) or not (process.over or process.state in TERMINAL)

    def works(self, run: int) -> bool:
        """Whether HyOps of this run is at work."""
        return any(each.run == run and each.going for each in self.hyops)

    def holders(self) -> Iterator[tuple[int, bool]]:
        """Runs that act, or are about to: (run, drill)."""
        for process in self.processes:
            entered = process.role == "execute" and not process.over and process.state in ACTING
            if process.role == "execute" and (entered or self.works(process.run.number)):
                yield process.run.number, process.run.drill


def initial_state(runs: tuple[Run, ...], budget: Budget, people: int = 1, answered: tuple[Run, ...] = ()) -> SimState:
    """Return the state before anything happens: no run, settlement or signed answer of `answered` has come yet."""
    tip = first_tip(SERVICE, "a" * 32, "onprem", at())
    pairs = (Process(run, role) for run in runs for role in _ROLES)
    persons = (Process(Run(len(runs) + number, 9000 + number), "person") for number in range(people))
    approvers = (Process(run, "approver") for run in answered)
    return SimState(
        grown(None, name_of(None, tip, "init"), tip),
        budget,
        (*pairs, *persons, *approvers),
        beats=(0,) * len(runs),
    )


_ROLES: Final[tuple[Role, ...]] = ("execute", "conclude")
