"""Which artifact of an earlier run is its last handover."""

from __future__ import annotations

import io
import tarfile

import pytest

from hyops_ci.errors import Refusal
from hyops_ci.github.api.client import Client
from hyops_ci.github.runs import run as run_fact
from hyops_ci.stages.handover import handover_of
from tests.support.github.fixture import github_fake
from tests.support.github.runs import Run
from tests.support.github.server import FakeGitHub

__all__ = ["github_fake"]


def packed(text: bytes) -> dict[str, bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        info = tarfile.TarInfo("decision.raw")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    return {"handover.tar": buffer.getvalue()}


@pytest.fixture
def run(github_fake: FakeGitHub) -> Run:
    repository = github_fake.add_repository("acme/recovery")
    repository.add_workflow(".github/workflows/dr.yml", "on: workflow_dispatch\njobs: {}\n")
    github_fake.add_user("maria")
    return repository.add_run(actor="maria")


def client_of(fake: FakeGitHub) -> Client:
    return Client.connect("acme/recovery", token=fake.add_token("actions: read"), api_url=fake.url)


@pytest.mark.parametrize(("checked_at", "found"), [((1,), b"check 1"), ((1, 2), b"check 2"), ((1, 3), b"check 3")])
def test_the_last_check_counts_also_where_only_the_report_was_made_again(
    checked_at: tuple[int, ...], found: bytes, run: Run, github_fake: FakeGitHub
) -> None:
    for attempt in checked_at:
        run.add_artifact(f"dr-check-{run.id}-{attempt}", packed(f"check {attempt}".encode()))
    run.finish("failure")
    run.rerun("maria")
    run.finish("failure")
    run.rerun("maria")
    client = client_of(github_fake)
    assert handover_of(client, run_fact(client, run.id), ("decision.raw",)) == {"decision.raw": found}


def test_a_run_without_a_check_left_nothing(run: Run, github_fake: FakeGitHub) -> None:
    client = client_of(github_fake)
    with pytest.raises(Refusal) as refused:
        handover_of(client, run_fact(client, run.id), ("decision.raw",))
    assert (refused.value.gate, int(refused.value.exit_code)) == ("artifact.missing", 11)
