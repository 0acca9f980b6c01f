"""A job is read from GitHub's environment once, and what is absent stays empty."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.actions.workflow_file import read_workflow
from hyops_ci.stages.job import BOOTSTRAP_JOB, HOSTED, REPORT_JOB, local_job, read_job

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 11, 23, 3, 4, 31, tzinfo=UTC)


def github(tmp_path: Path, **more: str) -> dict[str, str]:
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"repository": {"default_branch": "main"}}))
    return {"GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "212", "GITHUB_RUN_ATTEMPT": "1", "GITHUB_EVENT_PATH": str(event), **more}


def test_a_github_job(tmp_path: Path) -> None:
    job = read_job(
        github(
            tmp_path,
            GITHUB_REPOSITORY="acme/dr",
            GITHUB_REPOSITORY_ID="42",
            GITHUB_ACTOR="maria",
            GITHUB_ACTOR_ID="7",
            GITHUB_TRIGGERING_ACTOR="jo",
            GITHUB_REF="refs/heads/main",
            GITHUB_REF_PROTECTED="true",
        )
    )
    assert (job.run_id, job.attempt, job.repository_id, job.default_branch) == ("212-1", 1, 42, "main")
    assert job.url == "https://github.com/acme/dr/actions/runs/212"
    assert job.requesters == (("maria", 7), ("jo", 0))
    assert job.ref_protected


def test_absent_facts_are_empty_not_guessed(tmp_path: Path) -> None:
    job = read_job(github(tmp_path))
    assert (job.repository_id, job.triggering_actor, job.workflow_ref, job.ref_protected) == (0, "", "", False)


@pytest.mark.parametrize("broken", [{"GITHUB_RUN_ID": "x"}, {"GITHUB_RUN_ATTEMPT": "-1"}, {"GITHUB_ACTIONS": "false"}])
def test_what_is_no_github_job_is_refused(tmp_path: Path, broken: dict[str, str]) -> None:
    with pytest.raises(Refusal) as refused:
        read_job(github(tmp_path, **broken))
    assert refused.value.exit_code is Exit.USAGE


@pytest.mark.parametrize("content", ["", "[]", "{", '{"repository": 3}'])
def test_an_unreadable_event_is_no_default_branch(tmp_path: Path, content: str) -> None:
    environ = github(tmp_path)
    Path(environ["GITHUB_EVENT_PATH"]).write_text(content)
    assert read_job(environ).default_branch == ""


def test_a_local_job_has_an_id_of_its_own_and_no_page() -> None:
    first, second = local_job(NOW, "maria", {}), local_job(NOW, "maria", {})
    assert first.run_id.startswith("local-20261123T030431Z-")
    assert first.run_id != second.run_id
    assert first.url == ""


def test_the_environment_is_not_shown(tmp_path: Path) -> None:
    assert "canary" not in repr(read_job(github(tmp_path, SECRET="canary")))


def test_jobs_are_looked_for_under_the_names_that_the_workflow_gives_them() -> None:
    """A job that is called otherwise is not found, and evidence that nobody stands behind is refused."""
    jobs = read_workflow((ROOT / ".github/workflows/dispatch.yml").read_bytes(), "dispatch.yml")["jobs"]
    assert jobs["ensure-runner"]["name"] == BOOTSTRAP_JOB
    assert (jobs["conclude"]["name"], (jobs["conclude"]["runs-on"],)) == (REPORT_JOB, HOSTED)
