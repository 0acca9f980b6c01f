"""Model checking of the ledger: 10,000 random schedules of two to four runs, 200 of them on real Git, and every schedule of two runs.

The ledger, its rules, what the stages do around them and the recorder are the library's own; HyOps, GitHub and the clock are simulated. See
`invariants` for what must hold, `model` for what is the library's, `choices` for what may happen. A seed gives the same schedule anywhere:
`python -m bench schedules --seed N [--git]` prints it choice by choice.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections import Counter
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench import Result
from tests.simulation.backends import Backend, InMemory
from tests.simulation.exhaustive import RUN_SETS, search
from tests.simulation.invariants import EFFECTS, FORGED, HOLDERS
from tests.simulation.on_git import OnGit
from tests.simulation.random_walk import recorded
from tests.simulation.state import Budget
from tests.simulation.step import Simulator

SCHEDULES: Final = 10_000
ON_GIT: Final = 200
BUNDLE_EVERY: Final = 10
"""All runs leave evidence, whose chain is read again; those of every tenth schedule, and of all on Git, are sealed and verified too."""
SEARCHES: Final = (
    ("a drill and a real run", Budget(faults=1)),
    ("same incident", Budget(faults=1, jumps=1)),
    ("two incidents", Budget(faults=1, jumps=1)),
    ("a drill and a real run", Budget(jumps=1)),
    ("same incident", Budget(attacks=1)),
    ("two incidents", Budget(attacks=1)),
)
"""The longest first. With `faults` a crash, a lost answer or a lost runner anywhere; with `jumps`, also a silence of eleven minutes; with
`attacks`, a tip by somebody without a key on top of the branch at any step."""
_ROOM: Final = Path("/dev/shm")


@dataclass
class Tally:
    """The result of a share of the work."""

    name: str
    seconds: float = 0.0
    schedules: int = 0
    choices: int = 0
    states: int = 0
    steps: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    effects: int = 0
    bundles: int = 0
    wrong: list[str] = field(default_factory=list)


def run() -> Result:
    """Run all searches and schedules on all cores. The figure is the number of violations."""
    begun, tallies = time.perf_counter(), list[Tally]()
    with ProcessPoolExecutor(os.cpu_count() or 2, multiprocessing.get_context("spawn")) as pool:
        shares: list[Future[Tally]] = [pool.submit(exhaust, name, budget) for name, budget in SEARCHES]
        shares += [pool.submit(wander, range(at, min(at + 10, ON_GIT)), git=True) for at in range(0, ON_GIT, 10)]
        shares += [pool.submit(wander, range(at, min(at + 250, SCHEDULES))) for at in range(0, SCHEDULES, 250)]
        tallies = [share.result() for share in shares]
    kinds = sum((each.kinds for each in tallies), Counter[str]())
    walks, simulations = ([each for each in tallies if bool(each.states) is searched] for searched in (False, True))
    memory, git = ([each for each in walks if (each.name == "git") is on_git] for on_git in (False, True))
    states = sum(each.states for each in simulations)
    notes = (
        *(f"{each.name}: {each.states} states, {each.steps} steps in {each.seconds:.0f} s" for each in simulations),
        *(_words(name, share) for name, share in (("in memory", memory), ("on Git", git))),
        f"{time.perf_counter() - begun:.0f} s in all on {os.cpu_count()} cores",
        *(line for each in tallies for line in each.wrong[:3]),
    )
    closing = f"schedules={sum(each.schedules for each in memory)} exhaustive_states={states} "
    closing += f"{EFFECTS}={kinds[EFFECTS]} {HOLDERS}={kinds[HOLDERS]} {FORGED}={kinds[FORGED]}"
    return Result("schedules", "violations", kinds.total(), "<=", 0, notes, closing)


def wander(seeds: range, git: bool = False) -> Tally:
    """Random schedules with evidence, one after another."""
    tally, begun = Tally("git" if git else "memory"), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="bench-schedules-", dir=_ROOM if _ROOM.is_dir() else None) as name:
        for seed in seeds:
            folder = Path(name) / str(seed)
            folder.mkdir()
            schedule = recorded(seed, Simulator(_backend(folder, git)), folder, bundles=git or seed % BUNDLE_EVERY == 0)
            tally.schedules += 1
            tally.choices += len(schedule.taken)
            tally.effects += len(schedule.sim.hyops)
            tally.bundles += schedule.bundles
            tally.ends.update(process.sealed.value for process in schedule.sim.processes if process.sealed is not None)
            tally.kinds.update(each.kind for each in schedule.violations)
            how = f"python -m bench schedules --seed {seed}{' --git' if git else ''}"
            tally.wrong += [f"seed {seed}: {each.kind}: {each.text}; {how}" for each in schedule.violations]
    tally.seconds = time.perf_counter() - begun
    return tally


def exhaust(name: str, budget: Budget) -> Tally:
    """Search all schedules of one set of runs."""
    begun, found = time.perf_counter(), search(RUN_SETS[name], budget)
    tally = Tally(f"{name} (faults {budget.faults}, silences {budget.jumps}, attacks {budget.attacks})", time.perf_counter() - begun)
    tally.states, tally.steps = found.states, found.steps
    tally.kinds.update(violation.kind for violation, _ in found.violations)
    shortest = sorted(found.violations, key=lambda each: len(each[1]))
    tally.wrong = [f"{name}: {each.kind}: {each.text}: {' '.join(map(str, path))}" for each, path in shortest]
    return tally


def replay(arguments: list[str]) -> int:
    """`--seed N [--git]`: print one schedule choice by choice. Exit 1 for one with a violation."""
    parser = argparse.ArgumentParser(prog="python -m bench schedules")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--git", action="store_true", help="on a real repository")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-schedules-") as name:
        schedule = recorded(asked.seed, Simulator(_backend(Path(name), asked.git)), Path(name), bundles=True)
    for process in schedule.sim.processes:
        print(f"{process.role:<9} {process.run}  {process.sealed or process.state or ''}")
    print(*map(str, schedule.taken), sep="\n")
    for violation in schedule.violations:
        print(f"{violation.kind}: {violation.text}")
    return 1 if schedule.violations else 0


def _backend(folder: Path, git: bool) -> Backend:
    return OnGit(folder / "git") if git else InMemory()


def _words(name: str, shares: list[Tally]) -> str:
    count, ends = sum(each.schedules for each in shares), sum((each.ends for each in shares), Counter[str]())
    outcomes = ", ".join(f"{state} {number}" for state, number in ends.most_common())
    choices, seconds = sum(each.choices for each in shares), sum(each.seconds for each in shares)
    effects, bundles = sum(each.effects for each in shares), sum(each.bundles for each in shares)
    return (
        f"{name}: {count} schedules, {choices} choices, {effects} effects, {bundles} bundles verified, {seconds:.0f} s of work; {outcomes}"
    )
