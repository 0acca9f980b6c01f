"""What a caller grants, pinned: one permission more in any job is a `startup_failure` for all of them (docs/design/workflows.md 1)."""

from __future__ import annotations

import pytest

from hyops_ci.github.actions.startup_failure import NEEDED
from hyops_ci.github.actions.workflow_file import mapping
from tests.contracts.declared import LEVELS, Declared, asked, called_by, templates, workflows

PINNED = {
    "dispatch.yml": {"contents": "write", "actions": "write", "id-token": "write"},
    "readiness.yml": {"contents": "write", "actions": "write", "id-token": "write"},
    "drill.yml": {"contents": "write", "actions": "write", "id-token": "write"},
    "runner.yml": {"contents": "read", "actions": "write", "id-token": "write"},
}
"""Frozen within v1: a workflow that is new gets its row, a row of a release is never changed."""


def test_the_sum_of_every_workflow_is_the_pinned_one() -> None:
    assert {name: asked(workflow) for name, workflow in workflows().items()} == PINNED
    assert PINNED["dispatch.yml"] == NEEDED


@pytest.mark.parametrize("workflow", workflows().values(), ids=lambda each: each.name)
def test_a_job_has_what_it_says_and_nothing_by_default(workflow: Declared) -> None:
    assert workflow.document["permissions"] == {}
    assert [name for name, job in workflow.jobs.items() if "permissions" not in job] == []


@pytest.mark.parametrize("workflow", workflows().values(), ids=lambda each: each.name)
def test_a_workflow_within_is_granted_what_it_asks_for(workflow: Declared) -> None:
    for name, job in workflow.jobs.items():
        if (callee := called_by(job.get("uses"))) is not None:
            granted = mapping(job["permissions"])
            short = {each: level for each, level in asked(callee).items() if LEVELS[str(granted.get(each, "none"))] < LEVELS[level]}
            assert not short, f"{name} does not grant {short}"


OWN_STEPS = {"dr-board.yml": {"contents": "read", "actions": "write", "pages": "write", "id-token": "write"}}
"""Templates with a job of steps: hosts of recovery accept no run of them."""


@pytest.mark.parametrize("name", templates())
def test_a_template_has_steps_of_its_own_only_where_it_is_pinned(name: str) -> None:
    jobs = {job_name: job for job_name, job in templates()[name]["jobs"].items() if "uses" not in job}
    assert bool(jobs) is (name in OWN_STEPS)
    assert all(mapping(job["permissions"]) == OWN_STEPS[name] for job in jobs.values())


@pytest.mark.parametrize("name", templates())
def test_a_template_grants_exactly_that(name: str) -> None:
    document = templates()[name]
    assert document["permissions"] == {}
    for job in document["jobs"].values():
        if (callee := called_by(job.get("uses"))) is not None:
            assert job["permissions"] == asked(callee)
