"""`startup_failure`: what in the caller's file keeps the run from starting (`tests/cases/startup`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hyops_ci.github.actions.startup_failure import INPUTS, NEEDED, Cause, explain_startup, granted
from hyops_ci.github.actions.workflow_file import read_workflow

ROOT = Path(__file__).parents[4]
CASES = ROOT / "tests" / "cases" / "startup"
DISPATCH = ROOT / ".github" / "workflows" / "dispatch.yml"
TEMPLATES = sorted((ROOT / "workflows-templates").glob("*.yml"))
LEVELS = ["none", "read", "write"]


def cases(folder: str) -> list[Any]:
    paths = sorted((CASES / folder).glob("*.yml"))
    assert paths
    return [pytest.param(path, id=path.stem) for path in paths]


def causes_of(path: Path) -> list[Cause]:
    return explain_startup(read_workflow(path.read_bytes(), path.name))


@pytest.mark.parametrize("path", cases("accept"))
def test_a_file_in_which_nothing_is_wrong(path: Path) -> None:
    assert causes_of(path) == []


@pytest.mark.parametrize("path", cases("refuse"))
def test_each_cause_is_named_and_nothing_else(path: Path) -> None:
    expected = [line.removeprefix("# cause: ") for line in path.read_text().splitlines() if line.startswith("# cause: ")]
    found = causes_of(path)
    assert [f"{cause.job}: {cause.reason}" for cause in found] == expected
    for cause in found:
        assert cause.found
        assert cause.fix
        assert cause.line().startswith(f"job {cause.job}: " if cause.job else cause.reason)


def asked_by(workflow: Path) -> dict[str, str]:
    """What a caller's job has to grant: the most that any job of the workflow asks for, by name."""
    asked: dict[str, str] = {}
    for job in read_workflow(workflow.read_bytes(), workflow.name)["jobs"].values():
        for name, level in job["permissions"].items():
            asked[name] = max(level, asked.get(name, "none"), key=LEVELS.index)
    return asked


def test_the_needed_permissions_are_those_of_the_shipped_workflow() -> None:
    assert asked_by(DISPATCH) == NEEDED


def test_the_known_inputs_are_those_of_the_shipped_workflow() -> None:
    assert set(read_workflow(DISPATCH.read_bytes(), DISPATCH.name)["on"]["workflow_call"]["inputs"]) == INPUTS


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_template_lacks_only_the_commit(path: Path) -> None:
    document = read_workflow(path.read_bytes(), path.name)
    calling = {job["uses"].partition("@")[0].rpartition("/")[2]: job for job in document["jobs"].values() if "uses" in job}
    assert calling or any("0" * 40 in str(step.get("uses")) for job in document["jobs"].values() for step in job["steps"])
    for name, job in calling.items():
        workflow = DISPATCH.with_name(name)
        known = read_workflow(workflow.read_bytes(), name)["on"]["workflow_call"]
        assert job["permissions"] == asked_by(workflow)
        assert set(job.get("with", {})) <= set(known["inputs"])
        assert set(job.get("secrets", {})) <= set(known.get("secrets", {}))
    if DISPATCH.name in calling:
        assert [cause.reason for cause in explain_startup(document)] == ["the template's placeholder is still there"]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["write-all", "contents", "write"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["uses", "permissions", "with", "contents", "x", 7, None]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(jobs=anything, permissions=anything)
@example(jobs={"dr": {"permissions": {"contents": ["write"], 7: None}, "with": {None: 1}, 3: 4}}, permissions=7)
def test_whatever_stands_in_the_file_is_judged_and_never_raises(jobs: Any, permissions: Any) -> None:
    document = {"jobs": jobs, "permissions": permissions}
    if isinstance(jobs, dict):
        for job in jobs.values():
            if isinstance(job, dict):
                job["uses"] = "hybridops/dr-dispatch/.github/workflows/dispatch.yml@v1"
    for cause in explain_startup(document):
        assert cause.reason


@given(st.fixed_dictionaries({name: st.sampled_from(LEVELS) for name in NEEDED}))
def test_a_cause_is_found_exactly_when_a_permission_is_missing(have: dict[str, str]) -> None:
    job = {"uses": "hybridops/dr-dispatch/.github/workflows/dispatch.yml@v1", "permissions": have}
    lacking = [name for name, level in NEEDED.items() if LEVELS.index(have[name]) < LEVELS.index(level)]
    found = [cause.reason for cause in explain_startup({"jobs": {"dr": job}}) if cause.reason.startswith("it does not grant")]
    assert found == ([f"it does not grant {', '.join(f'{name}: {NEEDED[name]}' for name in lacking)}"] if lacking else [])
    assert granted(job, {})[0] == have


@pytest.mark.parametrize("document", [{}, {"permissions": "read-all"}])
def test_nobody_has_an_identity_by_default(document: dict[str, Any]) -> None:
    assert granted({}, document)[0] == {"contents": "read", "actions": "read", "id-token": "none"}
