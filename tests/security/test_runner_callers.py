"""Whose jobs a machine that a run makes will take: the workflows of the reviewed branch that are nothing but calls of this release."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.security.test_runner_host import TRUE_JOB, ends_of
from tests.support.issuer import WORKFLOW_SHA
from tests.unit.operations.test_runner_tools import CALLED, Noted, tools
from tests.unit.stages.ensure_runner.scene import Scene, missing_runner

FOLDER = ".github/workflows"
OURS = CALLED.partition("@")[0]
OWN_JOB = "  own:\n    runs-on: [self-hosted, gcp-ops]\n    steps: [{run: cat /opt/actions-runner/_work/*}]\n"


def call(workflow: str = OURS, commit: str = WORKFLOW_SHA) -> str:
    return f"on: workflow_dispatch\njobs:\n  dr:\n    uses: {workflow}@{commit}\n"


STRANGERS = {
    "a workflow of that name of somebody else": call("acme/ci/.github/workflows/dispatch.yml"),
    "one called runner.yml": call("acme/ci/.github/workflows/runner.yml"),
    "a fork": call("mallory/dr-dispatch/.github/workflows/dispatch.yml"),
    "a commit of a fork, by the name of ours": call(commit="bad" + "0" * 37),
    "a call in a comment": f"on: push\n# {call()}\njobs:\n{OWN_JOB}",
    "a call in a script": f"on: push\njobs:\n  x:\n    runs-on: x\n    steps:\n      - run: |\n          uses: {OURS}@{WORKFLOW_SHA}\n",
    "a job of its own beside a true call": call() + OWN_JOB,
    "a call that a reader of YAML does not see": f"on: push\njobs:\n{OWN_JOB}---\n{call()}",
}


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    with missing_runner(tmp_path) as made:
        monkeypatch.setenv("GITHUB_API_URL", made.incident.fake.url)
        made.incident.run.referenced = [(CALLED, WORKFLOW_SHA)]
        yield made


def trust_with(scene: Scene, texts: dict[str, str]) -> dict[str, Any]:
    """The trust file of the machine, where the reviewed branch has these workflows, too."""
    scene.incident.run.sha = scene.incident.repository.commit({f"{FOLDER}/{name}": text for name, text in texts.items()})
    found: dict[str, Any] = json.loads(tools(scene, Noted()).trust())
    return found


def job_of(trust: dict[str, Any], name: str) -> dict[str, str]:
    """A job of a workflow of the reviewed branch, as GitHub's agent tells of it."""
    numbers = {"GITHUB_REPOSITORY_ID": str(trust["repository_id"]), "GITHUB_REPOSITORY_OWNER_ID": str(trust["repository_owner_id"])}
    return TRUE_JOB | numbers | {"GITHUB_WORKFLOW_REF": f"acme/recovery/{FOLDER}/{name}@refs/heads/main"}


@pytest.mark.slow
def test_a_workflow_that_makes_itself_a_caller(scene: Scene, tmp_path: Path) -> None:
    """It was merged by two people who own no part of the recovery, and names the runner's label."""
    names = {name: f"x{number}.yml" for number, name in enumerate(STRANGERS)}
    trust = trust_with(scene, {names[name]: text for name, text in STRANGERS.items()})
    ends = ends_of(tmp_path, [job_of(trust, file) for file in names.values()], trust=trust)
    for name, end in zip(STRANGERS, ends, strict=True):
        assert (end["ran"], end["rc"]) == ([], -signal.SIGKILL), name
        assert "REFUSED host.caller (exit 7)" in end["said"], name


@pytest.mark.slow
def test_a_workflow_that_only_calls_this_release(scene: Scene, tmp_path: Path) -> None:
    looks = call(OURS.replace("dispatch.yml", "runner.yml"))
    trust = trust_with(scene, {"dr-runner.yml": looks, "dr-decision.yaml": call()})
    ends = ends_of(tmp_path, [job_of(trust, name) for name in ("dr.yml", "dr-runner.yml", "dr-decision.yaml")], trust=trust)
    assert [(end["rc"], end["ran"]) for end in ends] == [(0, ["always", "first"])] * 3, ends
