"""Dispatch: what is decided is validated, fits the workflow, is sent once, and is known by its run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.errors import Exit, Refusal
from hyops_ci.intake.form import Form
from hyops_ci.operations.dispatch.start import DispatchedRun, StartRequest, dispatch
from tests.support.github.fixture import github_fake
from tests.support.github.runs import Run
from tests.support.github.server import FakeGitHub
from tests.unit.operations.dispatch.dispatching import DECISION, FILE, RUN, Caller, caller, decision

__all__ = ["github_fake"]

FORM = Form("failover", "pg-ha/prod", "INC-4242 power lost")
SENDS = ("POST /repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches", "POST /repos/{owner}/{repo}/dispatches")


@pytest.fixture
def here(github_fake: FakeGitHub) -> Caller:
    return caller(github_fake)


def send(here: Caller, order: StartRequest) -> tuple[DispatchedRun, Run]:
    found = dispatch(order, here.client, here.clock, here.say)
    return found, here.repository.runs[found.run_id or 0]


def refused(here: Caller, order: StartRequest) -> Refusal:
    """Refused, and nothing was sent."""
    with pytest.raises(Refusal) as caught:
        dispatch(order, here.client, here.clock, here.say)
    assert [call for call in here.fake.calls if call.operation in SENDS] == []
    assert here.repository.runs == {}
    return caught.value


# ------------------------------------------------------------------------------------------------- what is sent


def test_a_decision_travels_byte_for_byte_and_names_its_run(here: Caller) -> None:
    data = decision()
    found, run = send(here, StartRequest(decision=data))
    assert run.inputs["decision"].encode() == data
    assert run.inputs["reason"] == "inc-4242-power-lost"
    assert found == DispatchedRun(run.id, run.page, "main", "inc-4242-power-lost", digest_bytes(data))


def test_a_workflow_without_an_input_for_the_reason_gets_none(github_fake: FakeGitHub) -> None:
    here = caller(github_fake, "on: {workflow_dispatch: {inputs: {decision: {type: string}}}}\njobs: {}\n")
    _, run = send(here, StartRequest(decision=decision()))
    assert set(run.inputs) == {"decision"}


def test_a_form_travels_as_a_person_would_fill_it_in(here: Caller) -> None:
    here.count_from_run()
    found, run = send(here, StartRequest(form=FORM))
    assert {name: value for name, value in run.inputs.items() if value} == {
        "action": "failover",
        "service": "pg-ha/prod",
        "reason": "INC-4242 power lost",
        "restore": "latest",
    }
    assert (found.decision_id, found.source_sha256) == (f"manual-4711-{RUN}", "")


def test_what_a_form_says_beyond_the_usual_is_sent(here: Caller) -> None:
    _, run = send(here, StartRequest(form=replace(FORM, restore="20261123-020003F")))
    assert run.inputs["restore"] == "20261123-020003F"
    error = refused(caller_again(here), StartRequest(form=replace(FORM, old_primary="confirmed-off")))
    assert (error.gate, "old_primary" in error.found) == ("dispatch.inputs", True)


@pytest.mark.parametrize("way", [{"form": FORM}, {"decision": decision()}])
def test_a_reason_to_make_the_runner_travels_with_either(way: dict[str, Any], here: Caller) -> None:
    _, run = send(here, StartRequest(bootstrap_reason="runner-recovery", **way))
    assert run.inputs["bootstrap_reason"] == "runner-recovery"
    _, run = send(caller_again(here), StartRequest(**way))
    assert run.inputs.get("bootstrap_reason", "") == ""


def test_a_reason_that_would_be_lost_is_refused(here: Caller, github_fake: FakeGitHub) -> None:
    """By an event, which has no place for it; by a choice that the workflow does not offer; by a workflow that has no such input."""
    order = StartRequest(decision=decision(), bootstrap_reason="runner-recovery")
    error = refused(here, replace(order, event_type="dr-decision"))
    assert (error.gate, error.found) == ("dispatch.kind", "bootstrap_reason runner-recovery")
    error = refused(here, replace(order, bootstrap_reason="runner-gone"))
    assert (error.gate, error.found) == ("dispatch.inputs", "bootstrap_reason=runner-gone")
    here.repository.commit({".github/workflows/dr.yml": "on: {workflow_dispatch: {inputs: {decision: {type: string}}}}\njobs: {}\n"}, "old")
    error = refused(here, replace(order, ref="old"))
    assert (error.gate, error.expected) == ("dispatch.inputs", "an input bootstrap_reason")
    assert "hand it on to dispatch.yml" in error.fix


def caller_again(here: Caller) -> Caller:
    here.repository.runs.clear()
    here.fake.calls.clear()
    return here


def test_another_branch_is_judged_by_its_own_file(here: Caller) -> None:
    here.repository.commit({".github/workflows/dr.yml": "on: workflow_dispatch\njobs: {}\n"}, "old")
    error = refused(here, StartRequest(decision=decision(), ref="old"))
    assert "dr.yml at old declares no inputs" in error.found


def test_a_record_is_known_by_its_own_id(here: Caller) -> None:
    artifact = {
        "decision_id": "art-20261123-0001",
        "decision_type": "failover",
        "target_cloud": "gcp",
        "runner_ref": "gcp-ops-runner",
        "dr_mode": "restore",
        "execution_plane": "runner-local",
        "requires_approval": True,
        "repo_state_ref": "org/gcp/pgbackrest-repo",
        "rationale": "INC-4242",
    }
    found, _ = send(here, StartRequest(decision=json.dumps(artifact).encode()))
    assert found.decision_id == "art-20261123-0001"


# -------------------------------------------------------------------------------------------- refused before sending


@pytest.mark.parametrize(
    ("data", "gate", "code"),
    [
        (b"{}", "intake.kind", Exit.DECISION),
        (b"not json", "intake.json", Exit.DECISION),
        (b'{"kind": "Decision", "signals": [NaN]}', "intake.number", Exit.DECISION),
        (decision(service="no service"), "intake.schema", Exit.DECISION),
        (b"x" * 300_000, "intake.size", Exit.DECISION),
    ],
)
def test_what_is_no_decision_never_leaves(data: bytes, gate: str, code: Exit, here: Caller) -> None:
    error = refused(here, StartRequest(decision=data))
    assert (error.gate, error.exit_code) == (gate, code)


@pytest.mark.parametrize(
    ("form", "gate"),
    [
        (Form("explode", "pg-ha/prod", "because"), "intake.action"),
        (Form("failover", "pg-ha", "because"), "intake.schema"),
        (Form("failover", "pg-ha/prod", ""), "intake.schema"),
        (Form("failover", "pg-ha/prod", "bell\x07"), "intake.schema"),
        (Form("failover", "pg-ha/prod", "because", old_primary="perhaps"), "intake.schema"),
    ],
)
def test_what_is_no_form_never_leaves(form: Form, gate: str, here: Caller) -> None:
    assert refused(here, StartRequest(form=form)).gate == gate


@pytest.mark.parametrize(
    "order",
    [
        StartRequest(),
        StartRequest(decision=b"{}", form=FORM),
        StartRequest(decision=b"{}", decision_ref="a@b"),
        StartRequest(form=FORM, event_type="dr-decision"),
        StartRequest(decision_ref="a@b", event_type="dr-decision"),
    ],
)
def test_one_way_in_and_no_other(order: StartRequest, here: Caller) -> None:
    error = refused(here, order)
    assert (error.gate, error.exit_code) == ("dispatch.kind", Exit.USAGE)
    assert here.fake.calls == []


def test_a_large_decision_is_told_how_to_travel(here: Caller) -> None:
    order = StartRequest(decision=decision() + b" " * 66_000, ref="main")
    error = refused(here, order)
    assert error.gate == "dispatch.size"
    assert "git add .github/dr/decisions/inc-4242-power-lost.json && git commit" in error.fix
    assert "hyops-ci dispatch --repository acme/recovery --workflow dr.yml --ref main --decision-ref .github/dr/decisions/" in error.fix
    signals, notes = [{"name": "停" * 200, "value": "電" * 200}] * 50, {f"{n}" + "停" * 190: "電" * 200 for n in range(20)}
    event = refused(here, StartRequest(decision=decision(signals=signals, extensions=notes), event_type="dr-decision"))
    assert (event.gate, event.fix.startswith("an event cannot carry it")) == ("dispatch.size", True)


def test_a_choice_that_the_workflow_does_not_offer(here: Caller) -> None:
    error = refused(here, StartRequest(form=replace(FORM, action="hold")))
    assert (error.gate, "one of failover, failback" in error.expected) == ("dispatch.inputs", True)


def test_a_disabled_workflow(here: Caller) -> None:
    here.repository.workflows[0].state = "disabled_manually"
    assert refused(here, StartRequest(form=FORM)).gate == "dispatch.workflow"


def test_a_file_that_cannot_be_read_leaves_the_judgement_to_github(github_fake: FakeGitHub) -> None:
    here = caller(github_fake, permissions=("actions: write", "metadata: read"))
    found, _ = send(here, StartRequest(decision=decision()))
    assert found.run_id
    assert [line for line in here.said if "cannot be read" in line]


# ----------------------------------------------------------------------------------------------------- by reference


def committed(here: Caller, path: str = ".github/dr/decisions/a.json", data: bytes = b"") -> str:
    return f"{path}@{here.repository.commit({path: data or decision()})}"


def test_a_reference_travels_and_its_digest_is_known(here: Caller) -> None:
    reference = committed(here)
    found, run = send(here, StartRequest(decision_ref=reference))
    assert (run.inputs["decision_ref"], run.inputs["decision"]) == (reference, "")
    assert (found.decision_id, found.source_sha256) == ("inc-4242-power-lost", digest_bytes(decision()))


def test_a_reference_is_read_and_validated_at_its_commit(here: Caller) -> None:
    assert refused(here, StartRequest(decision_ref=committed(here, data=b"{}"))).gate == "intake.kind"


def test_a_reference_that_would_not_be_at_the_runs_commit(here: Caller) -> None:
    reference = committed(here)
    tip = here.repository.commit({"README.md": "later"})
    error = refused(here, StartRequest(decision_ref=reference))
    assert (error.gate, tip in error.found) == ("dispatch.ref", True)


@pytest.mark.parametrize(
    "make",
    [
        lambda sha: "a.json",
        lambda sha: f"a.json@{sha[:12]}",
        lambda sha: "a.json@main",
        lambda sha: f"../a.json@{sha}",
        lambda sha: f"a/../../b@{sha}",
        lambda sha: f"/etc/passwd@{sha}",
        lambda sha: f"a b@{sha}",
    ],
)
def test_what_names_no_committed_file(make: Callable[[str], str], here: Caller) -> None:
    error = refused(here, StartRequest(decision_ref=make(here.repository.head)))
    assert (error.gate, here.fake.calls) == ("dispatch.ref", [])


def test_a_reference_to_nothing(here: Caller) -> None:
    assert refused(here, StartRequest(decision_ref=f"a.json@{here.repository.head}")).gate == "github.missing"


# ----------------------------------------------------------------------------------------------------- by an event


def test_an_event_carries_the_decision_under_one_key(here: Caller) -> None:
    found, run = send(here, StartRequest(decision=decision(), event_type="dr-decision"))
    assert (run.event, run.inputs) == ("repository_dispatch", {"decision": DECISION})
    assert (found.decision_id, found.ref) == ("inc-4242-power-lost", "main")


@pytest.mark.parametrize(
    ("order", "gate"),
    [
        (StartRequest(decision=decision(), event_type="other"), "dispatch.event"),
        (StartRequest(decision=decision(), event_type="e" * 101), "dispatch.event"),
        (StartRequest(decision=decision(), event_type="dr-decision", ref="main"), "dispatch.ref"),
    ],
)
def test_an_event_that_would_start_nothing(order: StartRequest, gate: str, here: Caller) -> None:
    assert refused(here, order).gate == gate


def test_an_event_for_a_workflow_that_listens_to_none(github_fake: FakeGitHub) -> None:
    here = caller(github_fake, FILE.replace("repository_dispatch: {types: [dr-decision]}", "push:"))
    assert "no repository_dispatch" in refused(here, StartRequest(decision=decision(), event_type="dr-decision")).found


def test_nothing_of_a_decision_is_said_aloud(here: Caller) -> None:
    canary = "c4n4ry-in-an-extension"
    document: dict[str, Any] = {"extensions": {"note": canary}}
    dispatch(StartRequest(decision=decision(**document)), here.client, here.clock, here.say)
    assert canary not in repr(StartRequest(decision=decision(**document))) + "\n".join(here.said)
