"""A small share of `python -m bench schedules`, and proof that the search finds what it looks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.contracts.ledger import Claim, Tip
from hyops_ci.contracts.run import State
from hyops_ci.errors import Refusal
from hyops_ci.ledger import host_word, rules, transitions, vouching
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.store import Head
from hyops_ci.stages.conclude import crashed
from tests.simulation import model
from tests.simulation.backends import InMemory
from tests.simulation.choices import Choice
from tests.simulation.exhaustive import RUN_SETS, search
from tests.simulation.fixtures import world_of
from tests.simulation.invariants import BROKEN, EFFECTS, FORGED, HOLDERS, Violation
from tests.simulation.on_git import OnGit
from tests.simulation.process import Run
from tests.simulation.random_walk import recorded, walk
from tests.simulation.state import Budget, SimState, initial_state
from tests.simulation.step import Simulator

pytestmark = pytest.mark.slow

SEEDS = range(20_000, 20_200)  # not those of the benchmark
MOST = 1200
"""Schedules within which a planted fault is found by chance."""


def test_random_schedules(tmp_path: Path) -> None:
    bundles = 0
    for seed in SEEDS:
        schedule = recorded(seed, Simulator(), tmp_path, bundles=seed % 10 == 0) if seed % 5 == 0 else walk(seed, Simulator())
        assert not schedule.violations, f"python -m bench schedules --seed {seed}"
        bundles += schedule.bundles
    assert bundles > 15


def test_random_schedules_on_a_real_repository(tmp_path: Path) -> None:
    for seed in SEEDS[:4]:
        schedule = recorded(seed, Simulator(OnGit(tmp_path / f"git-{seed}")), tmp_path, bundles=True)
        assert not schedule.violations, f"python -m bench schedules --seed {seed} --git"


def test_a_seed_is_a_schedule() -> None:
    one, other = (walk(20_007, Simulator()) for _ in range(2))
    assert one.taken == other.taken
    assert one.sim.head == other.sim.head


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runs", "budget", "states"),
    [
        ("same incident", Budget(jumps=1, beats=2), 4000),
        ("two incidents", Budget(faults=1), 5000),
        ("a drill and a real run", Budget(), 5000),
        ("two incidents", Budget(attacks=1, beats=0), 3000),
    ],
)
def test_every_schedule_of_two_runs(runs: str, budget: Budget, states: int) -> None:
    found = search(RUN_SETS[runs], budget)
    assert not found.violations
    assert found.states > states


# --------------------------------------------------------------------------------- faults that must be found
Plant = Callable[[pytest.MonkeyPatch], None]


def no_compare_and_swap(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(InMemory, "fits", lambda self, head, parent: True)


def no_push_of_executing(patch: pytest.MonkeyPatch) -> None:
    real = Ledger.advance

    def advance(self: Ledger, claim: Claim, state: State, **how: Any) -> Tip:
        return self.tip() if state is State.EXECUTING else real(self, claim, state, **how)

    patch.setattr(Ledger, "advance", advance)


def spent_forgotten(patch: pytest.MonkeyPatch) -> None:
    real = rules.history_of
    patch.setattr(rules, "history_of", lambda tips: replace(real(tips), spent=frozenset()))


def nonces_forgotten(patch: pytest.MonkeyPatch) -> None:
    real = rules.history_of
    patch.setattr(rules, "history_of", lambda tips: replace(real(tips), nonces=frozenset()))


def begun_and_silent_is_superseded(patch: pytest.MonkeyPatch) -> None:
    real = rules.may_claim
    patch.setattr(rules, "may_claim", lambda tip, *rest: real(tip.model_copy(update={"mutating": False}), *rest))


def unknown_is_free(patch: pytest.MonkeyPatch) -> None:
    real = rules._open_claim

    def open_claim(tip: Tip, *rest: Any) -> None:
        if tip.state is not State.INDETERMINATE:
            real(tip, *rest)

    patch.setattr(rules, "_open_claim", open_claim)


def position_not_looked_at(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules, "_position", lambda tip, request: None)


def superseded_goes_on(patch: pytest.MonkeyPatch) -> None:
    real = Ledger.advance

    def advance(self: Ledger, claim: Claim, state: State, **how: Any) -> Tip:
        try:
            return real(self, claim, state, **how)
        except Refusal:
            return self.tip()

    patch.setattr(Ledger, "advance", advance)


def drills_never_ask(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ledger, "renew", lambda self, claim, *, at: None)


def past_no_return_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    real = transitions.advanced
    patch.setattr(transitions, "advanced", lambda tip, claim, state, **how: real(tip, claim, state, **{**how, "past_no_return": False}))


def nobody_vouches(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ledger, "_vouch", lambda self, head: None)


def any_end_may_be_unsigned(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(vouching, "_may_be_unsigned", lambda *_: True)


def no_host_is_heard(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(host_word, "host_word", lambda *_: None)


SAME, DRILL = "same incident", "a drill and a real run"
PLANTS: list[tuple[Plant, str, str, Budget]] = [
    (no_compare_and_swap, EFFECTS, SAME, Budget()),
    (no_push_of_executing, HOLDERS, SAME, Budget(faults=1)),
    (begun_and_silent_is_superseded, HOLDERS, SAME, Budget(jumps=1)),
    (unknown_is_free, HOLDERS, SAME, Budget(faults=1)),
    (position_not_looked_at, EFFECTS, SAME, Budget()),
    (superseded_goes_on, HOLDERS, SAME, Budget(jumps=1)),
    (drills_never_ask, HOLDERS, DRILL, Budget()),
    (nobody_vouches, FORGED, SAME, Budget(attacks=1)),
    (any_end_may_be_unsigned, HOLDERS, SAME, Budget(attacks=1)),
    (no_host_is_heard, FORGED, SAME, Budget(attacks=1)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("plant", "kind", "runs", "budget"), PLANTS)
def test_a_planted_fault_is_found_in_the_nights_of_two(
    plant: Plant, kind: str, runs: str, budget: Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    assert kind in {violation.kind for violation, _ in search(RUN_SETS[runs], budget, most=60).violations}


@pytest.mark.parametrize(
    ("plant", "kind"),
    [
        (no_compare_and_swap, EFFECTS),
        (spent_forgotten, EFFECTS),
        (nonces_forgotten, BROKEN),
        (past_no_return_is_forgotten, EFFECTS),
    ],
)
def test_a_planted_fault_is_found_by_chance(plant: Plant, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    kinds: set[str] = set()
    for seed in range(MOST):
        kinds.update(each.kind for each in walk(seed, Simulator()).violations)
        if kind in kinds:
            return
    pytest.fail(f"{MOST} schedules, and only {kinds or 'nothing'}")


def test_a_lost_runner_and_a_conclude_that_believes_what_it_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the search found first: conclude read CLAIMED, the run went on to EXECUTING, and conclude's FAILED freed the lock under it."""
    real = transitions.advanced
    # As in a shell, where conclude has the key of the host: without one it could not write that FAILED.
    monkeypatch.setattr(model, "world_of", lambda replay, keep=False, **_: world_of(replay, keep))
    monkeypatch.setattr(crashed, "_closed", lambda ledger, claim, world: ledger.tip())
    monkeypatch.setattr(transitions, "advanced", lambda tip, claim, state, **how: real(tip, claim, state, **{**how, "unbegun": False}))
    found = search(RUN_SETS["same incident"], Budget(faults=1), most=1)
    assert {violation.kind for violation, _ in found.violations} & {EFFECTS, HOLDERS}


def test_the_history_may_only_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    real = InMemory.answer

    def shortened(self: InMemory, head: Head, *rest: Any) -> tuple[Head, object]:
        new, answer = real(self, head, *rest)
        cut = Head(new.commit, new.tips[:2], new.commits[:2])
        return (cut if new is not head else head), answer

    monkeypatch.setattr(InMemory, "answer", shortened)
    assert Violation(BROKEN, "the branch did not just grow") in [each for seed in range(20) for each in walk(seed, Simulator()).violations]


# ------------------------------------------------------------------------- a run that GitHub lost sight of
def schedule(sim: SimState, *steps: str) -> SimState:
    """The sim after these choices, in which nothing may be wrong; `go on 0 x 3` is three of one kind."""
    for step in steps:
        words, _, times = step.partition(" x ")
        what, _, who = words.rpartition(" ")
        for _ in range(int(times or 1)):
            sim, wrong = Simulator().step(sim, Choice(what, int(who)))
            assert not wrong
    return sim


@pytest.fixture
def claimed() -> SimState:
    """A run that holds its claim and is about to push EXECUTING."""
    sim = schedule(initial_state((Run(0, 0),), Budget(faults=1), people=0), "begin 0", "go on 0 x 3")
    assert sim.processes[0].state is State.PREFLIGHT_PASSED
    return sim


def test_conclude_closes_the_claim_of_a_dead_run_and_adds_the_bundle(claimed: SimState) -> None:
    sim = schedule(claimed, "crash before 0", "find nothing 1", "go on 1 x 4")
    assert sim.processes[1].over
    assert [(tip.state, tip.bundle_sha256 is not None) for tip in sim.head.tips] == [
        (State.FAILED, True),
        (State.FAILED, False),
        (State.CLAIMED, False),
        (None, False),
    ]


def test_a_lost_run_that_was_closed_stops_at_its_next_push(claimed: SimState) -> None:
    sim = schedule(claimed, "lose sight 0", "find nothing 1", "go on 1 x 2", "go on 0 x 3")
    assert sim.head.tip.state is State.FAILED
    assert sim.processes[0].state is State.FAILED
    assert not sim.hyops


def test_a_lost_run_that_begins_while_conclude_looks_is_unknown(claimed: SimState) -> None:
    sim = schedule(claimed, "lose sight 0", "find nothing 1", "go on 1", "go on 0", "go on 1 x 6")
    assert sim.processes[1].over
    assert sim.processes[1].sealed is State.INDETERMINATE
    assert (sim.head.tip.state, sim.head.tip.mutating) == (State.INDETERMINATE, True)
    assert sim.processes[0].state is State.EXECUTING
