"""What an approver is shown is what the run asks, and what counts as said already is what a key of the plan signed."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from hyops_ci.contracts.github_facts import RunFact
from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.github.api.responses import Forbidden
from hyops_ci.github.dispatch import Started
from hyops_ci.operations import approve
from hyops_ci.operations.approve import PendingRun, may_resume, pending_run, push_answer, resume, signed_approval
from hyops_ci.stages.context import SystemClock
from tests.security.incident import WORKFLOW, Incident, start_incident
from tests.support.github.runs import Run


@pytest.fixture(scope="module")
def incident(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Incident]:
    with start_incident(tmp_path_factory.mktemp("incident")) as made:
        made.approvers("jonas", "priya", quorum=2)
        made.reach_gate()
        made.hand_over()
        yield made


@pytest.fixture
def asked(incident: Incident) -> PendingRun:
    return pending_run(incident.client(), incident.run.id)


def handed_over(incident: Incident, name: str, content: bytes) -> Run:
    """A run of somebody's whose handover holds something else."""
    other = incident.repository.add_run(WORKFLOW, actor="mallory")
    known, folder = incident.folder.read(name), incident.folder
    folder.write(name, content)
    packed = folder.root.parent / "other.tar"
    folder.pack(packed)
    folder.write(name, known)
    other.add_artifact(f"dr-check-{other.id}-1", {"handover.tar": packed.read_bytes()})
    return other


def test_what_a_run_asks(incident: Incident, asked: PendingRun) -> None:
    assert asked.request == incident.request.model_copy(update={"requested_at": asked.run.created_at})
    assert asked.run.run_id == incident.run.id
    assert asked.config.approvals.quorum == 2


def test_the_time_is_the_end_of_the_job_that_checked(incident: Incident) -> None:
    """Also beside another job of that name, which asks for another machine."""
    labels = ("self-hosted", "gcp-ops-runner")
    other = incident.run.add_job("dr / x / Check gcp-ops-runner (changes nothing)", ["ubuntu-latest"])
    other.finish()
    other.completed_at = "2026-11-23T09:09:09Z"
    job = incident.run.add_job("dr / Check gcp-ops-runner (changes nothing)", labels)
    job.finish()
    job.completed_at = "2026-11-23T03:05:02Z"
    try:
        assert pending_run(incident.client(), incident.run.id).request.requested_at == "2026-11-23T03:05:02Z"
    finally:
        incident.run.jobs.clear()


def test_a_request_for_another_repository(incident: Incident) -> None:
    request: dict[str, Any] = json.loads(incident.folder.read("request.json"))
    request["subject"]["repository_id"] += 1
    other = handed_over(incident, "request.json", json.dumps(request).encode())
    with pytest.raises(Refusal, match=r"approval\.request") as refused:
        pending_run(incident.client(), other.id)
    assert refused.value.exit_code == Exit.APPROVAL


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff"])
@pytest.mark.parametrize("name", ["request.json", "sources/config"])
def test_documents_that_cannot_be_read(name: str, content: bytes, incident: Incident) -> None:
    with pytest.raises(Refusal):
        pending_run(incident.client(), handed_over(incident, name, content).id)


def test_only_what_the_plans_own_keys_signed_was_said(incident: Incident, asked: PendingRun) -> None:
    """Somebody who may push to the branch leaves a copy without a signature: jonas's own word must still get there."""
    mine, later = incident.signed("jonas"), incident.signed("jonas")
    assert signed_approval(mine, asked) == signed_approval(later, asked)
    assert signed_approval(incident.signed("jonas", "deny"), asked) != signed_approval(mine, asked)
    assert signed_approval(incident.signed("jonas", comment="seen"), asked) != signed_approval(mine, asked)
    assert signed_approval(incident.signed("priya"), asked) != signed_approval(mine, asked)
    bare = copy.deepcopy(mine)
    bare["signatures"] = []
    stolen = {**incident.signed("priya"), "payload": mine["payload"]}
    for envelope in (bare, stolen, {}, {"payload": "x"}, incident.signed("mallory")):
        assert signed_approval(envelope, asked) is None


def test_each_answer_once_and_weighed_together(incident: Incident, asked: PendingRun) -> None:
    ledger, now = incident.ledger(), incident.site.clock.now()
    first = push_answer(asked, incident.signed("jonas"), ledger, now)
    assert (first.enough, first.denied) == (False, False)
    assert "1 of 2" in first.summary
    assert push_answer(asked, incident.signed("jonas"), ledger, now) == first
    assert len(ledger.tip().answers) == 1
    second = push_answer(asked, incident.signed("priya"), ledger, now)
    assert (second.enough, second.summary) == (True, "approved by jonas and priya")
    third = push_answer(asked, incident.signed("priya", "deny"), ledger, now)
    assert (third.enough, third.denied) == (False, True)


def test_a_file_that_may_not_be_read_is_left_to_github(incident: Incident, asked: PendingRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> bytes:
        raise Forbidden("github.permission", "no", exit_code=Exit.POLICY)

    monkeypatch.setattr(approve, "file_at", forbidden)
    assert may_resume(incident.client(), asked).file == "dr.yml"


@pytest.mark.parametrize(("kind", "code"), [(Fault, Exit.UNAVAILABLE), (Refusal, Exit.POLICY)])
def test_trouble_with_starting_keeps_its_gate_and_its_code(
    kind: type[Fault | Refusal], code: Exit, incident: Incident, asked: PendingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> Started:
        raise kind("github.some", "no luck", exit_code=code, found="f", expected="e", fix="repair it")

    monkeypatch.setattr(approve, "start", fails)
    into = approve.dispatch_target(incident.client(), "dr.yml")
    with pytest.raises(kind) as raised:
        resume(incident.client(), asked, into, SystemClock())
    error = raised.value
    assert (error.gate, error.exit_code) == ("github.some", code)
    assert error.reason == "your answer is in the ledger; the run that resumes it was not started: no luck"
    assert (
        error.fix
        == f"approve again (an answer is added once), or: gh workflow run dr.yml --ref main -f resume={asked.run.run_id}; repair it"
    )


@pytest.mark.parametrize(
    ("status", "conclusion", "counts"),
    [("queued", None, True), ("in_progress", None, True), ("completed", "success", True), ("completed", "failure", False)],
)
def test_which_run_is_the_one_that_goes_on(
    status: str, conclusion: str | None, counts: bool, incident: Incident, asked: PendingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = asked.run.model_copy(update={"run_id": asked.run.run_id + 1, "status": status, "conclusion": conclusion, "url": "there"})
    listed: tuple[RunFact, ...] = (found,)
    monkeypatch.setattr(approve, "runs_after", lambda *_: listed)
    monkeypatch.setattr(approve, "start", lambda *_, **__: Started(999, "new"))
    into = approve.dispatch_target(incident.client(), "dr.yml")
    assert resume(incident.client(), asked, into, SystemClock()).url == ("there" if counts else "new")
