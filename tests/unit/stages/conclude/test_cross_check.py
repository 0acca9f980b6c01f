"""GitHub's word beside the evidence's: who took the job, who reviewed, which run and attempt."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.contracts.approval import Person
from hyops_ci.contracts.github_facts import JobFact, ReviewFact
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import Result
from hyops_ci.evidence.contents import read_files
from hyops_ci.evidence.verify import verify
from hyops_ci.github.api.client import Client
from hyops_ci.stages.conclude.cross_check import GitHubRecord, contradictions, github_record
from hyops_ci.stages.conclude.stage import Conclusion, cross_checked, record_of_github
from hyops_ci.stages.context import RunContext, SystemClock
from hyops_ci.stages.job import Job, check_job_name, execute_job_name, only_job
from tests.support.github.fixture import github_fake
from tests.support.github.server import FakeGitHub
from tests.unit.evidence import sample_run

__all__ = ["github_fake"]
JONAS = Person(login="jonas", id=1002)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A sealed recovery of run 212-1, with a review in place of the signature, and the runner that checked."""
    root = tmp_path_factory.mktemp("bundle")
    (root / "run").mkdir()
    sample_run.sealed(root / "run", root / "evidence.tar")
    files = dict(read_files(root / "evidence.tar"))
    said = json.loads(files["approvals/jonas.json"]) | {"channel": "environment", "approver": {"login": "jonas", "id": 1002}}
    files["approvals/jonas.json"] = json.dumps({key: value for key, value in said.items() if key not in ("key_id",)}).encode()
    files["runner.json"] = json.dumps(runner()).encode()
    return files


def runner(**changes: Any) -> dict[str, Any]:
    usual = {"name": "gcp-ops-runner-01", "hostname": "vm", "runner_ref": "gcp-ops-runner", "os": "Linux", "arch": "x86_64"}
    return {**usual, "user": "hyops", "boot_id": "", "hosted": False, "trusted": True, **changes}


def plan_of(files: dict[str, bytes]) -> Plan:
    return Plan.model_validate_json(files["plan.json"])


def seen(files: dict[str, bytes], **changes: Any) -> GitHubRecord:
    """What GitHub shows of that run where nothing is wrong."""
    plan = plan_of(files)
    jobs = tuple(
        JobFact(id=number, name=f"dr / {name}", attempt=1, status="completed", runner_id=7, runner_name="gcp-ops-runner-01")
        for number, name in enumerate((check_job_name(plan), execute_job_name(plan)), 1)
    )
    review = ReviewFact(state="approved", person=JONAS, environments=(plan.approval.gate,))
    return GitHubRecord(**{"run_id": 212, "attempt": 1, "jobs": jobs, "reviews": (review,), **changes})


def test_what_agrees(bundle: dict[str, bytes]) -> None:
    assert contradictions(bundle, seen(bundle)) == ()


def test_without_what_nobody_could_compare(bundle: dict[str, bytes]) -> None:
    """A run that was refused before a plan, and a job that GitHub does not list: silence is no contradiction."""
    assert contradictions({"result.json": bundle["result.json"]}, seen(bundle, jobs=(), reviews=())) == ()
    reviews = seen(bundle).reviews
    assert contradictions(bundle, seen(bundle, jobs=(), reviews=reviews)) == ()


@pytest.mark.parametrize(("number", "attempt"), [(213, 1), (212, 2)])
def test_another_run(number: int, attempt: int, bundle: dict[str, bytes]) -> None:
    [said] = contradictions(bundle, seen(bundle, run_id=number, attempt=attempt))
    assert said == f"the bundle is of run 212-1, GitHub's run is {number}-{attempt}"


def test_another_runner(bundle: dict[str, bytes]) -> None:
    files = bundle | {"runner.json": json.dumps(runner(name="stranger-01")).encode()}
    assert contradictions(files, seen(bundle)) == ("the bundle says runner stranger-01, GitHub says gcp-ops-runner-01",)
    files = bundle | {"runner.json": json.dumps(runner(name="GCP-OPS-RUNNER-01")).encode()}
    assert contradictions(files, seen(bundle)) == ()


REVIEWS: dict[str, Callable[[str], tuple[ReviewFact, ...]]] = {
    "none": lambda gate: (),
    "a no": lambda gate: (ReviewFact(state="rejected", person=JONAS, environments=(gate,)),),
    "of another gate": lambda gate: (ReviewFact(state="approved", person=JONAS, environments=("dr-check",)),),
    "of another account with that name": lambda gate: (
        ReviewFact(state="approved", person=Person(login="jonas", id=9), environments=(gate,)),
    ),
    "pending": lambda gate: (ReviewFact(state="pending", person=JONAS, environments=(gate,)),),
}


@pytest.mark.parametrize("name", REVIEWS)
def test_a_review_that_github_does_not_show(name: str, bundle: dict[str, bytes]) -> None:
    found = seen(bundle, reviews=REVIEWS[name](plan_of(bundle).approval.gate))
    assert contradictions(bundle, found) == ("the bundle holds a review of jonas that GitHub does not show",)


def test_a_gate_in_another_spelling_is_the_same(bundle: dict[str, bytes]) -> None:
    gate = plan_of(bundle).approval.gate.upper()
    assert contradictions(bundle, seen(bundle, reviews=(ReviewFact(state="approved", person=JONAS, environments=(gate,)),))) == ()


@pytest.mark.parametrize("name", ["result.json", "plan.json", "approvals/jonas.json"])
@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"kind": "Plan"}'])
def test_what_cannot_be_read_is_a_contradiction_and_no_fault(name: str, content: bytes, bundle: dict[str, bytes]) -> None:
    assert f"{name} of the bundle cannot be read" in contradictions(bundle | {name: content}, seen(bundle))


def test_a_job_by_its_name(bundle: dict[str, bytes]) -> None:
    jobs = seen(bundle).jobs
    name, labels = check_job_name(plan_of(bundle)), plan_of(bundle).runs_on
    assert only_job(jobs, name, labels) is jobs[0]
    assert only_job((*jobs, jobs[0].model_copy(update={"name": name})), name, labels) is None, "of two nobody knows which"
    assert only_job(jobs, "Watch", labels) is None
    assert only_job((jobs[0].model_copy(update={"name": f"not {name}"}),), name, labels) is None
    ours, another = (jobs[0].model_copy(update={"labels": each}) for each in (labels, ("ubuntu-latest",)))
    assert only_job((ours, another.model_copy(update={"name": f"dr / x / {name}"})), name, labels) is ours


def test_github_is_asked_for_this_attempt(github_fake: FakeGitHub) -> None:
    repository = github_fake.add_repository("acme/recovery")
    repository.add_environment("dr-prod", reviewers=[github_fake.add_user("jonas", number=1002)])
    run = repository.add_run(number=212)
    run.add_job("Check gcp-ops-runner (changes nothing)").finish()
    run.add_job("Recover", environment="dr-prod")
    run.review("jonas")
    client = Client.connect("acme/recovery", token=github_fake.add_token("actions: read"), api_url=github_fake.url)
    found = github_record(Job("212-1", on_github=True), client)
    assert [job.name for job in found.jobs] == ["Check gcp-ops-runner (changes nothing)", "Recover"]
    assert [(review.person.id, review.environments) for review in found.reviews] == [(1002, ("dr-prod",))]
    assert json.loads(json.dumps(found.document()))["attempt"] == 1


def test_names_of_jobs_are_those_of_the_workflow(bundle: dict[str, bytes]) -> None:
    text = (Path(__file__).parents[4] / ".github" / "workflows" / "dispatch.yml").read_text()
    assert "check_title" in text
    assert check_job_name(plan_of(bundle)).startswith("Check ")
    assert execute_job_name(plan_of(bundle)).startswith("Recover at gcp, plan ")


@pytest.mark.parametrize(("number", "said", "code"), [(212, 0, 0), (213, 1, 11)])
def test_a_report_whose_evidence_github_contradicts_is_red(
    number: int, said: int, code: int, tmp_path: Path, github_fake: FakeGitHub
) -> None:
    (tmp_path / "run").mkdir()
    path = tmp_path / "evidence.tar"
    sample_run.sealed(tmp_path / "run", path)
    result = Result.model_validate_json(read_files(path)["result.json"])
    ended = Conclusion(result, path, "sha256:" + "0" * 64, verify(path), path)
    github_fake.add_user("maria")
    github_fake.add_repository("acme/recovery").add_run(number=number, actor="maria")
    client = Client.connect("acme/recovery", token=github_fake.add_token("actions: read"), api_url=github_fake.url)
    world = RunContext(Job(f"{number}-1", on_github=True), SystemClock(), tmp_path, tmp_path, "", github=client)
    found = cross_checked(ended, record_of_github(world))
    assert found.github is not None
    assert (len(found.contradictions), found.exit_code) == (said, code)
