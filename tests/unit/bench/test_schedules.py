"""The search itself: what it merges has one future, and a schedule can be repeated by its seed."""

from __future__ import annotations

import re
from collections.abc import Hashable

import pytest

from bench.__main__ import main
from hyops_ci.contracts.base import Model
from hyops_ci.contracts.ledger import Tip
from hyops_ci.ledger.store import Head
from tests import simulation as schedules
from tests.simulation import exhaustive
from tests.simulation.choices import Choice, choices
from tests.simulation.exhaustive import RUN_SETS, key_of
from tests.simulation.state import Budget, Process, SimState, initial_state
from tests.simulation.step import Simulator


def exact(sim: SimState) -> Hashable:
    """All of a sim, history included."""
    return (
        sim.head.commit,
        sim.budget,
        sim.now,
        sim.serves,
        sim.beats,
        sim.hyops,
        sim.overtaken,
        *map(whole, sim.processes),
    )


def whole(process: Process) -> Hashable:
    answers = tuple(tuple(map(answered, each)) for each in (process.log, process.inner))
    return (answers, process.alive, process.unseen, process.call, process.sealed, process.trail)


def answered(answer: object) -> object:
    if isinstance(answer, Head):
        return answer.commit
    return answer.model_dump_json() if isinstance(answer, Model) else answer


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runs", "budget"),
    [
        ("same incident", Budget()),
        ("two incidents", Budget(faults=1)),
        ("a drill and a real run", Budget(beats=0)),
    ],
)
def test_states_that_are_merged_have_one_future(runs: str, budget: Budget) -> None:
    first, simulator = initial_state(RUN_SETS[runs], budget), Simulator()
    seen, stack = {exact(first)}, [first]
    futures: dict[tuple[Hashable, Choice], Hashable] = {}
    open_: dict[Hashable, list[Choice]] = {}
    while stack:
        sim = stack.pop()
        key, possible = key_of(sim), list(choices(sim))
        assert open_.setdefault(key, possible) == possible
        for choice in possible:
            after, wrong = simulator.step(sim, choice)
            future = (key_of(after), tuple(wrong))
            assert futures.setdefault((key, choice), future) == future
            if (name := exact(after)) not in seen:
                seen.add(name)
                stack.append(after)
    assert len(open_) <= len(seen)


def test_a_process_is_not_run_twice_over_the_same_answers() -> None:
    plain, recalling = (
        exhaustive.search(RUN_SETS["two incidents"], Budget(), simulator) for simulator in (Simulator(), exhaustive.CachingSimulator())
    )
    assert (plain.states, plain.steps) == (recalling.states, recalling.steps)


@pytest.mark.parametrize("more", [[], ["--git"]])
def test_a_schedule_is_told_by_its_seed(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schedules", "--seed", "20003", *more]) == 0
    said = capsys.readouterr().out
    assert "begin(0)" in said
    assert main(["schedules", "--seed", "20003", *more]) == 0
    assert capsys.readouterr().out == said


def test_tips_that_differ_are_told_apart() -> None:
    sim = initial_state(RUN_SETS["same incident"], Budget())
    assert isinstance(sim.head.tip, Tip)
    assert key_of(sim) != key_of(initial_state(RUN_SETS["same incident"], Budget(faults=1)))


def test_the_last_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(schedules, "SCHEDULES", 12)
    monkeypatch.setattr(schedules, "ON_GIT", 1)
    monkeypatch.setattr(schedules, "SEARCHES", (("two incidents", Budget()),))
    assert main(["schedules"]) == 0
    *_, line, last = capsys.readouterr().out.splitlines()
    assert line == "schedules violations=0 <= 0: ok"
    assert re.fullmatch(r"schedules=12 exhaustive_states=\d{2,} double_effects=0 double_holders=0 forged_ends=0", last)
