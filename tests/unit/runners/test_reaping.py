"""What is left over of a runner, and what is never taken for it: cases of peers' bugs, and what holds for every look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.contracts.base import seconds, stamp
from hyops_ci.contracts.github_facts import RunnerFact
from hyops_ci.runners.ports import Machine, MachineState, Owner
from hyops_ci.runners.reaping import BETWEEN, Kind, Leftover, Look, leftovers, remembered

CASES = Path(__file__).parents[2] / "cases" / "reaping"
NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
OWNER = Owner(4711, "gcp", "gcp-ops-runner")
NAME = "gcp-ops-runner-01"
LABELS = (frozenset({"self-hosted", "gcp-ops-runner"}), frozenset({"self-hosted", "gcp-drill-runner"}))
GRACE = timedelta(minutes=20)


def machine(found: Mapping[str, Any]) -> Machine:
    owner = replace(OWNER, repository_id=1) if found.get("owner") == "another" else OWNER
    age = found.get("age")
    created = stamp(NOW - timedelta(seconds=seconds(age))) if age else ""
    return Machine(found["name"], MachineState(found["state"]), found["id"], "zone-b", created_at=created, labels=owner.labels())


def runner(found: Mapping[str, Any]) -> RunnerFact:
    labels = tuple(found.get("labels", ("self-hosted", "Linux", "X64", "gcp-ops-runner")))
    online, busy = found.get("online", True), found.get("busy", False)
    return RunnerFact(id=found["id"], name=found["name"], online=online, busy=busy, labels=labels, scope="repository")


def look_of(case: Mapping[str, Any]) -> Look:
    """A case as it is written: what is left out is looked at and empty."""
    machines = None if case["machines"] is None else [machine(each) for each in case["machines"]]
    known = next((each for each in machines or () if each.name == NAME), None)
    named = known or Machine(NAME, MachineState(case.get("named", "absent")))
    runners = None if case["runners"] is None else [runner(each) for each in case["runners"]]
    return Look(OWNER, NAME, LABELS, NOW, GRACE, machines, named, runners, case.get("wanted_by", []))


def seen_in(case: Mapping[str, Any]) -> dict[str, str]:
    return {key: stamp(NOW - timedelta(seconds=seconds(ago))) for key, ago in case.get("seen", {}).items()}


@pytest.mark.parametrize("path", sorted(CASES.glob("*/*.yml")), ids=lambda path: "/".join(path.parts[-2:]))
def test_case(path: Path) -> None:
    case = yaml.safe_load(path.read_text())
    found = leftovers(look_of(case), seen_in(case))
    if path.parent.name == "not_left_over":
        assert found == ()
        return
    [one] = found
    assert one.kind == case["expect"]["kind"]
    assert case["expect"].get("words", "") in one.words
    if path.parent.name == "removable":
        assert one.kept == ""
    else:
        assert case["expect"]["kept"] in one.kept


def test_two_looks_remove_what_one_does_not() -> None:
    case = {"machines": [{"name": NAME, "id": "1", "state": "running", "age": "PT2H"}], "runners": []}
    first = leftovers(look_of(case), {})
    assert [bool(each.kept) for each in first] == [True]
    memory = remembered(first)
    for later, kept in ((timedelta(0), True), (BETWEEN - timedelta(seconds=1), True), (BETWEEN, False)):
        again = leftovers(replace(look_of(case), at=NOW + later), memory)
        assert [bool(each.kept) for each in again] == [kept]
        assert remembered(again) == memory, "what was seen first stays so"


def test_what_is_seen_no_more_begins_anew() -> None:
    case = {"machines": [], "runners": [{"name": NAME, "id": 7, "online": False}]}
    memory = remembered(leftovers(look_of(case), {}))
    healthy = {**case, "runners": [{"name": NAME, "id": 7, "online": False}], "machines": [{"name": NAME, "id": "1", "state": "running"}]}
    memory = remembered(leftovers(look_of(healthy), memory))
    assert memory == {}
    again = leftovers(replace(look_of(case), at=NOW + BETWEEN * 3), memory)
    assert [each.kept[:24] for each in again] == ["seen for the first time:"]


@pytest.mark.parametrize("said", ["", "yesterday", "2026-13-01T00:00:00Z", stamp(NOW + timedelta(days=1))])
def test_a_memory_that_makes_no_sense_is_a_first_sight(said: str) -> None:
    case = {"machines": [{"name": NAME, "id": "1", "state": "running", "age": "PT2H"}], "runners": []}
    [found] = leftovers(look_of(case), {"machine 1": said})
    assert found.kept.startswith("seen for the first time")


# ------------------------------------------------------------------------------------------------- for every look

NAMES = st.sampled_from([NAME, NAME.upper(), "gcp-ops-runner", f"{NAME}-drill", "dc1-ops", "build"])
AGES = st.one_of(st.none(), st.integers(min_value=-60, max_value=300))


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    age = draw(AGES)
    owner = draw(st.sampled_from([OWNER, replace(OWNER, repository_id=1), replace(OWNER, lane="onprem")]))
    created = "" if age is None else stamp(NOW - timedelta(minutes=age))
    state = draw(st.sampled_from([each for each in MachineState if each is not MachineState.ABSENT]))
    return Machine(draw(NAMES), state, draw(st.sampled_from(["", "1", "2", "3"])), created_at=created, labels=owner.labels())


@st.composite
def runner_facts(draw: st.DrawFn) -> RunnerFact:
    labels = draw(st.sampled_from([("self-hosted", "gcp-ops-runner"), ("SELF-hosted", "GCP-Ops-Runner", "x"), ("self-hosted", "build")]))
    online, busy = draw(st.booleans()), draw(st.booleans())
    return RunnerFact(id=draw(st.integers(1, 5)), name=draw(NAMES), online=online, busy=busy, labels=labels, scope="repository")


LOOKS = st.builds(
    Look,
    owner=st.just(OWNER),
    name=st.just(NAME),
    labels=st.just(LABELS),
    at=st.just(NOW),
    grace=st.just(GRACE),
    machines=st.one_of(st.none(), st.lists(machines(), max_size=4)),
    named=st.one_of(st.none(), machines(), st.just(Machine(NAME, MachineState.ABSENT))),
    runners=st.one_of(st.none(), st.lists(runner_facts(), max_size=4)),
    wanted_by=st.sampled_from([None, [], ["run 1 is waiting"]]),
)
MEMORIES = st.dictionaries(
    st.sampled_from([f"{kind} {number}" for kind in Kind for number in ("", 1, 2, 3, 4, 5)]),
    st.sampled_from([stamp(NOW - timedelta(minutes=ago)) for ago in (0, 5, 10, 600)] + ["nonsense", stamp(NOW + timedelta(hours=1))]),
)


@given(LOOKS, MEMORIES)
def test_only_what_is_certainly_of_no_use_may_be_removed(look: Look, memory: dict[str, str]) -> None:
    for one in leftovers(look, memory):
        assert one.kept or _was_seen_before(one, memory)
        if one.kept:
            continue
        assert look.wanted_by == []
        assert look.machines is not None
        assert look.runners is not None
        if one.kind is Kind.MACHINE:
            fitting = [each for each in look.machines if each.id == one.id and each.name == one.name]
            assert any(look.owner.owns(each.labels) for each in fitting), "another owner's is never touched"
            assert not any(each.name.casefold() == one.name.casefold() for each in look.runners)
            assert any(each.created_at and NOW - datetime.fromisoformat(each.created_at) >= GRACE for each in fitting)
        else:
            assert look.named is not None
            assert look.named.state is MachineState.ABSENT
            assert not any(each.name.casefold() == NAME.casefold() for each in look.machines)
            fit = [each for each in look.runners if str(each.id) == one.id and each.name == one.name]
            assert any(not each.online and not each.busy for each in fit)


def _was_seen_before(one: Leftover, memory: dict[str, str]) -> bool:
    return memory.get(one.key, "") == one.first_seen and NOW - datetime.fromisoformat(one.first_seen) >= BETWEEN


@given(LOOKS, MEMORIES)
def test_a_look_remembers_what_it_sees_and_nothing_else(look: Look, memory: dict[str, str]) -> None:
    found = leftovers(look, memory)
    kept = remembered(found)
    assert set(kept) == {each.key for each in found}
    assert all(datetime.fromisoformat(first) <= NOW for first in kept.values())
    assert remembered(leftovers(look, kept)) == kept


@given(LOOKS)
def test_without_a_memory_nothing_may_be_removed(look: Look) -> None:
    assert all(each.kept for each in leftovers(look, {}))
