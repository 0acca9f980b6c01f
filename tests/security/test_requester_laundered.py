"""Attack: who asked is hidden behind a machine, an earlier run or a name, so that they could approve themselves."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from typing import Any

import pytest

from hyops_ci.cli.plan import outputs_of
from hyops_ci.contracts.approval import Person
from hyops_ci.contracts.run import State
from hyops_ci.github.runs import run as run_fact
from hyops_ci.operations.approve import pending_run
from hyops_ci.operations.rehearse.scenarios import example_decision
from tests.security.incident import PEOPLE, WORKFLOW, Incident, assert_recovered, assert_refused
from tests.support.github.runs import Run


def waiting(incident: Incident, **options: Any) -> Run:
    """A run that got as far as the check and waits for signatures, with its handover as an artifact."""
    run = incident.start(**{"actor": "maria", **options})
    incident.reach_gate()
    incident.hand_over()
    run.finish("success")
    return run


def packed(files: dict[str, bytes]) -> bytes:
    """A handover as anybody can make one."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def forged(incident: Incident) -> bytes:
    """An origin that names nobody who matters, and a decision of the attacker's."""
    origin = {"requesters": [{"login": "priya", "id": 1003}], "received_at": "2026-11-24T03:00:00Z"}
    return packed({"origin.json": json.dumps(origin).encode(), "decision.raw": example_decision("failover", incident.site.clock, 7)})


# ------------------------------------------------------------------------------------------------------ machines


def test_a_dispatch_by_the_workflows_own_token(incident: Incident) -> None:
    incident.fake.add_user("github-actions[bot]", number=41898282, kind="Bot")
    incident.start(actor="github-actions[bot]")
    assert_refused(incident, incident.plan(), "approval.requester", 4, "own token hides who asked")


def test_the_workflows_own_token_stays_refused_where_the_host_lists_its_number(incident: Incident) -> None:
    """Also at execute, with a plan that was let through: the host lists the number, somebody signed."""
    incident.trust["apps"], incident.pinned = [41898282], True
    incident.reach_gate()
    origin = incident.folder.read_json("origin.json")
    incident.folder.write_json("origin.json", origin | {"requesters": [{"login": "github-actions[bot]", "id": 41898282}]})
    assert_refused(incident, incident.execute(incident.signed("jonas")), "approval.requester", 6, "github-actions[bot]")


def test_an_app_that_the_host_does_not_list(incident: Incident) -> None:
    incident.fake.add_user("dr-bot[bot]", number=555, kind="Bot")
    incident.start(actor="dr-bot[bot]")
    incident.pinned = True
    incident.reach_gate()
    assert_refused(incident, incident.execute(incident.signed("jonas")), "approval.requester", 6, "dr-bot[bot]")


def test_an_app_that_the_host_lists_goes_through_signed(incident: Incident) -> None:
    incident.fake.add_user("dr-bot[bot]", number=555, kind="Bot")
    incident.start(actor="dr-bot[bot]")
    incident.trust["apps"], incident.pinned = [555], True
    incident.reach_gate()
    assert_recovered(incident, incident.execute(incident.signed("jonas")))


def test_a_listed_app_and_one_review_are_not_two_people(incident: Incident) -> None:
    """Whoever made the App ask could be its reviewer."""
    incident.fake.add_user("dr-bot[bot]", number=555, kind="Bot")
    incident.approvers("jonas", channels=("environment", "signed"))
    incident.start(actor="dr-bot[bot]")
    incident.trust["apps"], incident.pinned = [555], True
    incident.reach_gate()
    incident.review("jonas")
    assert_refused(incident, incident.execute(), "approval.machine", 6, "reviewed by jonas")


# ------------------------------------------------------------------------------------------------------- resumes


def test_a_run_that_waited_is_resumed_by_its_approver(incident: Incident) -> None:
    first = waiting(incident)
    yes = incident.signed("jonas")
    incident.start(actor="jonas")
    assert incident.plan(resume=str(first.id), approvals=json.dumps([yes])).state is State.PLANNED
    assert [each["login"] for each in incident.folder.read_json("origin.json")["requesters"]] == ["maria"]
    assert incident.check().state is State.CHECKED
    assert_recovered(incident, incident.execute())


def test_whoever_asked_first_cannot_approve_the_run_that_somebody_else_resumed(incident: Incident) -> None:
    incident.approvers("maria", "jonas")
    first = waiting(incident)
    incident.start(actor="priya")
    assert incident.plan(resume=str(first.id)).state is State.PLANNED
    assert incident.check().state is State.CHECKED
    own = incident.folder.read_json("request.json")
    assert [each["login"] for each in own["requesters"]] == ["maria"]
    assert_refused(incident, incident.execute(lying(incident, "maria")), "approval.self", 6, "asked maria, approved maria")


def test_a_resume_of_a_resume_still_knows_who_asked(incident: Incident) -> None:
    incident.approvers("maria", "jonas")
    first = waiting(incident)
    second = incident.start(actor="priya")
    assert incident.plan(resume=str(first.id)).state is State.PLANNED
    assert incident.check().state is State.CHECKED
    incident.hand_over()
    second.finish("success")
    incident.start(actor="jonas")
    assert incident.plan(resume=str(second.id)).state is State.PLANNED
    assert {each["login"] for each in incident.folder.read_json("origin.json")["requesters"]} == {"maria", "priya"}
    assert incident.check().state is State.CHECKED
    assert_refused(incident, incident.execute(lying(incident, "maria")), "approval.self", 6, "approved maria")


def test_whoever_rerun_the_run_that_waited_asked_too(incident: Incident) -> None:
    incident.approvers("priya", "jonas")
    first = waiting(incident)
    first.rerun("priya")
    incident.folder.pack(incident.folder.root.parent / "again.tar")
    incident.keep((incident.folder.root.parent / "again.tar").read_bytes())
    first.finish("success")
    incident.start(actor="jonas")
    assert incident.plan(resume=str(first.id)).state is State.PLANNED
    assert incident.check().state is State.CHECKED
    assert_refused(incident, incident.execute(lying(incident, "priya")), "approval.self", 6, "approved priya")


def branch(incident: Incident) -> dict[str, Any]:
    incident.repository.commit({WORKFLOW: "name: mine\non: workflow_dispatch\n"}, "let-me-in")
    return {"branch": "let-me-in"}


def tag(incident: Incident) -> dict[str, Any]:
    """GitHub names the branch of a run by the name of its ref: a tag may be called like the default branch."""
    return {"branch": "main", "sha": incident.repository.commit({WORKFLOW: "name: mine\non: workflow_dispatch\n"}, "let-me-in")}


def fork(incident: Incident) -> dict[str, Any]:
    """A pull request of a fork whose branch is called main: anybody can have one, with a workflow file and artifacts of their own."""
    return {"branch": "main", "event": "pull_request", "sha": "e" * 40}


def pull_request(_: Incident) -> dict[str, Any]:
    return {"branch": "main", "event": "pull_request_target"}


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (branch, "branch let-me-in, not main"),
        (tag, "commit "),
        (fork, "started by pull_request"),
        (pull_request, "started by pull_request_target"),
    ],
)
def test_a_resume_of_a_run_that_nobody_reviewed(incident: Incident, made: Callable[[Incident], dict[str, Any]], found: str) -> None:
    """The attacker's throw-away account asked, their artifact says so, and they approve with their own name."""
    evil = incident.repository.add_run(WORKFLOW, actor="mallory", **made(incident))
    evil.add_artifact(f"dr-check-{evil.id}-1", {"handover.tar": forged(incident)})
    incident.start(actor="jonas")
    assert_refused(incident, incident.plan(resume=str(evil.id)), "run.resume", 6, found)


def test_an_artifact_of_a_branch_under_the_name_of_another_runs(incident: Incident) -> None:
    """An artifact is its run's, whatever it is called: what is read is what the run that waited uploaded itself."""
    first = waiting(incident)
    evil = incident.repository.add_run(WORKFLOW, actor="mallory", **branch(incident))
    evil.add_artifact(f"dr-check-{first.id}-1", {"handover.tar": forged(incident)})
    incident.start(actor="jonas")
    assert incident.plan(resume=str(first.id)).state is State.PLANNED
    assert [each["login"] for each in incident.folder.read_json("origin.json")["requesters"]] == ["maria"]
    assert incident.folder.read_json("decision.json")["rationale"] == "INC-4242"


def test_a_resume_of_a_run_of_another_workflow(incident: Incident) -> None:
    incident.repository.add_workflow(".github/workflows/build.yml", "name: build\non: workflow_dispatch\n")
    incident.repository.add_run()
    head = incident.repository.head
    evil = incident.repository.add_run(".github/workflows/build.yml", actor="mallory", sha=head)
    evil.add_artifact(f"dr-check-{evil.id}-1", {"handover.tar": forged(incident)})
    incident.start(actor="jonas")
    assert_refused(incident, incident.plan(resume=str(evil.id)), "run.resume", 6, "workflow .github/workflows/build.yml")


def test_a_resume_of_a_run_of_another_repository(incident: Incident) -> None:
    other = incident.fake.add_repository("mallory/recovery", private=False)
    other.add_workflow(WORKFLOW, "name: dr\non: workflow_dispatch\n")
    evil = other.add_run(WORKFLOW, actor="mallory")
    evil.add_artifact(f"dr-check-{evil.id}-1", {"handover.tar": forged(incident)})
    incident.start(actor="jonas")
    assert_refused(incident, incident.plan(resume=str(evil.id)), "github.missing", 4)


@pytest.mark.parametrize("resume", ["self", "0", "../1", "1 2", "٣"])
def test_a_resume_of_no_run(incident: Incident, resume: str) -> None:
    run = incident.start(actor="jonas")
    assert incident.plan(resume=str(run.id) if resume == "self" else resume).state is State.BLOCKED


# --------------------------------------------------------------------------------------------------------- names


def test_an_issuer_that_names_somebody_else_hides_nobody(incident: Incident) -> None:
    incident.approvers("maria", "jonas")
    decision = json.loads(example_decision("failover", incident.site.clock, 1)) | {"issuer": "github:priya"}
    assert incident.plan(json.dumps(decision).encode()).state is State.PLANNED
    assert incident.check().state is State.CHECKED
    assert {each["login"] for each in incident.folder.read_json("request.json")["requesters"]} == {"maria", "priya"}
    assert_refused(incident, incident.execute(lying(incident, "maria")), "approval.self", 6, "approved maria")


def lying(incident: Incident, login: str, *asked: str) -> dict[str, Any]:
    """A signed yes in which the requesters are left out, or are only these: the own tool would not sign it."""
    request = incident.request
    people = tuple(Person(login=each, id=PEOPLE[each]) for each in asked)
    incident.folder.write_model("request.json", request.model_copy(update={"requesters": people}))
    envelope = incident.signed(login)
    incident.folder.write_model("request.json", request)
    return envelope


# -------------------------------------------------------------------------- a stranger's machine that took the check


def hidden(incident: Incident, **changed: Any) -> None:
    """What a machine that took the check hands over in place of what the plan wrote of who asked."""
    origin = incident.folder.read_json("origin.json")
    incident.folder.write_json("origin.json", {**{k: v for k, v in origin.items() if k not in ("run", "resumes")}, **changed})


def checked(incident: Incident, **how: Any) -> None:
    """The run of a decision that a machine made: its issuer is nobody who could approve."""
    decision = {**json.loads(example_decision("failover", incident.site.clock, 7)), "issuer": "escalation"}
    assert incident.plan(**(how or {"decision": json.dumps(decision).encode()})).state is State.PLANNED
    assert incident.check().state is State.CHECKED


def test_a_check_that_hands_over_nobody_who_asked(incident: Incident) -> None:
    incident.approvers("maria", "jonas")
    checked(incident)
    hidden(incident, requesters=[])
    assert_refused(incident, incident.execute(lying(incident, "maria")), "approval.self", 6, "approved maria")


def resumed_by_priya(incident: Incident) -> None:
    """priya resumes maria's run, as the title of hers says, and it is checked."""
    incident.approvers("maria", "jonas")
    checked(incident)
    first = handed_over(incident)
    incident.start(actor="priya", title=f"resume {first.id} by priya, INC-4242")
    checked(incident, resume=str(first.id))


def test_a_check_of_a_resumed_run_that_hands_over_no_earlier_run(incident: Incident) -> None:
    resumed_by_priya(incident)
    hidden(incident, requesters=[{"login": "priya", "id": 1003}])
    assert_refused(incident, incident.execute(lying(incident, "maria", "priya")), "approval.self", 6, "approved maria")


def test_a_resume_of_a_run_whose_check_handed_over_no_earlier_run(incident: Incident) -> None:
    resumed_by_priya(incident)
    hidden(incident, requesters=[{"login": "priya", "id": 1003}])
    second = handed_over(incident)
    incident.start(actor="jonas", title=f"resume {second.id} by jonas, INC-4242")
    checked(incident, resume=str(second.id))
    assert_refused(incident, incident.execute(lying(incident, "maria", "priya", "jonas")), "approval.self", 6, "approved maria")


def resumed_and_hidden(incident: Incident, *names: str) -> Run:
    """priya resumes maria's run where no title says so, and the machine that took that check hands over no earlier run."""
    incident.approvers("maria", "jonas")
    checked(incident)
    first = handed_over(incident)
    second = incident.start(actor="priya", title="Disaster recovery")
    checked(incident, resume=str(first.id))
    for name in (outputs_of(incident.folder)["check_title"], *names):
        second.add_job(f"dr / {name}").finish()
    hidden(incident, requesters=[{"login": "priya", "id": 1003}])
    return handed_over(incident)


def test_a_resume_of_a_run_whose_own_title_does_not_say_what_it_resumes(incident: Incident) -> None:
    second = resumed_and_hidden(incident)
    incident.start(actor="jonas", title="Disaster recovery")
    checked(incident, resume=str(second.id))
    assert_refused(incident, incident.execute(lying(incident, "maria", "priya", "jonas")), "approval.self", 6, "approved maria")


def test_an_approver_of_such_a_run_is_told_who_asked_first(incident: Incident) -> None:
    second = resumed_and_hidden(incident)
    assert {each.login for each in pending_run(incident.client(), second.id).request.requesters} == {"maria", "priya"}


def test_the_check_that_says_so_stays_known_where_the_report_was_made_again(incident: Incident) -> None:
    """The jobs of the newest attempt are then others."""
    second = resumed_and_hidden(incident)
    second.rerun("priya")
    second.add_job("dr / Report").finish()
    second.finish("success")
    incident.start(actor="jonas", title="Disaster recovery")
    checked(incident, resume=str(second.id))
    assert_refused(incident, incident.execute(lying(incident, "maria", "priya", "jonas")), "approval.self", 6, "approved maria")


def test_a_job_that_is_called_like_the_check_of_another_resumed_run(incident: Incident) -> None:
    """A caller's job may hold an input in its name; then nothing says which of the two is the check."""
    second = resumed_and_hidden(incident, "Build / Check gcp-ops-runner (resume 7)")
    incident.start(actor="jonas", title="Disaster recovery")
    ended = incident.plan(resume=str(second.id))
    assert_refused(incident, ended, "run.resume", 6, "jobs called like checks that resume 7 and")


def test_a_resumed_run_that_hands_over_what_it_resumes(incident: Incident) -> None:
    """The twin, twice resumed, in a workflow whose titles say nothing."""
    checked(incident)
    first = handed_over(incident)
    second = incident.start(actor="priya", title="Disaster recovery")
    checked(incident, resume=str(first.id))
    second.add_job(f"dr / {outputs_of(incident.folder)['check_title']}").finish()
    handed_over(incident)
    incident.start(actor="jonas", title="Disaster recovery")
    checked(incident, resume=str(second.id))
    assert_recovered(incident, incident.execute(incident.signed("jonas")))


def handed_over(incident: Incident) -> Run:
    """The run, which waits now for signatures."""
    incident.hand_over()
    incident.run.finish("success")
    return incident.run


def test_a_check_that_hands_over_an_earlier_run_of_something_else(incident: Incident) -> None:
    """Whoever starts the run that goes on did not ask for it: so maria's own run is said to go on with somebody else's."""
    incident.approvers("maria", "jonas")
    incident.start(actor="priya")
    incident.reach_gate()
    other = handed_over(incident)
    incident.start(actor="maria")
    checked(incident)
    earlier = run_fact(incident.client(), other.id).document()
    hidden(incident, requesters=[{"login": "priya", "id": 1003}], resumes=earlier)
    assert_refused(incident, incident.execute(lying(incident, "maria", "priya")), "run.resume", 6, "has another decision")


def test_a_check_that_hands_over_who_asked(incident: Incident) -> None:
    resumed_by_priya(incident)
    assert_recovered(incident, incident.execute(incident.signed("jonas")))
