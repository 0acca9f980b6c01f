"""release.yml: each job has the rights that it needs and no more, nothing is published that was not looked at, built and attested."""

from __future__ import annotations

import re

import pytest

from tests.contracts.declared import ROOT, mapping, read
from tools.release.platforms import MACHINES, PYTHONS
from tools.release.readiness import TAG

WORKFLOW = read(ROOT / ".github" / "workflows" / "release.yml")
JOBS = WORKFLOW["jobs"]
RIGHTS = {
    "verify": {"contents": "read", "actions": "read"},
    "packages": {"contents": "read"},
    "wheelhouse": {"contents": "read"},
    "assets": {},
    "attest": {"id-token": "write", "attestations": "write"},
    "publish": {"contents": "write"},
}


def before(name: str) -> set[str]:
    """All jobs that a job waits for."""
    needs = JOBS[name].get("needs") or []
    direct = {needs} if isinstance(needs, str) else set(needs)
    return direct.union(*map(before, direct))


def test_each_job_has_its_rights_and_the_workflow_none() -> None:
    assert WORKFLOW["permissions"] == {}
    assert {name: mapping(job["permissions"]) for name, job in JOBS.items()} == RIGHTS


def test_what_may_write_runs_no_file_of_the_checkout() -> None:
    for name in ("attest", "publish"):
        steps = JOBS[name]["steps"]
        assert not [step for step in steps if str(step.get("uses", "")).startswith("actions/checkout@") or "./dev" in step.get("run", "")]


def test_nothing_is_published_that_was_not_looked_at_built_and_attested() -> None:
    assert before("publish") == {"verify", "packages", "wheelhouse", "assets", "attest"}
    assert JOBS["publish"]["environment"] == "release"
    assert [name for name, job in JOBS.items() if "if" in job] == ["attest"], "a step behind a job that was skipped is skipped, too"
    assert JOBS["attest"]["if"] == "github.event_name == 'push'"


@pytest.mark.parametrize("name", JOBS)
def test_no_expression_becomes_part_of_a_script(name: str) -> None:
    assert not [step["run"] for step in JOBS[name]["steps"] if "${{" in step.get("run", "")]


def test_it_starts_on_tags_that_are_versions() -> None:
    [pattern] = WORKFLOW["on"]["push"]["tags"]
    assert re.fullmatch(pattern.replace(".", r"\."), "v1.20.3")
    assert not re.fullmatch(pattern.replace(".", r"\."), "v1")
    assert TAG.fullmatch("v1.20.3")


def test_there_is_a_wheelhouse_for_every_host() -> None:
    assert JOBS["wheelhouse"]["strategy"]["matrix"] == {"machine": list(MACHINES), "python": list(PYTHONS)}
