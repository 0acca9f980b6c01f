"""Who asked, and when: of this run, or of the one that it resumes, as GitHub says it; and what no run may resume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.contracts.approval import Person
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.api.client import Client
from hyops_ci.github.repository import repository as repository_fact
from hyops_ci.github.runs import run as run_fact
from hyops_ci.stages.context import RunContext, SystemClock
from hyops_ci.stages.handover import RunDir, handover_of
from hyops_ci.stages.job import Job
from hyops_ci.stages.origin import DECISION, ORIGIN, Origin, decision_of, origin_in, origin_of, require_reviewed
from tests.support.github.fixture import github_fake
from tests.support.github.repositories import Repository
from tests.support.github.runs import Run
from tests.support.github.server import FakeGitHub

__all__ = ["github_fake"]
WORKFLOW = ".github/workflows/dr.yml"
FIRST = "2026-11-23T03:04:31Z"
MARIA, JONAS, PRIYA = (Person(login=login, id=number) for login, number in (("maria", 1001), ("jonas", 1002), ("priya", 1003)))


@pytest.fixture
def repository(github_fake: FakeGitHub) -> Repository:
    for each in (MARIA, JONAS, PRIYA):
        github_fake.add_user(each.login, number=each.id)
    made = github_fake.add_repository("acme/recovery", number=4711)
    made.add_workflow(WORKFLOW, "on: workflow_dispatch")
    return made


@pytest.fixture
def client(github_fake: FakeGitHub, repository: Repository) -> Client:
    token = github_fake.add_token("actions: read", "contents: read", "metadata: read")
    return Client.connect("acme/recovery", token=token, api_url=github_fake.url, sleep=lambda _: None)


@pytest.fixture
def waited(repository: Repository, tmp_path: Path) -> Run:
    """maria's run, which a signature was asked for."""
    run = repository.add_run(WORKFLOW, actor="maria", created_at=FIRST)
    leaves(run, tmp_path)
    return run


def leaves(run: Run, tmp_path: Path, origin: bytes | None = None, decision: bytes | None = b'{"kind": "Decision"}') -> None:
    """The handover of the run's check."""
    known = Origin(requesters=(Person(login=run.actor.login, id=run.actor.id),), received_at=FIRST)
    folder = RunDir(tmp_path / f"run-{run.id}" / "run")
    folder.write(ORIGIN, origin if origin is not None else known.model_dump_json().encode())
    if decision is not None:
        folder.write(DECISION, decision)
    folder.pack(tmp_path / "handover.tar")
    run.add_artifact(f"dr-check-{run.id}-{run.attempt.number}", {"handover.tar": (tmp_path / "handover.tar").read_bytes()})


@pytest.fixture
def resuming(repository: Repository, client: Client, tmp_path: Path) -> Callable[..., RunContext]:
    """The world of a run that priya started."""

    def make(**options: Any) -> RunContext:
        run = repository.add_run(WORKFLOW, **{"actor": "priya", **options})
        return RunContext(Job(f"{run.id}-1", on_github=True, actor="priya"), SystemClock(), tmp_path, tmp_path, "", github=client)

    return make


def refused(resume: str, world: RunContext) -> Refusal:
    with pytest.raises(Refusal) as caught:
        origin_of(resume, world)
    assert caught.value.found
    return caught.value


# ------------------------------------------------------------------------------------------------------- its own


def test_a_run_of_its_own(resuming: Callable[..., RunContext], repository: Repository) -> None:
    world = resuming(created_at=FIRST)
    found = origin_of("", world)
    assert (found.requesters, found.received_at, found.resumes) == ((PRIYA,), FIRST, None)
    assert found.run is not None
    assert decision_of(found, world) == b""


def test_whoever_triggered_another_attempt_asked_too(resuming: Callable[..., RunContext], repository: Repository) -> None:
    world = resuming()
    list(repository.runs.values())[-1].rerun("jonas")
    assert origin_of("", world).requesters == (PRIYA, JONAS)


def test_in_a_shell_the_environment_says_who(tmp_path: Path) -> None:
    world = RunContext(Job("local-20261123T030431Z-0badcafe", actor="maria", actor_id=1001), SystemClock(), tmp_path, tmp_path, "")
    assert origin_of("", world).requesters == (MARIA,)
    assert refused("212", world).gate == "run.resume"


# ------------------------------------------------------------------------------------------------------- resumed


def test_who_asked_first_stays_who_asked(waited: Run, resuming: Callable[..., RunContext]) -> None:
    world = resuming()
    found = origin_of(str(waited.id), world)
    assert found.requesters == (MARIA,), "whoever starts the run that goes on is its approver"
    assert found.received_at == FIRST
    assert found.resumes is not None
    assert found.resumes.run_id == waited.id
    assert decision_of(found, world) == b'{"kind": "Decision"}'


def test_when_and_by_whom_a_run_was_started_is_githubs_word(
    repository: Repository, waited: Run, resuming: Callable[..., RunContext], client: Client, tmp_path: Path
) -> None:
    """Of what a run recorded only the number of an earlier one is believed, and that is asked of GitHub again."""
    second = repository.add_run(WORKFLOW, actor="jonas")
    lying = run_fact(client, waited.id).model_copy(update={"created_at": "2020-01-01T00:00:00Z", "actor": JONAS, "triggering_actor": JONAS})
    leaves(second, tmp_path, Origin(requesters=(), received_at="2999-01-01T00:00:00Z", resumes=lying).model_dump_json().encode())
    found = origin_of(str(second.id), resuming())
    assert found.requesters == (JONAS, MARIA)
    assert found.received_at == waited.created_at


def test_an_earlier_run_of_a_branch_in_the_chain(
    repository: Repository, resuming: Callable[..., RunContext], client: Client, tmp_path: Path
) -> None:
    repository.commit({"x": "y"}, "topic")
    strange = repository.add_run(WORKFLOW, actor="maria", branch="topic")
    second = repository.add_run(WORKFLOW, actor="jonas")
    origin = Origin(requesters=(), received_at=FIRST, resumes=run_fact(client, strange.id))
    leaves(second, tmp_path, origin.model_dump_json().encode())
    assert refused(str(second.id), resuming()).gate == "run.resume"


def test_a_chain_of_resumed_runs_loses_nobody(repository: Repository, resuming: Callable[..., RunContext], tmp_path: Path) -> None:
    second = repository.add_run(WORKFLOW, actor="jonas")
    leaves(second, tmp_path, Origin(requesters=(MARIA,), received_at=FIRST).model_dump_json().encode())
    assert origin_of(str(second.id), resuming()).requesters == (JONAS, MARIA)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"branch": "topic"}, "branch topic, not main"),
        ({"sha": "0" * 40}, "commit 0000000000000000000000000000000000000000, not "),
        ({"event": "pull_request"}, "started by pull_request"),
        ({"event": "push"}, "started by push"),
    ],
)
def test_a_run_of_another_kind(
    changes: dict[str, Any], word: str, repository: Repository, resuming: Callable[..., RunContext], tmp_path: Path
) -> None:
    repository.commit({"x": "y"}, "topic")
    other = repository.add_run(WORKFLOW, **{"actor": "maria", "sha": repository.head, **changes})
    leaves(other, tmp_path)
    error = refused(str(other.id), resuming(sha=repository.head))
    assert (error.gate, error.exit_code) == ("run.resume", Exit.APPROVAL)
    assert word in error.found


def test_a_run_of_another_repository(waited: Run, client: Client) -> None:
    """GitHub does not answer with one today; whether it is the same repository is not left to that."""
    fact, home = run_fact(client, waited.id), repository_fact(client)
    require_reviewed(fact, home, path=fact.path, sha=fact.sha)
    with pytest.raises(Refusal, match=r"run\.resume") as caught:
        require_reviewed(fact.model_copy(update={"repository_id": 4712}), home, path=fact.path, sha=fact.sha)
    assert caught.value.found == f"run {waited.id}: repository 4712, not 4711"


def test_a_run_of_another_workflow(repository: Repository, resuming: Callable[..., RunContext], tmp_path: Path) -> None:
    other = repository.add_run(".github/workflows/mine.yml", actor="maria")
    leaves(other, tmp_path)
    error = refused(str(other.id), resuming())
    assert (error.gate, "workflow .github/workflows/mine.yml, not" in error.found) == ("run.resume", True)


@pytest.mark.parametrize("resume", ["x", "-1", "1.5", "../212", " 212", "212\n", "\u00b2", "9" * 5000])
def test_what_is_no_number(resume: str, resuming: Callable[..., RunContext]) -> None:
    assert refused(resume, resuming()).gate == "run.resume"


def test_itself(repository: Repository, resuming: Callable[..., RunContext]) -> None:
    world = resuming()
    assert refused(world.job.run_id.partition("-")[0], world).gate == "run.resume"


def test_a_run_that_is_not_there(resuming: Callable[..., RunContext]) -> None:
    assert refused("999999", resuming()).gate.startswith("github.")


def test_a_run_that_left_nothing(repository: Repository, resuming: Callable[..., RunContext]) -> None:
    run = repository.add_run(WORKFLOW, actor="maria")
    error = refused(str(run.id), resuming())
    assert (error.gate, error.exit_code) == ("artifact.missing", Exit.EVIDENCE)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"requesters": [], "received_at": "yesterday"}'])
def test_an_origin_that_cannot_be_read(content: bytes, repository: Repository, resuming: Callable[..., RunContext], tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"run\.resume"):
        origin_in(content)
    run = repository.add_run(WORKFLOW, actor="maria")
    leaves(run, tmp_path, content)
    assert refused(str(run.id), resuming()).gate == "run.resume"


# ------------------------------------------------------------------------------------------------------ handover


def test_documents_by_name(waited: Run, resuming: Callable[..., RunContext], client: Client) -> None:
    run = origin_of(str(waited.id), resuming()).resumes
    assert run is not None
    held = handover_of(client, run, (ORIGIN, DECISION))
    assert set(held) == {ORIGIN, DECISION}
    with pytest.raises(Refusal, match=r"handover\.file") as refused_:
        handover_of(client, run, (ORIGIN, "request.json", "sources/config"))
    assert refused_.value.found.endswith("without request.json, sources/config")
    assert refused_.value.exit_code == Exit.EVIDENCE


def test_what_the_last_attempt_left_counts(waited: Run, tmp_path: Path, client: Client) -> None:
    waited.rerun("jonas")
    leaves(waited, tmp_path, decision=b"of the second attempt")
    assert handover_of(client, run_fact(client, waited.id), (DECISION,)) == {DECISION: b"of the second attempt"}


def test_a_handover_without_end_is_not_read(waited: Run, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    fact = run_fact(client, waited.id)
    assert handover_of(client, fact, (DECISION,))
    monkeypatch.setattr("hyops_ci.stages.handover.MAX_HANDOVER_BYTES", 511)
    with pytest.raises(Refusal, match=r"handover\.file"):
        handover_of(client, fact, (DECISION,))


@pytest.mark.parametrize(
    "files", [{}, {"other.tar": b""}, {"handover.tar": b""}, {"handover.tar": b"no tar" * 200}, {"handover.tar": b"\0" * 10240}]
)
def test_an_artifact_that_is_something_else(files: dict[str, bytes], repository: Repository, resuming: Callable[..., RunContext]) -> None:
    run = repository.add_run(WORKFLOW, actor="maria")
    run.add_artifact(f"dr-check-{run.id}-1", files)
    error = refused(str(run.id), resuming())
    assert error.gate.startswith("handover.")
    assert error.exit_code in (Exit.EVIDENCE, Exit.POLICY)
