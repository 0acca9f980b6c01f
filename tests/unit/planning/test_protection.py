from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.contracts.approval import Person
from hyops_ci.contracts.config import EnvClass
from hyops_ci.contracts.facts import EnvironmentFact
from hyops_ci.planning.protection import Demand, demand_of, eligible_reviewers, remarks, shortfalls, weakened

MARIA, JONAS, PRIYA = Person(login="maria", id=1003), Person(login="jonas", id=1001), Person(login="priya", id=1002)
DEMAND = Demand("dr-prod", 1, "main")


def fact(**changes: Any) -> EnvironmentFact:
    good: dict[str, Any] = {
        "name": "dr-prod",
        "exists": True,
        "reviewers": (JONAS, PRIYA),
        "prevent_self_review": True,
        "branches": ("main",),
    }
    return EnvironmentFact(**good | changes)


FACTS = st.builds(
    EnvironmentFact,
    name=st.just("dr-prod"),
    readable=st.booleans(),
    exists=st.booleans(),
    reviewers=st.lists(st.sampled_from([MARIA, JONAS, PRIYA]), unique=True).map(tuple),
    teams=st.lists(st.sampled_from(["leads", "night"]), unique=True).map(tuple),
    prevent_self_review=st.booleans(),
    branches=st.none() | st.lists(st.sampled_from(["main", "release/*", "tag:v*"]), unique=True).map(tuple),
    protected_branches=st.booleans(),
    wait_minutes=st.integers(0, 5),
    admins_bypass=st.none() | st.booleans(),
    private=st.booleans(),
)


def test_an_environment_of_checks_needs_no_reviewer() -> None:
    demand = Demand("dr-check", 0, "main")
    assert shortfalls(fact(name="dr-check", reviewers=(), prevent_self_review=False), demand) == []
    assert remarks(fact(name="dr-check", reviewers=(), prevent_self_review=False), demand) == ["main only"]
    [missing] = shortfalls(fact(name="dr-check", exists=False, private=True), demand)
    assert missing.found == "dr-check does not exist (GitHub would make it, unprotected)"
    assert missing.expected == "dr-check, for main"


def test_reviewers_that_share_a_number_with_the_requester_do_not_count() -> None:
    gate = fact(reviewers=(Person(login="maria-at-home", id=1003), JONAS), teams=("leads",))
    assert eligible_reviewers(gate, [MARIA]) == ["jonas", "team leads"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"reviewers": (JONAS,)}, ""),
        ({"wait_minutes": 10, "branches": ()}, ""),
        ({"exists": False}, "is gone"),
        ({"readable": False, "note": "HTTP 403"}, "can no longer be read: HTTP 403"),
        ({"reviewers": ()}, "no reviewer is left"),
        ({"reviewers": (JONAS, PRIYA, MARIA)}, "maria may approve, too"),
        ({"reviewers": (Person(login="jonas", id=66), PRIYA)}, "jonas may approve, too"),
        ({"reviewers": (Person(login="jonas-renamed", id=1001), PRIYA)}, ""),
        ({"teams": ("everybody",)}, "team everybody may approve, too"),
        ({"prevent_self_review": False}, "self-review allowed"),
        ({"branches": None}, "any branch may pass, too"),
        ({"branches": ("main", "release/*")}, "release/* may pass, too"),
        ({"branches": (), "protected_branches": True}, "every protected branch may pass, too"),
        ({"wait_minutes": 0}, "holds a job 0 min, held it 5"),
        ({"admins_bypass": True}, "administrators can bypass it"),
        ({"reviewers": (), "branches": None}, "no reviewer is left; any branch may pass, too"),
    ],
)
def test_what_got_weaker(changes: dict[str, Any], said: str) -> None:
    before = fact(wait_minutes=5, admins_bypass=False)
    assert weakened(before, before.model_copy(update={"wait_minutes": 5} | changes)) == said


def test_only_production_closes_its_gate_to_other_branches() -> None:
    assert demand_of("dr-prod", 2, EnvClass.PRODUCTION, "refs/heads/main") == Demand("dr-prod", 2, "main")
    assert demand_of("dr-drill", 1, EnvClass.DRILL, "refs/heads/main") == Demand("dr-drill", 1, "")


@given(before=FACTS, after=FACTS)
def test_what_held_and_did_not_weaken_holds(before: EnvironmentFact, after: EnvironmentFact) -> None:
    if shortfalls(before, DEMAND) or weakened(before, after):
        return
    left = shortfalls(after, DEMAND)
    assert [each.found for each in left] in ([], [f"dr-prod: main may not pass, only {', '.join(after.branches or ()) or 'nothing'}"]), left


@given(same=FACTS)
def test_nothing_gets_weaker_by_itself(same: EnvironmentFact) -> None:
    assert weakened(same, same) == "" or not same.readable


@given(fact=FACTS, asked=st.lists(st.sampled_from([MARIA, JONAS, PRIYA]), unique=True))
def test_an_environment_that_lacks_nothing_does_everything(fact: EnvironmentFact, asked: list[Person]) -> None:
    if shortfalls(fact, DEMAND, asked):
        return
    assert fact.readable
    assert fact.exists
    assert fact.prevent_self_review
    assert fact.protected_branches or fact.branches == ("main",)
    assert fact.teams or any(each not in asked for each in fact.reviewers)
