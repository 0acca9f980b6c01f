"""Random schedules: from one seed the runs, what may go wrong, and every choice."""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.run import TERMINAL, State, may_follow
from tests.simulation.choices import Choice, choices
from tests.simulation.evidence import Evidence
from tests.simulation.invariants import BROKEN, Violation
from tests.simulation.process import Run
from tests.simulation.state import Budget, SimState, initial_state
from tests.simulation.step import FAULTS, Simulator

MOST = 2000
"""Choices after which a schedule counts as endless; the longest take about 150."""


@dataclass(frozen=True)
class Schedule:
    """One schedule, walked to its end."""

    seed: int
    sim: SimState
    taken: tuple[Choice, ...]
    violations: tuple[Violation, ...]
    bundles: int = 0
    """Bundles that were sealed, and verify."""


def walk(seed: int, simulator: Simulator) -> Schedule:
    """The schedule of a seed. Stops at the first thing that must not be."""
    chance = random.Random(seed)
    state = _random_state(chance)
    # Of its own generator, so that a schedule without an attacker is what it always was.
    state = replace(state, budget=replace(state.budget, attacks=random.Random(f"attacker {seed}").choice((0, 0, 1, 2))))
    sim, taken, found = simulator.backend.begin(state), list[Choice](), list[Violation]()
    weights, last = _weights(chance), 0
    simulator.remembers = chance.random() < 0.7
    while not found and (open_ := list(choices(sim))):
        if all(each.what in ("clock jumps", "host forgets") or each.what.startswith("attack") for each in open_):
            break
        choice = _pick(chance, open_, weights, last)
        last = choice.who if not choice.what.startswith(("hyops", "clock", "host", "attack")) else last
        choice = replace(choice, ticks=chance.choice((0, 0, 1, 5, 30)))
        sim, found = simulator.step(sim, choice)
        taken.append(choice)
        if len(taken) > MOST:
            found = [Violation(BROKEN, "no end in sight")]
    return Schedule(seed, sim, tuple(taken), tuple(found or ended(sim)))


def recorded(seed: int, simulator: Simulator, folder: Path, bundles: bool) -> Schedule:
    """The same with evidence, in `folder`, which is gone afterwards; with `bundles` sealed and verified."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        evidence = Evidence(Path(name), bundles)
        simulator.observer = evidence
        schedule = walk(seed, simulator)
        wrong = evidence.close(len(schedule.sim.beats))
        return replace(schedule, violations=schedule.violations or tuple(wrong), bundles=evidence.bundles)


@dataclass(frozen=True)
class Weights:
    """Probabilities of one schedule."""

    stay: float
    """That the same process goes on."""
    trouble: float
    """That something goes wrong."""
    hurry: float
    """That HyOps moves on before a process does: it takes minutes where calls take seconds."""
    rush: float
    """That a run begins before any other goes on: many dispatches at one moment."""


def _weights(chance: random.Random) -> Weights:
    return Weights(
        stay=chance.choice((0.0, 0.3, 0.7, 0.95)),
        trouble=chance.uniform(0.02, 0.3),
        hurry=chance.choice((0.03, 0.1, 0.4, 0.8)),
        rush=chance.choice((0.0, 0.9)),
    )


def _pick(chance: random.Random, open_: list[Choice], weights: Weights, last: int) -> Choice:
    """Trouble now and then; else often the same process again, so that there are orderly schedules as well as tangled ones."""
    bad = [each for each in open_ if each.what in FAULTS]
    rare = [each for each in open_ if each.what in ("clock jumps", "host forgets") or each.what.startswith("attack")]
    good = [each for each in open_ if each not in bad and each not in rare]
    if bad and (not good or chance.random() < weights.trouble):
        return chance.choice(bad)
    if rare and (not good or chance.random() < 0.1):
        return chance.choice(rare)
    slow = [each for each in good if each.what.startswith("hyops") or each.what == "beat"]
    rest = [each for each in good if each not in slow]
    if slow and (not rest or chance.random() < weights.hurry):
        return chance.choice(slow)
    begin = [each for each in rest if each.what == "begin"]
    if begin and chance.random() < weights.rush:
        return chance.choice(begin)
    same = [each for each in rest if each.who == last]
    return chance.choice(same if same and chance.random() < weights.stay else rest)


def _random_state(chance: random.Random) -> SimState:
    """Two to four runs that have something to do with one another."""
    runs: list[Run] = []
    for number in range(chance.choice((2, 2, 3, 3, 4))):
        old = chance.choice(runs) if runs else None
        kind = chance.random()
        new = Run(number, number, nonce=number)
        if old is not None and kind < 0.12:  # the same decision dispatched again
            new = replace(old, number=number, nonce=number)
        elif old is not None and kind < 0.18:  # a job re-run
            new = replace(old, number=number, attempt=2)
        elif old is not None and kind < 0.24:  # another decision with an approval that was used
            new = replace(new, nonce=old.nonce)
        elif old is not None and kind < 0.27:  # another decision under the same name
            new = replace(new, decision=old.decision, source=1)
        elif kind < 0.45:
            new = replace(new, drill=True, host=chance.choice(("gcp", "onprem")))
        elif old is not None and kind < 0.65:
            new = replace(new, decision_type=DecisionType.FAILBACK_ONPREM, host="onprem")
        if chance.random() < 0.5:  # another machine with the same label: the ledger is all that stands between
            new = replace(new, host=f"{new.host.removesuffix('-2')}-2")
        runs.append(new)
    budget = Budget(
        faults=chance.choice((0, 1, 1, 2, 2, 3, 4)),
        jumps=chance.choice((0, 1, 2, 3)),
        beats=chance.choice((1, 2, 3)),
        forgets=chance.choice((0, 0, 1)),
        subtle=True,
    )
    answered = tuple(run for run in runs if chance.random() < 0.2)
    return initial_state(tuple(runs), budget, people=chance.choice((0, 1, 1, 2)), answered=answered)


def ended(sim: SimState) -> list[Violation]:
    """Return the violations at the end: every run ends in a legal terminal state, sealed by one of its jobs."""
    found = [Violation(BROKEN, f"{each.role} of run {each.run.number} broke: {each.broken}") for each in sim.processes if each.broken]
    for execute, conclude in zip(sim.processes[::2], sim.processes[1::2], strict=False):
        if execute.role != "execute":
            break
        state: State | None = None
        for entered in execute.trail:
            if not (entered.state is State.RECEIVED if state is None else may_follow(state, entered.state)):
                found.append(Violation(BROKEN, f"run {execute.run.number} went from {state} to {entered.state}"))
            state = entered.state
        ends = [process.sealed for process in (execute, conclude) if process.sealed is not None]
        if not ends or any(end not in TERMINAL for end in ends):
            found.append(Violation(BROKEN, f"run {execute.run.number} came to no end: {ends or state}"))
        if not (conclude.over or execute.schedule):
            found.append(Violation(BROKEN, f"run {execute.run.number} was never concluded"))
    return found
