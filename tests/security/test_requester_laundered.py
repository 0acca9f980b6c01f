"""Attack: who asked is hidden behind a machine, an earlier run or a name, so that they could approve themselves."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from typing import Any

import pytest

from hyops_ci.contracts.run import State
from hyops_ci.operations.rehearse.scenarios import example_decision
from tests.security.kit import WORKFLOW, Night, assert_recovered, assert_refused
from tests.support.github.runs import Run


def waiting(night: Night, **options: Any) -> Run:
    """A run that got as far as the check and waits for signatures, with its handover as an artifact."""
    run = night.start(**{"actor": "maria", **options})
    night.come_to_the_gate()
    night.hand_over()
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


def forged(night: Night) -> bytes:
    """An origin that names nobody who matters, and a decision of the attacker's."""
    origin = {"requesters": [{"login": "priya", "id": 1003}], "received_at": "2026-11-24T03:00:00Z"}
    return packed({"origin.json": json.dumps(origin).encode(), "decision.raw": example_decision("failover", night.site.clock, 7)})


# ------------------------------------------------------------------------------------------------------ machines


def test_a_dispatch_by_the_workflows_own_token(night: Night) -> None:
    night.fake.add_user("github-actions[bot]", number=41898282, kind="Bot")
    night.start(actor="github-actions[bot]")
    assert_refused(night, night.plan(), "approval.requester", 4, "own token hides who asked")


def test_the_workflows_own_token_stays_refused_where_the_host_lists_its_number(night: Night) -> None:
    """Also at execute, with a plan that was let through: the host lists the number, somebody signed."""
    night.come_to_the_gate()
    night.trust["apps"] = [41898282]
    origin = night.folder.read_json("origin.json")
    night.folder.write_json("origin.json", origin | {"requesters": [{"login": "github-actions[bot]", "id": 41898282}]})
    night.pinned = True
    assert_refused(night, night.execute(night.signed("jonas")), "approval.requester", 6, "github-actions[bot]")


def test_an_app_that_the_host_does_not_list(night: Night) -> None:
    night.fake.add_user("dr-bot[bot]", number=555, kind="Bot")
    night.start(actor="dr-bot[bot]")
    night.pinned = True
    night.come_to_the_gate()
    assert_refused(night, night.execute(night.signed("jonas")), "approval.requester", 6, "dr-bot[bot]")


def test_an_app_that_the_host_lists_goes_through_signed(night: Night) -> None:
    night.fake.add_user("dr-bot[bot]", number=555, kind="Bot")
    night.start(actor="dr-bot[bot]")
    night.trust["apps"], night.pinned = [555], True
    night.come_to_the_gate()
    assert_recovered(night, night.execute(night.signed("jonas")))


def test_a_listed_app_and_one_review_are_not_two_people(night: Night) -> None:
    """Whoever made the App ask could be its reviewer."""
    night.fake.add_user("dr-bot[bot]", number=555, kind="Bot")
    night.approvers("jonas", channels=("environment", "signed"))
    night.start(actor="dr-bot[bot]")
    night.trust["apps"], night.pinned = [555], True
    night.come_to_the_gate()
    night.review("jonas")
    assert_refused(night, night.execute(), "approval.machine", 6, "reviewed by jonas")


# ------------------------------------------------------------------------------------------------------- resumes


def test_a_run_that_waited_is_resumed_by_its_approver(night: Night) -> None:
    first = waiting(night)
    yes = night.signed("jonas")
    night.start(actor="jonas")
    assert night.plan(resume=str(first.id), approvals=json.dumps([yes])).state is State.PLANNED
    assert [each["login"] for each in night.folder.read_json("origin.json")["requesters"]] == ["maria"]
    assert night.check().state is State.CHECKED
    assert_recovered(night, night.execute())


def test_whoever_asked_first_cannot_approve_the_run_that_somebody_else_resumed(night: Night) -> None:
    night.approvers("maria", "jonas")
    first = waiting(night)
    night.start(actor="priya")
    assert night.plan(resume=str(first.id)).state is State.PLANNED
    assert night.check().state is State.CHECKED
    own = night.folder.read_json("request.json")
    assert [each["login"] for each in own["requesters"]] == ["maria"]
    assert_refused(night, night.execute(lying(night, "maria")), "approval.self", 6, "asked maria, approved maria")


def test_a_resume_of_a_resume_still_knows_who_asked(night: Night) -> None:
    night.approvers("maria", "jonas")
    first = waiting(night)
    second = night.start(actor="priya")
    assert night.plan(resume=str(first.id)).state is State.PLANNED
    assert night.check().state is State.CHECKED
    night.hand_over()
    second.finish("success")
    night.start(actor="jonas")
    assert night.plan(resume=str(second.id)).state is State.PLANNED
    assert {each["login"] for each in night.folder.read_json("origin.json")["requesters"]} == {"maria", "priya"}
    assert night.check().state is State.CHECKED
    assert_refused(night, night.execute(lying(night, "maria")), "approval.self", 6, "approved maria")


def test_whoever_rerun_the_run_that_waited_asked_too(night: Night) -> None:
    night.approvers("priya", "jonas")
    first = waiting(night)
    first.rerun("priya")
    night.folder.pack(night.folder.root.parent / "again.tar")
    night.keep((night.folder.root.parent / "again.tar").read_bytes())
    first.finish("success")
    night.start(actor="jonas")
    assert night.plan(resume=str(first.id)).state is State.PLANNED
    assert night.check().state is State.CHECKED
    assert_refused(night, night.execute(lying(night, "priya")), "approval.self", 6, "approved priya")


def branch(night: Night) -> dict[str, Any]:
    night.repository.commit({WORKFLOW: "name: mine\non: workflow_dispatch\n"}, "let-me-in")
    return {"branch": "let-me-in"}


def tag(night: Night) -> dict[str, Any]:
    """GitHub names the branch of a run by the name of its ref: a tag may be called like the default branch."""
    return {"branch": "main", "sha": night.repository.commit({WORKFLOW: "name: mine\non: workflow_dispatch\n"}, "let-me-in")}


def fork(night: Night) -> dict[str, Any]:
    """A pull request of a fork whose branch is called main: anybody can have one, with a workflow file and artifacts of their own."""
    return {"branch": "main", "event": "pull_request", "sha": "e" * 40}


def pull_request(_: Night) -> dict[str, Any]:
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
def test_a_resume_of_a_run_that_nobody_reviewed(night: Night, made: Callable[[Night], dict[str, Any]], found: str) -> None:
    """The attacker's throw-away account asked, their artifact says so, and they approve with their own name."""
    evil = night.repository.add_run(WORKFLOW, actor="mallory", **made(night))
    evil.add_artifact(f"dr-check-{evil.id}-1", {"handover.tar": forged(night)})
    night.start(actor="jonas")
    assert_refused(night, night.plan(resume=str(evil.id)), "run.resume", 6, found)


def test_an_artifact_of_a_branch_under_the_name_of_another_runs(night: Night) -> None:
    """An artifact is its run's, whatever it is called: what is read is what the run that waited uploaded itself."""
    first = waiting(night)
    evil = night.repository.add_run(WORKFLOW, actor="mallory", **branch(night))
    evil.add_artifact(f"dr-check-{first.id}-1", {"handover.tar": forged(night)})
    night.start(actor="jonas")
    assert night.plan(resume=str(first.id)).state is State.PLANNED
    assert [each["login"] for each in night.folder.read_json("origin.json")["requesters"]] == ["maria"]
    assert night.folder.read_json("decision.json")["rationale"] == "INC-4242"


def test_a_resume_of_a_run_of_another_workflow(night: Night) -> None:
    night.repository.add_workflow(".github/workflows/build.yml", "name: build\non: workflow_dispatch\n")
    night.repository.add_run()
    head = night.repository.head
    evil = night.repository.add_run(".github/workflows/build.yml", actor="mallory", sha=head)
    evil.add_artifact(f"dr-check-{evil.id}-1", {"handover.tar": forged(night)})
    night.start(actor="jonas")
    assert_refused(night, night.plan(resume=str(evil.id)), "run.resume", 6, "workflow .github/workflows/build.yml")


def test_a_resume_of_a_run_of_another_repository(night: Night) -> None:
    other = night.fake.add_repository("mallory/recovery", private=False)
    other.add_workflow(WORKFLOW, "name: dr\non: workflow_dispatch\n")
    evil = other.add_run(WORKFLOW, actor="mallory")
    evil.add_artifact(f"dr-check-{evil.id}-1", {"handover.tar": forged(night)})
    night.start(actor="jonas")
    assert_refused(night, night.plan(resume=str(evil.id)), "github.missing", 4)


@pytest.mark.parametrize("resume", ["self", "0", "../1", "1 2", "٣"])
def test_a_resume_of_no_run(night: Night, resume: str) -> None:
    run = night.start(actor="jonas")
    assert night.plan(resume=str(run.id) if resume == "self" else resume).state is State.BLOCKED


# --------------------------------------------------------------------------------------------------------- names


def test_an_issuer_that_names_somebody_else_hides_nobody(night: Night) -> None:
    night.approvers("maria", "jonas")
    decision = json.loads(example_decision("failover", night.site.clock, 1)) | {"issuer": "github:priya"}
    assert night.plan(json.dumps(decision).encode()).state is State.PLANNED
    assert night.check().state is State.CHECKED
    assert {each["login"] for each in night.folder.read_json("request.json")["requesters"]} == {"maria", "priya"}
    assert_refused(night, night.execute(lying(night, "maria")), "approval.self", 6, "approved maria")


def lying(night: Night, login: str) -> dict[str, Any]:
    """A signed yes in which the requesters are left out: the own tool would not sign it."""
    request = night.request
    night.folder.write_model("request.json", request.model_copy(update={"requesters": ()}))
    envelope = night.signed(login)
    night.folder.write_model("request.json", request)
    return envelope
