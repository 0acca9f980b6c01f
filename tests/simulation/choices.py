"""The scheduling choices that are open in a state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hyops_ci.contracts.base import moment
from tests.simulation import invariants
from tests.simulation.attacker import FORGERIES
from tests.simulation.process import time_of
from tests.simulation.state import Process, SimState


@dataclass(frozen=True)
class Choice:
    """What happens next: how, to which process, run or host, and how many seconds after the last."""

    what: str
    who: int = 0
    ticks: int = 0

    def __str__(self) -> str:
        return f"{self.what}({self.who})" + (f"+{self.ticks}s" if self.ticks else "")


def choices(sim: SimState) -> Iterator[Choice]:
    """Everything that may happen next; nothing when the simulation is over."""
    for index, process in enumerate(sim.processes):
        if not process.over:
            yield from _of_process(sim, index, process)
    for number, hyops in enumerate(sim.hyops):
        if hyops.going:
            yield Choice("hyops fails", number)
            yield Choice("hyops cancelled" if hyops.cancelled else "hyops done", number)
            if sim.budget.subtle and not hyops.drill:
                yield Choice("hyops moves clients and fails", number)
    if sim.budget.jumps:
        yield Choice("clock jumps")
    if sim.budget.attacks:
        yield from (Choice(f"attack: {name}") for name in FORGERIES)
    if sim.budget.forgets:
        yield from (Choice("host forgets", number) for number in range(4))


def _of_process(sim: SimState, index: int, process: Process) -> Iterator[Choice]:
    call, faults = process.call, sim.budget.faults
    if call is None:
        return
    match call.name:
        case "begin":
            yield from (Choice(what, index) for what in _beginnings(sim, index, process))
            return
        case "wait" | "cancel":
            if not sim.works(process.run.number):
                yield Choice("go on", index)
            elif call.name == "wait" and sim.beats[process.run.number] < sim.budget.beats:
                yield Choice("beat", index)
            if faults and sim.budget.subtle and call.name == "wait":
                yield Choice("interrupt", index)
        case _:
            yield Choice("go on", index)
    if faults and process.role != "person":
        yield from (Choice(what, index) for what in _faults(sim, process, call.name))


def _faults(sim: SimState, process: Process, call: str) -> Iterator[str]:
    """What may go wrong at a call."""
    yield "crash before"
    if call in ("push", "append", "start"):
        yield "crash after"
    if call in ("read", "push", "append"):
        yield "lose"
    if call in ("push", "append"):
        yield "lose the answer"
    if process.role == "execute" and not process.unseen:
        yield "lose sight"
    if sim.budget.subtle and process.role == "execute":
        yield "power cut"


def _beginnings(sim: SimState, index: int, process: Process) -> Iterator[str]:
    """How a process that has not begun may begin."""
    if process.role in ("execute", "approver"):
        yield "begin"
        return
    if process.role == "person":
        if _to_be_settled(sim):
            yield "begin"
        return
    execute = sim.processes[index - 1]
    if execute.schedule and not sim.budget.subtle:
        return
    if execute.over and execute.sealed is not None:
        yield "find the bundle"
    elif execute.over:
        yield "find the folder"
    if execute.over or execute.unseen:
        yield "find nothing"


def _to_be_settled(sim: SimState) -> bool:
    """Whether a person who looks at ledger, GitHub and HyOps finds a run that was cut off and is at rest.

    Under an attack one may look at the ledger alone, while the host of the run is still heard there.
    """
    tip = sim.head.tip
    if tip.claim is None or not invariants.unsettled(tip, time_of(sim.now)):
        return False
    word = next((each for each in sim.head.tips if each.signature is not None), None)
    if sim.attacked and word is not None and abs(moment(time_of(sim.now)) - moment(word.at)).total_seconds() < invariants.PATIENCE:
        return True
    for process in sim.processes:
        if process.role == "execute" and process.run.run_id == tip.claim.run_id:
            return process.over and not sim.works(process.run.number)
    return False
