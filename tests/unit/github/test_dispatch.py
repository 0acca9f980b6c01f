"""Starting a workflow: judged before it is sent, sent once, and found again when its number did not come back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.github.actions.workflow_file import Input
from hyops_ci.github.api.client import Client
from hyops_ci.github.dispatch import (
    LOOKS,
    MAX_INPUTS,
    MAX_SIZE,
    DispatchTarget,
    Started,
    check_declared,
    check_event,
    check_inputs,
    dispatch_target,
    start,
    start_by_event,
)
from tests.support.github import faults
from tests.support.github.fixture import github_fake
from tests.support.github.repositories import Repository
from tests.support.github.runs import Run
from tests.support.github.server import FakeGitHub
from tests.unit.operations.dispatch.dispatching import StandingClock

__all__ = ["github_fake"]

FILE = """\
name: Disaster recovery
on:
  workflow_dispatch:
    inputs:
      decision: {type: string, default: ""}
      action: {type: choice, options: [failover, failback]}
  repository_dispatch: {types: [dr-decision]}
jobs: {}
"""
MARK = "inc-4242-power-lost"
SEND = "POST /repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches"
SEND_EVENT = "POST /repos/{owner}/{repo}/dispatches"
LIST = "GET /repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs"
PERMISSIONS = ("actions: write", "contents: write", "metadata: read")


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def repository(github_fake: FakeGitHub) -> Repository:
    made = github_fake.add_repository("acme/recovery")
    made.add_workflow(".github/workflows/dr.yml", FILE)
    return made


@pytest.fixture
def client(github_fake: FakeGitHub, repository: Repository, clock: StandingClock) -> Client:
    token = github_fake.add_token(*PERMISSIONS)
    return Client.connect("acme/recovery", token=token, api_url=github_fake.url, sleep=lambda _: None, monotonic=clock.monotonic)


def titled(repository: Repository, title: str) -> None:
    """Runs carry this name, as `run-name:` gives it to them."""

    def name(run: Run) -> None:
        run.title = title

    repository.workflows[0].on_start = name


def started(client: Client, clock: StandingClock, mark: str = MARK, **inputs: str) -> Started:
    return start(client, dispatch_target(client, "dr.yml"), ref="main", inputs=inputs, mark=mark, clock=clock)


def sent(fake: FakeGitHub, operation: str = SEND) -> int:
    return len(fake.made(operation))


class OlderServer(Client):
    """A server that does not know `return_run_details`."""

    def ask(self, endpoint: Any, *, params: Any = None, body: Any = None, **path: object) -> Any:
        kept = {key: value for key, value in body.items() if key != "return_run_details"} if isinstance(body, dict) else body
        return super().ask(endpoint, params=params, body=kept, **path)


@pytest.fixture
def older(client: Client) -> Client:
    client.__class__ = OlderServer
    return client


# ------------------------------------------------------------------------------------------- the run is answered


def test_github_answers_with_the_run(client: Client, clock: StandingClock, repository: Repository, github_fake: FakeGitHub) -> None:
    repository.add_run()
    found = started(client, clock, decision="{}", action="failback")
    run = max(repository.runs.values(), key=lambda each: each.id)
    assert found == Started(run.id, run.page)
    assert (run.event, run.inputs) == ("workflow_dispatch", {"decision": "{}", "action": "failback"})
    assert (sent(github_fake), clock.waited) == (1, 0)


def test_what_github_refuses_is_refused(client: Client, clock: StandingClock, github_fake: FakeGitHub) -> None:
    with pytest.raises(Refusal) as caught:
        start(client, dispatch_target(client, "dr.yml"), ref="no-such-branch", inputs={}, mark="", clock=clock)
    assert "No ref found" in caught.value.found
    assert sent(github_fake) == 1


def test_without_the_right_the_permission_is_named(repository: Repository, github_fake: FakeGitHub, clock: StandingClock) -> None:
    client = Client.connect("acme/recovery", token=github_fake.add_token("actions: read"), api_url=github_fake.url)
    with pytest.raises(Refusal, match=r"github\.permission") as caught:
        started(client, clock)
    assert "actions: write" in caught.value.fix
    assert repository.runs == {}


# ---------------------------------------------------------------------------- older servers: the run is found again


def test_an_older_server_and_one_new_run(older: Client, clock: StandingClock, repository: Repository) -> None:
    repository.add_run(title=f"failover {MARK}")
    found = started(older, clock)
    run = max(repository.runs.values(), key=lambda each: each.id)
    assert found == Started(run.id, run.page)
    assert clock.waited == sum(LOOKS), "without its mark it is only told from others when no other appears"


def test_an_older_server_and_a_run_that_carries_the_mark(older: Client, clock: StandingClock, repository: Repository) -> None:
    titled(repository, f"decision {MARK} by maria")
    clock.on_sleep = [lambda: repository.add_run(title="somebody else's")]
    found = started(older, clock)
    assert found.run_id == min(repository.runs)
    assert clock.waited == LOOKS[0]


def test_several_runs_that_could_be_it(older: Client, clock: StandingClock, repository: Repository) -> None:
    clock.on_sleep = [repository.add_run]
    assert started(older, clock) == Started(None, "https://github.com/acme/recovery/actions/workflows/dr.yml")


def test_two_runs_that_carry_the_mark(older: Client, clock: StandingClock, repository: Repository) -> None:
    titled(repository, f"decision {MARK} by maria")
    clock.on_sleep = [lambda: repository.add_run(title=f"not {MARK}")]
    assert started(older, clock).run_id is None


def test_a_run_of_another_event_is_not_it(older: Client, clock: StandingClock, repository: Repository) -> None:
    clock.on_sleep = [lambda: repository.add_run(event="schedule")]
    assert started(older, clock).run_id == min(repository.runs)


def test_a_listing_that_fails_hides_nothing_that_was_started(older: Client, clock: StandingClock, github_fake: FakeGitHub) -> None:
    github_fake.inject(faults.answer(403), LIST, after=1, times=None)
    assert started(older, clock).run_id is None
    assert sent(github_fake) == 1


# ------------------------------------------------------------------------------- a lost answer is never asked for again


@pytest.mark.parametrize("fault", [faults.lost(), faults.truncated()], ids=["lost", "truncated"])
def test_a_run_whose_answer_was_lost_is_found_by_its_mark(
    fault: faults.Fault, client: Client, clock: StandingClock, repository: Repository, github_fake: FakeGitHub
) -> None:
    titled(repository, f"failover pg-ha/prod, {MARK}")
    github_fake.inject(fault, SEND)
    found = started(client, clock)
    assert (found.run_id, sent(github_fake), len(repository.runs)) == (min(repository.runs), 1, 1)


@pytest.mark.parametrize("fault", [faults.dropped(), faults.answer(502), faults.lost()], ids=["dropped", "502", "lost"])
def test_a_run_that_cannot_be_told_is_unknown_and_nothing_is_sent_again(
    fault: faults.Fault, client: Client, clock: StandingClock, github_fake: FakeGitHub
) -> None:
    github_fake.inject(fault, SEND)
    with pytest.raises(Fault) as caught:
        started(client, clock)
    assert (caught.value.gate, caught.value.exit_code, sent(github_fake)) == ("dispatch.unknown", Exit.UNAVAILABLE, 1)
    assert MARK in caught.value.found
    assert "dispatch again only when" in caught.value.fix


def test_somebody_elses_run_is_not_taken_for_one_whose_answer_was_lost(
    client: Client, clock: StandingClock, repository: Repository, github_fake: FakeGitHub
) -> None:
    github_fake.inject(faults.dropped(), SEND)
    clock.on_sleep = [lambda: repository.add_run(title="failover pg-ha/prod by jonas")]
    with pytest.raises(Fault, match=r"dispatch\.unknown") as caught:
        started(client, clock)
    assert "by jonas" in caught.value.found


def test_when_even_the_list_does_not_answer_it_is_unknown(client: Client, clock: StandingClock, github_fake: FakeGitHub) -> None:
    github_fake.inject(faults.lost(), SEND)
    github_fake.inject(faults.answer(404), LIST, after=1, times=None)
    with pytest.raises(Fault, match=r"dispatch\.unknown") as caught:
        started(client, clock)
    assert "cannot be listed" in caught.value.found
    assert sent(github_fake) == 1


def test_a_limit_turned_it_away_at_the_door_so_it_is_sent_again(client: Client, clock: StandingClock, github_fake: FakeGitHub) -> None:
    github_fake.inject(faults.secondary(1), SEND)
    assert started(client, clock).run_id is not None
    assert sent(github_fake) == 2


# -------------------------------------------------------------------------------------------- by repository_dispatch


def by_event(client: Client, clock: StandingClock, payload: Mapping[str, Any]) -> Started:
    into = dispatch_target(client, "dr.yml")
    return start_by_event(client, into, event_type="dr-decision", payload=payload, mark=MARK, clock=clock)


def test_an_event_starts_it_and_the_run_is_found(client: Client, clock: StandingClock, repository: Repository) -> None:
    payload = {"decision": {"decision_id": MARK}}
    found = by_event(client, clock, payload)
    run = repository.runs[found.run_id or 0]
    assert (run.event, run.inputs, found.url) == ("repository_dispatch", payload, run.page)


@pytest.mark.parametrize("fault", [faults.lost(), faults.answer(500)], ids=["lost", "500"])
def test_an_event_whose_answer_was_lost(fault: faults.Fault, client: Client, clock: StandingClock, github_fake: FakeGitHub) -> None:
    github_fake.inject(fault, SEND_EVENT)
    with pytest.raises(Fault, match=r"dispatch\.unknown"):
        by_event(client, clock, {"decision": {}})
    assert sent(github_fake, SEND_EVENT) == 1


def test_an_event_that_nothing_listens_to_starts_nothing(client: Client, clock: StandingClock, repository: Repository) -> None:
    repository.workflows[0].state = "active"
    repository.commit({".github/workflows/dr.yml": "on: workflow_dispatch\njobs: {}\n"})
    found = by_event(client, clock, {"decision": {}})
    assert (found.run_id, repository.runs) == (None, {})


# ------------------------------------------------------------------------------------------------ judged before


def refused(call: Callable[[], object]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call()
    assert caught.value.exit_code is Exit.USAGE
    return caught.value


def test_a_workflow_that_github_does_not_start(client: Client, repository: Repository) -> None:
    assert dispatch_target(client, "dr.yml") == DispatchTarget(
        "dr.yml", ".github/workflows/dr.yml", "https://github.com/acme/recovery/actions/workflows/dr.yml"
    )
    repository.workflows[0].state = "disabled_inactivity"
    error = refused(lambda: dispatch_target(client, "dr.yml"))
    assert (error.gate, "disabled inactivity" in error.found) == ("dispatch.workflow", True)
    with pytest.raises(Refusal, match=r"github\.missing"):
        dispatch_target(client, "other.yml")


@pytest.mark.parametrize("name", ["", "dr", "../dr.yml", ".github/workflows/dr.yml", "dr.yml\n", "d r.yml", "x" * 101 + ".yml"])
def test_a_name_that_is_no_file_of_workflows(name: str, client: Client, github_fake: FakeGitHub) -> None:
    assert refused(lambda: dispatch_target(client, name)).gate == "dispatch.workflow"
    assert github_fake.calls == []


def test_inputs_as_large_as_github_takes_and_one_more() -> None:
    room = MAX_SIZE - len(json.dumps({"decision": ""}))
    check_inputs({"decision": "x" * room}, instead="by reference")
    error = refused(lambda: check_inputs({"decision": "x" * (room + 1)}, instead="by reference"))
    assert (error.gate, error.fix) == ("dispatch.size", "by reference")
    assert str(MAX_SIZE + 1) in error.found
    check_inputs({f"input-{n}": "" for n in range(MAX_INPUTS)}, instead="")
    assert refused(lambda: check_inputs({f"input-{n}": "" for n in range(MAX_INPUTS + 1)}, instead="")).gate == "dispatch.size"


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=200), max_size=4), st.integers(0, 70_000))
def test_what_passes_fits_however_it_is_counted(inputs: dict[str, str], filler: int) -> None:
    whole = {**inputs, "decision": '"' * filler}
    try:
        check_inputs(whole, instead="")
    except Refusal:
        assert len(json.dumps(whole)) > MAX_SIZE
    else:
        assert sum(len(name) + len(value) for name, value in whole.items()) <= MAX_SIZE


def test_characters_of_inputs_and_bytes_of_payloads() -> None:
    check_inputs({"decision": "停" * 65_000}, instead="")
    check_event("dr", {"decision": "停" * 21_000}, instead="")
    assert "bytes" in refused(lambda: check_event("dr", {"decision": "停" * 22_000}, instead="")).found


def test_an_event_as_long_as_github_takes_and_one_more() -> None:
    check_event("e" * 100, {"decision": {}}, instead="")
    for name in ("", "e" * 101, "dr\ndecision"):
        assert refused(lambda name=name: check_event(name, {}, instead="")).gate == "dispatch.event"
    assert refused(lambda: check_event("dr", {"decision": "x" * MAX_SIZE}, instead="x")).gate == "dispatch.size"


@pytest.mark.parametrize(
    ("inputs", "declared", "found"),
    [
        ({"decision": ""}, None, "no on: workflow_dispatch"),
        ({"decision_ref": "a@b"}, {"decision": Input()}, "declares decision; sent decision_ref"),
        ({"decision": ""}, {}, "declares no inputs"),
        ({}, {"action": Input(required=True)}, "requires action"),
        ({"action": ""}, {"action": Input(required=True)}, "requires action"),
        ({"action": "burst"}, {"action": Input(options=("failover", "failback"))}, "action=burst"),
    ],
)
def test_what_the_workflow_does_not_take(inputs: dict[str, str], declared: dict[str, Input] | None, found: str) -> None:
    error = refused(lambda: check_declared(inputs, declared, ".github/workflows/dr.yml at main"))
    assert (error.gate, found in error.found) == ("dispatch.inputs", True)


def test_what_the_workflow_takes() -> None:
    declared = {
        "decision": Input(),
        "action": Input(options=("failover",)),
        "x": Input(required=True, default="1"),
        "y": Input(required=True),
    }
    check_declared({"decision": "{}", "y": "2"}, declared, "dr.yml")
    check_declared({"action": "failover", "y": "2"}, declared, "dr.yml")
