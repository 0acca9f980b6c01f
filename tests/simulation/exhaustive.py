"""Every interleaving of two runs: each read and push of the ledger, with a crash or a lost answer at every one of them.

Depth first over choices. Two ways that lead to the same branch, clock, processes, HyOps and budgets are one state.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from hyops_ci.contracts.decision import DecisionType
from hyops_ci.ledger.store import Head
from tests.simulation.choices import Choice, choices
from tests.simulation.invariants import Violation
from tests.simulation.process import No, Run
from tests.simulation.random_walk import ended
from tests.simulation.state import Budget, Process, SimState, initial_state
from tests.simulation.state_keys import of_branch
from tests.simulation.step import Simulator

RUN_SETS: Final[dict[str, tuple[Run, ...]]] = {
    "same incident": (Run(0, 0, nonce=0), Run(1, 1, nonce=1, host="gcp-2")),
    "two incidents": (Run(0, 0, nonce=0), Run(1, 1, DecisionType.FAILBACK_ONPREM, nonce=1, host="onprem")),
    "a drill and a real run": (Run(0, 0, drill=True, nonce=0, host="gcp-2"), Run(1, 1, nonce=1)),
}
"""Two runs each, on hosts of their own: only the ledger coordinates them."""
BUDGET: Final = Budget(faults=1, jumps=1, beats=1)


@dataclass
class Search:
    """What was searched."""

    states: int = 0
    steps: int = 0
    simulations: int = 0
    """Ends reached: states in which nothing more can happen."""
    violations: list[tuple[Violation, tuple[Choice, ...]]] = field(default_factory=list)


@dataclass
class CachingSimulator(Simulator):
    """A simulator that caches processes by their answers: in most states only the other process has moved."""

    ran: dict[tuple[int, Hashable, int], tuple[Process, Process]] = field(default_factory=dict)
    """By the process itself (kept here, so that no other takes its number), the answer and the time."""

    def _run(self, sim: SimState, process: Process, answer: object) -> tuple[SimState, Process]:
        key = (id(process), _exactly(answer), sim.now)
        if key not in self.ran:
            self.ran[key] = (process, super()._run(sim, process, answer)[1])
        return sim, self.ran[key][1]

    def unseen(self, process: Process) -> Process:
        """The same process, and GitHub has lost sight of it."""
        key = (id(process), "unseen", -1)
        if key not in self.ran:
            self.ran[key] = (process, super().unseen(process))
        return self.ran[key][1]

    @cached_property
    def _fresh(self) -> dict[int, Process]:
        return {}

    def again(self, process: Process) -> Process:
        """The same new process each time."""
        return self._fresh.setdefault(process.run.number, super().again(process))


def _exactly(answer: object) -> Hashable:
    match answer:
        case Head():
            return answer.commit
        case No():
            return answer.gate
        case Hashable():
            return answer
        case _:
            raise TypeError(f"no key for {answer!r}")


def search(runs: tuple[Run, ...], budget: Budget = BUDGET, simulator: Simulator | None = None, most: int = 40) -> Search:
    """All states that two runs can get to; stops at `most` violations, each with the choices that lead there."""
    simulator, found = simulator or CachingSimulator(), Search()
    first = initial_state(runs, budget)
    seen: set[Hashable] = {key_of(first)}
    path: list[Choice] = []
    stack = [(first, list(choices(first)))]
    while stack and len(found.violations) < most:
        sim, left = stack[-1]
        if not left:
            stack.pop()
            if path:
                path.pop()
            continue
        choice = left.pop()
        after, wrong = simulator.step(sim, choice)
        found.steps += 1
        found.violations += [(each, (*path, choice)) for each in wrong]
        key = key_of(after)
        if key in seen:
            continue
        seen.add(key)
        then = list(choices(after))
        if not [each for each in then if each.what != "clock jumps"]:
            found.simulations += 1
            found.violations += [(each, (*path, choice)) for each in ended(after)]
        if wrong:
            continue
        path.append(choice)
        stack.append((after, then))
    found.states = len(seen)
    return found


def key_of(sim: SimState) -> Hashable:
    """Return the parts of a state that its future depends on."""
    return (
        of_branch(sim.head),
        sim.budget,
        sim.now,
        sim.serves,
        sim.beats,
        sim.hyops,
        sim.overtaken,
        sim.attacked,
        tuple(each.name_on(sim.head) for each in sim.processes),
    )
