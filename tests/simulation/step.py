"""Apply one scheduling choice to the simulated state and check the invariants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from hyops_ci.contracts.run import State
from hyops_ci.errors import Exit, Refusal
from hyops_ci.ledger.store import Head
from tests.simulation import invariants, model
from tests.simulation.attacker import pushed
from tests.simulation.backends import HOSTS, Backend, InMemory
from tests.simulation.choices import Choice
from tests.simulation.invariants import HyOps, Violation
from tests.simulation.model import BEAT, Ended, Found, Seen
from tests.simulation.process import Call, Entered, No, Replay, Stopped
from tests.simulation.state import Process, Role, SimState

STORIES: Final[dict[Role, Callable[[Replay], None]]] = {
    "execute": model.execute,
    "conclude": model.conclude,
    "person": model.settle,
    "approver": model.approve,
}
JUMP: Final = 660
"""Seconds that the clock jumps: more than the patience."""
CRASHES: Final = frozenset({"crash before", "crash after", "power cut"})
FAULTS: Final = CRASHES | {"lose", "lose the answer", "lose sight", "interrupt"}


class Observer(Protocol):
    """Gets every event, to write evidence."""

    def entered(self, process: Process, what: Entered) -> None:
        """A process entered a state."""
        ...

    def begun(self, process: Process, how: str) -> None:
        """A process begins, finding what it finds."""
        ...

    def sealed(self, process: Process, state: State) -> None:
        """A process sealed its run."""
        ...


@dataclass
class Simulator:
    """Applies choices, runs processes, checks the invariants."""

    backend: Backend = field(default_factory=InMemory)
    observer: Observer | None = None
    remembers: bool = False

    def step(self, sim: SimState, choice: Choice) -> tuple[SimState, list[Violation]]:
        """Return the state after `choice`, and its violations."""
        sim = replace(sim, now=sim.now + choice.ticks)
        if choice.what in FAULTS:
            sim = replace(sim, budget=replace(sim.budget, faults=sim.budget.faults - 1))
        if choice.what == "clock jumps":
            return replace(sim, now=sim.now + JUMP, budget=replace(sim.budget, jumps=sim.budget.jumps - 1)), []
        if choice.what == "host forgets":
            self.backend.forget(HOSTS[choice.who])
            kept = tuple(each for each in sim.remembered if each[0] != HOSTS[choice.who])
            return replace(sim, remembered=kept, budget=replace(sim.budget, forgets=sim.budget.forgets - 1)), []
        if choice.what.startswith("hyops"):
            return _hyops_ends(sim, choice), []
        if choice.what.startswith("attack: "):
            return self._attack(sim, choice.what.removeprefix("attack: ")), []
        return self._process(sim, choice)

    def _attack(self, sim: SimState, name: str) -> SimState:
        """A forged tip is on top; what it says has no effect on what is true."""
        head = self.backend.planted(pushed(sim.head, name, sim.now))
        left = replace(sim.budget, attacks=sim.budget.attacks - 1)
        return replace(sim, head=head, budget=left, attacked=(*sim.attacked, name))

    def _process(self, sim: SimState, choice: Choice) -> tuple[SimState, list[Violation]]:
        process, how, found = sim.processes[choice.who], choice.what, list[Violation]()
        call = process.call
        assert call is not None
        if how == "lose sight":
            return _with(sim, choice.who, self.unseen(process)), []
        answer: object = None
        if how not in ("crash before", "power cut"):
            sim, answer, found = self._answer(sim, choice, process, call)
        if how == "power cut":
            sim = _hyops_dies(sim, process.run.number)
        if how in CRASHES:
            # Conclude may run again, on another clean machine; nothing else may.
            again = self.again(process) if process.role == "conclude" else replace(process, alive=False)
            sim = _with(sim, choice.who, again)
            return sim, [*found, *invariants.together(sim.holders(), sim.overtaken, frozenset())]
        if self.observer is not None and call.name == "begin":
            self.observer.begun(process, how)
        sim, after = self._run(sim, process, answer)
        sim = _with(sim, choice.who, after)
        sim = _listened(sim, process, call, after)
        deaf = frozenset(each.run for each in sim.hyops if each.deaf and after.run.number == each.run and _beside(after))
        found += invariants.together(sim.holders(), sim.overtaken, deaf)
        return sim, [*found, *_believed(sim, process, after)]

    def unseen(self, process: Process) -> Process:
        """The same process, and GitHub has lost sight of it."""
        return replace(process, unseen=True)

    def again(self, process: Process) -> Process:
        """The same job from its beginning."""
        return Process(process.run, process.role)

    def _answer(self, sim: SimState, choice: Choice, process: Process, call: Call) -> tuple[SimState, object, list[Violation]]:
        """What the world answers to a call, and what it is after that."""
        run = process.run
        match call.name:
            case "begin":
                return sim, _begun(sim, choice, process), []
            case "lock":
                return sim, No(_locked(run.host), "lock.host") if sim.locked(run.host) else "locked", []
            case "start":
                assert call.claim is not None
                new = HyOps(run.number, call.claim.decision_id, call.claim.incident, run.drill)
                found = list(invariants.started(new, sim.serves, sim.hyops))
                return replace(sim, hyops=(*sim.hyops, new)), None, found
            case "wait" | "cancel":
                return (*_waited(sim, choice, process), [])
            case _:
                head, answer = self.backend.answer(sim.head, process, call, "" if choice.what == "crash after" else choice.what)
                return self._pushed(sim, head), answer, _judged(sim.head, head)

    def _pushed(self, sim: SimState, head: Head) -> SimState:
        """What follows from a new tip: drills that were overtaken, effects that a person settled."""
        if head is sim.head:
            return sim
        old, tip = sim.head.tip, head.tip
        sim = replace(sim, head=head)
        if tip.claim is None and old.claim is not None:
            settled = old.claim.run_id
            runs = {process.run.number for process in sim.processes if process.run.run_id == settled}
            sim = replace(sim, hyops=tuple(replace(each, forgiven=True) if each.run in runs else each for each in sim.hyops))
        elif tip.claim is not None and old.claim is not None and old.claim.drill and not tip.claim.drill:
            drills = {process.run.number for process in sim.processes if process.run.run_id == old.claim.run_id}
            sim = replace(sim, overtaken=sim.overtaken | drills)
        return sim

    def _run(self, sim: SimState, process: Process, answer: object) -> tuple[SimState, Process]:
        """Run a process from its beginning to the call after this answer."""
        call = process.call
        assert call is not None
        inside = call.name in ("read", "push", "append")
        log, inner = list(process.log), list(process.inner)
        (inner if inside else log).append(answer)
        commits = dict(sim.remembered)
        host = self.backend.memory(commits, process.run.host) if self.remembers and process.role == "execute" else None
        replay = Replay(process.run, log, inner, sim.now, host, self.backend.store)
        then: Call | None = None
        broken = ""
        try:
            STORIES[process.role](replay)
        except Stopped as stopped:
            then = stopped.call
        except Exception as error:  # noqa: BLE001 - a process that breaks is a finding, and the sim goes on
            broken = f"{type(error).__name__}: {error}"
        after = replace(
            process,
            log=tuple(log),
            inner=tuple(inner),
            call=then,
            trail=tuple(replay.trail),
            sealed=replay.sealed,
            known=replay.known,
            pushed=(call.commit or process.pushed) if inner else "",
            broken=broken,
        )
        if self.observer is not None:
            for entered in after.trail[len(process.trail) :]:
                self.observer.entered(after, entered)
            if after.sealed is not None and process.sealed is None:
                self.observer.sealed(after, after.sealed)
        return replace(sim, remembered=tuple(sorted(commits.items()))), after


def _believed(sim: SimState, before: Process, after: Process) -> list[Violation]:
    """What a process made of the ledger that nobody did."""
    # Signed: by a run of ours, also where it never heard that its push took effect.
    signed = [tip.claim for tip in sim.head.tips if tip.claim is not None and tip.signature is not None]
    others = [claim for claim in signed if claim.run_id != after.run.run_id]
    hyops = [each for each in sim.hyops if each.run == after.run.number]
    found = list[Violation]()
    if after.sealed is not before.sealed and after.sealed is not None:
        found += invariants.sealed(after.run.number, after.sealed, hyops, bool(others) or sim.serves == after.run.target)
    stopped = after.call is not None and after.call.name == "cancel" and before.call is not None and before.call.name != "cancel"
    mine = after.claim.epoch if after.claim is not None else 0
    if stopped and not any(claim.epoch > mine for claim in others):
        found.append(Violation(invariants.FORGED, f"run {after.run.number} stopped its HyOps for a claim that no run made"))
    return found


def _judged(old: Head, new: Head) -> list[Violation]:
    if new is old:
        return []
    grew = (new.commits[1:], new.tips[1:]) == (old.commits, old.tips)
    return [*invariants.pushed(old, new.tip), *(() if grew else (Violation(invariants.BROKEN, "the branch did not just grow"),))]


def _with(sim: SimState, index: int, process: Process) -> SimState:
    return replace(sim, processes=(*sim.processes[:index], process, *sim.processes[index + 1 :]))


def _begun(sim: SimState, choice: Choice, process: Process) -> object:
    """What a process finds when it begins."""
    if process.role in ("execute", "approver"):
        return None
    if process.role == "person":
        return Seen(sim.serves, sim.head.tip.epoch)
    execute = sim.processes[choice.who - 1]
    early = next((each.state for each in reversed(execute.trail) if each.stage != "execute"), None)
    if choice.what == "find nothing":
        return Found(early)
    moved = any(each.run == process.run.number and each.moved for each in sim.hyops)
    begun = any(each.state is State.EXECUTING for each in execute.trail)
    return Found(execute.state, execute.sealed is not None, execute.claim, moved, begun)


def _waited(sim: SimState, choice: Choice, process: Process) -> tuple[SimState, object]:
    """Return the answer to a process that waits for HyOps."""
    mine = next(each for each in sim.hyops if each.run == process.run.number)
    if choice.what == "beat":
        beats = tuple(count + (number == process.run.number) for number, count in enumerate(sim.beats))
        return replace(sim, beats=beats), BEAT
    if choice.what == "interrupt":
        return _changed(sim, replace(mine, cancelled=True)), Ended(State.INDETERMINATE, mine.moved)
    return _changed(sim, replace(mine, known=True)), Ended(mine.ended or State.INDETERMINATE, mine.moved)


def _beside(process: Process) -> bool:
    """Whether a process has come back from the ledger to its HyOps, unharmed."""
    last = process.log[-1] if process.log else None
    return process.call is not None and process.call.name == "wait" and not isinstance(last, No)


def _listened(sim: SimState, before: Process, call: Call, after: Process) -> SimState:
    """Keep in mind which drill asks the ledger although its claim is gone, and who has asked HyOps to stop."""
    mine = next((each for each in sim.hyops if each.run == after.run.number), None)
    if mine is None or before.role != "execute":
        return sim
    if call.name == "wait" and before.run.number in sim.overtaken:
        mine = replace(mine, deaf=True)
    if after.call is not None and after.call.name == "cancel":
        mine = replace(mine, cancelled=True, deaf=False)
    return _changed(sim, mine)


def _changed(sim: SimState, hyops: HyOps) -> SimState:
    return replace(sim, hyops=tuple(hyops if each.run == hyops.run else each for each in sim.hyops))


def _hyops_ends(sim: SimState, choice: Choice) -> SimState:
    hyops = sim.hyops[choice.who]
    done, failed = choice.what == "hyops done", choice.what == "hyops moves clients and fails"
    moved = hyops.moved or ((done or failed) and not hyops.drill)
    state = State.COMPLETED if done else State.CANCELLED if choice.what == "hyops cancelled" else State.FAILED
    to = "gcp" if ":failover:" in hyops.incident else "onprem"
    return replace(_changed(sim, replace(hyops, going=False, moved=moved, ended=state)), serves=to if moved else sim.serves)


def _hyops_dies(sim: SimState, run: int) -> SimState:
    mine = next((each for each in sim.hyops if each.run == run), None)
    return sim if mine is None else _changed(sim, replace(mine, going=False))


def _locked(host: str) -> Refusal:
    return Refusal("lock.host", "another run works on this env of this host", exit_code=Exit.CONFLICT, found=f"{host} is locked")
