"""What may happen next in a night."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.simulation import judge
from tests.simulation.night import Night, Process
from tests.simulation.process import time_of


@dataclass(frozen=True)
class Choice:
    """What happens next: how, to which process, run or host, and how many seconds after the last."""

    what: str
    who: int = 0
    ticks: int = 0

    def __str__(self) -> str:
        return f"{self.what}({self.who})" + (f"+{self.ticks}s" if self.ticks else "")


def choices(night: Night) -> Iterator[Choice]:
    """Everything that may happen next; nothing, and the night is over."""
    for index, process in enumerate(night.processes):
        if not process.over:
            yield from _of_process(night, index, process)
    for number, hyops in enumerate(night.hyops):
        if hyops.going:
            yield Choice("hyops fails", number)
            yield Choice("hyops cancelled" if hyops.cancelled else "hyops done", number)
            if night.budget.subtle and not hyops.drill:
                yield Choice("hyops moves clients and fails", number)
    if night.budget.jumps:
        yield Choice("clock jumps")
    if night.budget.forgets:
        yield from (Choice("host forgets", number) for number in range(4))


def _of_process(night: Night, index: int, process: Process) -> Iterator[Choice]:
    call, faults = process.call, night.budget.faults
    if call is None:
        return
    match call.name:
        case "begin":
            yield from (Choice(what, index) for what in _beginnings(night, index, process))
            return
        case "wait" | "cancel":
            if not night.works(process.run.number):
                yield Choice("go on", index)
            elif call.name == "wait" and night.beats[process.run.number] < night.budget.beats:
                yield Choice("beat", index)
            if faults and night.budget.subtle and call.name == "wait":
                yield Choice("interrupt", index)
        case _:
            yield Choice("go on", index)
    if faults and process.role != "person":
        yield from (Choice(what, index) for what in _faults(night, process, call.name))


def _faults(night: Night, process: Process, call: str) -> Iterator[str]:
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
    if night.budget.subtle and process.role == "execute":
        yield "power cut"


def _beginnings(night: Night, index: int, process: Process) -> Iterator[str]:
    """How a process that has not begun may begin."""
    if process.role in ("execute", "approver"):
        yield "begin"
        return
    if process.role == "person":
        if _to_be_settled(night):
            yield "begin"
        return
    execute = night.processes[index - 1]
    if execute.told and not night.budget.subtle:
        return
    if execute.over and execute.sealed is not None:
        yield "find the bundle"
    elif execute.over:
        yield "find the folder"
    if execute.over or execute.unseen:
        yield "find nothing"


def _to_be_settled(night: Night) -> bool:
    """Whether a person who looks at ledger, GitHub and HyOps finds a run that was cut off and is at rest."""
    tip = night.head.tip
    if tip.claim is None or not judge.unsettled(tip, time_of(night.now)):
        return False
    for process in night.processes:
        if process.role == "execute" and process.run.run_id == tip.claim.run_id:
            return process.over and not night.works(process.run.number)
    return False
