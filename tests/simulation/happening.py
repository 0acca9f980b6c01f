"""What a choice does to a night, and what the judge says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from hyops_ci.contracts.run import State
from hyops_ci.errors import Exit, Refusal
from hyops_ci.ledger.store import Head
from tests.simulation import judge, stories
from tests.simulation.choosing import Choice
from tests.simulation.judge import HyOps, Violation
from tests.simulation.night import Night, Process, Role
from tests.simulation.placing import HOSTS, InMemory, Place
from tests.simulation.process import Call, Entered, Hand, No, Stopped
from tests.simulation.stories import BEAT, Ended, Found, Seen

STORIES: Final[dict[Role, Callable[[Hand], None]]] = {
    "execute": stories.execute,
    "conclude": stories.conclude,
    "person": stories.settle,
    "approver": stories.approve,
}
JUMP: Final = 660
"""Seconds that the clock jumps: more than the patience."""
CRASHES: Final = frozenset({"crash before", "crash after", "power cut"})
FAULTS: Final = CRASHES | {"lose", "lose the answer", "lose sight", "interrupt"}


class Witness(Protocol):
    """Who writes the evidence down."""

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
class Stage:
    """Plays nights: applies choices, runs processes, asks the judge."""

    place: Place = field(default_factory=InMemory)
    witness: Witness | None = None
    remembers: bool = False

    def play(self, night: Night, choice: Choice) -> tuple[Night, list[Violation]]:
        """The night after `choice`, and what is wrong with it."""
        night = replace(night, now=night.now + choice.ticks)
        if choice.what in FAULTS:
            night = replace(night, budget=replace(night.budget, faults=night.budget.faults - 1))
        if choice.what == "clock jumps":
            return replace(night, now=night.now + JUMP, budget=replace(night.budget, jumps=night.budget.jumps - 1)), []
        if choice.what == "host forgets":
            self.place.forget(HOSTS[choice.who])
            kept = tuple(each for each in night.remembered if each[0] != HOSTS[choice.who])
            return replace(night, remembered=kept, budget=replace(night.budget, forgets=night.budget.forgets - 1)), []
        if choice.what.startswith("hyops"):
            return _hyops_ends(night, choice), []
        return self._process(night, choice)

    def _process(self, night: Night, choice: Choice) -> tuple[Night, list[Violation]]:
        process, how, found = night.processes[choice.who], choice.what, list[Violation]()
        call = process.call
        assert call is not None
        if how == "lose sight":
            return _with(night, choice.who, self.unseen(process)), []
        answer: object = None
        if how not in ("crash before", "power cut"):
            night, answer, found = self._answer(night, choice, process, call)
        if how == "power cut":
            night = _hyops_dies(night, process.run.number)
        if how in CRASHES:
            # Conclude may run again, on another clean machine; nothing else may.
            again = self.again(process) if process.role == "conclude" else replace(process, alive=False)
            night = _with(night, choice.who, again)
            return night, [*found, *judge.together(night.holders(), night.overtaken, frozenset())]
        if self.witness is not None and call.name == "begin":
            self.witness.begun(process, how)
        night, after = self._run(night, process, answer)
        night = _with(night, choice.who, after)
        night = _listened(night, process, call, after)
        deaf = frozenset(each.run for each in night.hyops if each.deaf and after.run.number == each.run and _beside(after))
        found += judge.together(night.holders(), night.overtaken, deaf)
        return night, found

    def unseen(self, process: Process) -> Process:
        """The same process, and GitHub has lost sight of it."""
        return replace(process, unseen=True)

    def again(self, process: Process) -> Process:
        """The same job from its beginning."""
        return Process(process.run, process.role)

    def _answer(self, night: Night, choice: Choice, process: Process, call: Call) -> tuple[Night, object, list[Violation]]:
        """What the world answers to a call, and what it is after that."""
        run = process.run
        match call.name:
            case "begin":
                return night, _begun(night, choice, process), []
            case "lock":
                return night, No(_locked(run.host), "lock.host") if night.locked(run.host) else "locked", []
            case "start":
                assert call.claim is not None
                new = HyOps(run.number, call.claim.decision_id, call.claim.incident, run.drill)
                found = list(judge.started(new, night.serves, night.hyops))
                return replace(night, hyops=(*night.hyops, new)), None, found
            case "wait" | "cancel":
                return (*_waited(night, choice, process), [])
            case _:
                head, answer = self.place.answer(night.head, process, call, "" if choice.what == "crash after" else choice.what)
                return self._pushed(night, head), answer, _judged(night.head, head)

    def _pushed(self, night: Night, head: Head) -> Night:
        """What follows from a new tip: drills that were overtaken, effects that a person settled."""
        if head is night.head:
            return night
        old, tip = night.head.tip, head.tip
        night = replace(night, head=head)
        if tip.claim is None and old.claim is not None:
            settled = old.claim.run_id
            runs = {process.run.number for process in night.processes if process.run.run_id == settled}
            night = replace(night, hyops=tuple(replace(each, forgiven=True) if each.run in runs else each for each in night.hyops))
        elif tip.claim is not None and old.claim is not None and old.claim.drill and not tip.claim.drill:
            drills = {process.run.number for process in night.processes if process.run.run_id == old.claim.run_id}
            night = replace(night, overtaken=night.overtaken | drills)
        return night

    def _run(self, night: Night, process: Process, answer: object) -> tuple[Night, Process]:
        """Run a process from its beginning to the call after this answer."""
        call = process.call
        assert call is not None
        inside = call.name in ("read", "push", "append")
        log, inner = list(process.log), list(process.inner)
        (inner if inside else log).append(answer)
        commits = dict(night.remembered)
        host = self.place.memory(commits, process.run.host) if self.remembers and process.role == "execute" else None
        hand = Hand(process.run, log, inner, night.now, host, self.place.store)
        then: Call | None = None
        broken = ""
        try:
            STORIES[process.role](hand)
        except Stopped as stopped:
            then = stopped.call
        except Exception as error:  # noqa: BLE001 - a process that breaks is a finding, and the night goes on
            broken = f"{type(error).__name__}: {error}"
        after = replace(
            process,
            log=tuple(log),
            inner=tuple(inner),
            call=then,
            trail=tuple(hand.trail),
            sealed=hand.sealed,
            known=hand.known,
            pushed=(call.commit or process.pushed) if inner else "",
            broken=broken,
        )
        if self.witness is not None:
            for entered in after.trail[len(process.trail) :]:
                self.witness.entered(after, entered)
            if after.sealed is not None and process.sealed is None:
                self.witness.sealed(after, after.sealed)
        return replace(night, remembered=tuple(sorted(commits.items()))), after


def _judged(old: Head, new: Head) -> list[Violation]:
    if new is old:
        return []
    grew = (new.commits[1:], new.tips[1:]) == (old.commits, old.tips)
    return [*judge.pushed(old, new.tip), *(() if grew else (Violation(judge.BROKEN, "the branch did not just grow"),))]


def _with(night: Night, index: int, process: Process) -> Night:
    return replace(night, processes=(*night.processes[:index], process, *night.processes[index + 1 :]))


def _begun(night: Night, choice: Choice, process: Process) -> object:
    """What a process finds when it begins."""
    if process.role in ("execute", "approver"):
        return None
    if process.role == "person":
        return Seen(night.serves, night.head.tip.epoch)
    execute = night.processes[choice.who - 1]
    early = next((each.state for each in reversed(execute.trail) if each.stage != "execute"), None)
    if choice.what == "find nothing":
        return Found(early)
    moved = any(each.run == process.run.number and each.moved for each in night.hyops)
    begun = any(each.state is State.EXECUTING for each in execute.trail)
    return Found(execute.state, execute.sealed is not None, execute.claim, moved, begun)


def _waited(night: Night, choice: Choice, process: Process) -> tuple[Night, object]:
    """The answer to who waits for HyOps."""
    mine = next(each for each in night.hyops if each.run == process.run.number)
    if choice.what == "beat":
        beats = tuple(count + (number == process.run.number) for number, count in enumerate(night.beats))
        return replace(night, beats=beats), BEAT
    if choice.what == "interrupt":
        return _changed(night, replace(mine, cancelled=True)), Ended(State.INDETERMINATE, mine.moved)
    return _changed(night, replace(mine, known=True)), Ended(mine.ended or State.INDETERMINATE, mine.moved)


def _beside(process: Process) -> bool:
    """Whether a process has come back from the ledger to its HyOps, unharmed."""
    last = process.log[-1] if process.log else None
    return process.call is not None and process.call.name == "wait" and not isinstance(last, No)


def _listened(night: Night, before: Process, call: Call, after: Process) -> Night:
    """Keep in mind which drill asks the ledger although its claim is gone, and who has asked HyOps to stop."""
    mine = next((each for each in night.hyops if each.run == after.run.number), None)
    if mine is None or before.role != "execute":
        return night
    if call.name == "wait" and before.run.number in night.overtaken:
        mine = replace(mine, deaf=True)
    if after.call is not None and after.call.name == "cancel":
        mine = replace(mine, cancelled=True, deaf=False)
    return _changed(night, mine)


def _changed(night: Night, hyops: HyOps) -> Night:
    return replace(night, hyops=tuple(hyops if each.run == hyops.run else each for each in night.hyops))


def _hyops_ends(night: Night, choice: Choice) -> Night:
    hyops = night.hyops[choice.who]
    done, failed = choice.what == "hyops done", choice.what == "hyops moves clients and fails"
    moved = hyops.moved or ((done or failed) and not hyops.drill)
    state = State.COMPLETED if done else State.CANCELLED if choice.what == "hyops cancelled" else State.FAILED
    to = "gcp" if ":failover:" in hyops.incident else "onprem"
    return replace(_changed(night, replace(hyops, going=False, moved=moved, ended=state)), serves=to if moved else night.serves)


def _hyops_dies(night: Night, run: int) -> Night:
    mine = next((each for each in night.hyops if each.run == run), None)
    return night if mine is None else _changed(night, replace(mine, going=False))


def _locked(host: str) -> Refusal:
    return Refusal("lock.host", "another run works on this env of this host", exit_code=Exit.CONFLICT, found=f"{host} is locked")
