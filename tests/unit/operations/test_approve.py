"""What an approver is shown is what the run asks, and what counts as said already is what a key of the plan signed."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from hyops_ci.contracts.control import RunFact
from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.github.api.responses import Forbidden
from hyops_ci.github.dispatch import Started
from hyops_ci.operations import approve
from hyops_ci.operations.approve import PendingRun, may_resume, pending_run, push_answer, resume, signed_approval
from hyops_ci.stages.context import SystemClock
from tests.security.kit import WORKFLOW, Night, a_night
from tests.support.github.runs import Run


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    with a_night(tmp_path_factory.mktemp("night")) as made:
        made.approvers("jonas", "priya", quorum=2)
        made.come_to_the_gate()
        made.hand_over()
        yield made


@pytest.fixture
def asked(night: Night) -> PendingRun:
    return pending_run(night.client(), night.run.id)


def handed_over(night: Night, name: str, content: bytes) -> Run:
    """A run of somebody's whose handover holds something else."""
    other = night.repository.add_run(WORKFLOW, actor="mallory")
    known, folder = night.folder.read(name), night.folder
    folder.write(name, content)
    packed = folder.root.parent / "other.tar"
    folder.pack(packed)
    folder.write(name, known)
    other.add_artifact(f"dr-check-{other.id}-1", {"handover.tar": packed.read_bytes()})
    return other


def test_what_a_run_asks(night: Night, asked: PendingRun) -> None:
    assert asked.request == night.request
    assert asked.run.run_id == night.run.id
    assert asked.config.approvals.quorum == 2


def test_a_request_for_another_repository(night: Night) -> None:
    request: dict[str, Any] = json.loads(night.folder.read("request.json"))
    request["subject"]["repository_id"] += 1
    other = handed_over(night, "request.json", json.dumps(request).encode())
    with pytest.raises(Refusal, match=r"approval\.request") as refused:
        pending_run(night.client(), other.id)
    assert refused.value.exit_code == Exit.APPROVAL


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff"])
@pytest.mark.parametrize("name", ["request.json", "sources/config"])
def test_documents_that_cannot_be_read(name: str, content: bytes, night: Night) -> None:
    with pytest.raises(Refusal):
        pending_run(night.client(), handed_over(night, name, content).id)


def test_only_what_the_plans_own_keys_signed_was_said(night: Night, asked: PendingRun) -> None:
    """Somebody who may push to the branch leaves a copy without a signature: jonas's own word must still get there."""
    mine, later = night.signed("jonas"), night.signed("jonas")
    assert signed_approval(mine, asked) == signed_approval(later, asked)
    assert signed_approval(night.signed("jonas", "deny"), asked) != signed_approval(mine, asked)
    assert signed_approval(night.signed("jonas", comment="seen"), asked) != signed_approval(mine, asked)
    assert signed_approval(night.signed("priya"), asked) != signed_approval(mine, asked)
    bare = copy.deepcopy(mine)
    bare["signatures"] = []
    stolen = {**night.signed("priya"), "payload": mine["payload"]}
    for envelope in (bare, stolen, {}, {"payload": "x"}, night.signed("mallory")):
        assert signed_approval(envelope, asked) is None


def test_each_answer_once_and_weighed_together(night: Night, asked: PendingRun) -> None:
    ledger, now = night.ledger(), night.site.clock.now()
    first = push_answer(asked, night.signed("jonas"), ledger, now)
    assert (first.enough, first.denied) == (False, False)
    assert "1 of 2" in first.summary
    assert push_answer(asked, night.signed("jonas"), ledger, now) == first
    assert len(ledger.tip().answers) == 1
    second = push_answer(asked, night.signed("priya"), ledger, now)
    assert (second.enough, second.summary) == (True, "approved by jonas and priya")
    third = push_answer(asked, night.signed("priya", "deny"), ledger, now)
    assert (third.enough, third.denied) == (False, True)


def test_a_file_that_may_not_be_read_is_left_to_github(night: Night, asked: PendingRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> bytes:
        raise Forbidden("github.permission", "no", exit_code=Exit.POLICY)

    monkeypatch.setattr(approve, "file_at", forbidden)
    assert may_resume(night.client(), asked).file == "dr.yml"


@pytest.mark.parametrize(("kind", "code"), [(Fault, Exit.UNAVAILABLE), (Refusal, Exit.POLICY)])
def test_trouble_with_starting_keeps_its_gate_and_its_code(
    kind: type[Fault | Refusal], code: Exit, night: Night, asked: PendingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> Started:
        raise kind("github.some", "no luck", exit_code=code, found="f", expected="e", fix="repair it")

    monkeypatch.setattr(approve, "start", fails)
    into = approve.workflow(night.client(), "dr.yml")
    with pytest.raises(kind) as raised:
        resume(night.client(), asked, into, SystemClock())
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
    status: str, conclusion: str | None, counts: bool, night: Night, asked: PendingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = asked.run.model_copy(update={"run_id": asked.run.run_id + 1, "status": status, "conclusion": conclusion, "url": "there"})
    earlier = found.model_copy(update={"run_id": asked.run.run_id - 1, "status": "queued", "url": "before"})
    listed: tuple[RunFact, ...] = (found, earlier)
    monkeypatch.setattr(approve, "runs_by_title", lambda *_: listed)
    monkeypatch.setattr(approve, "start", lambda *_, **__: Started(999, "new"))
    into = approve.workflow(night.client(), "dr.yml")
    assert resume(night.client(), asked, into, SystemClock()).url == ("there" if counts else "new")
