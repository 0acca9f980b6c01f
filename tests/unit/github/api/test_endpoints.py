"""The table of endpoints, against GitHub's description, the fake's own table of permissions, the workflow, and the tests it names."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import hyops_ci
from hyops_ci.cli.app import COMMANDS
from hyops_ci.github.api import endpoints
from hyops_ci.github.api.endpoints import APP_KEY, ENDPOINTS, Endpoint
from tests.support.github import description, routing
from tests.support.github.routing import ROUTES
from tools.github_calls import reached

ROOT = Path(__file__).parents[4]
LEVELS = ("none", "read", "write")
each_endpoint = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=[f"{each.method} {each.path}" for each in ENDPOINTS])


@each_endpoint
def test_github_describes_it_and_asks_for_that_permission(endpoint: Endpoint) -> None:
    """The fake's permissions were written apart from ours; what it routes is in GitHub's description, or is documented elsewhere."""
    path = re.sub(r"{[^}]+}", "1", endpoint.path.replace("{repo}", "acme/dr"))
    if elsewhere := routing.undescribed(endpoint.method, path):
        route = elsewhere[0]
    else:
        described = description.match(endpoint.method, path)
        assert described, "no such endpoint in GitHub's description"
        route = ROUTES[described[0].name]
    assert endpoint.permission == {routing.APP_KEY: APP_KEY}.get(route.needs, route.needs)


@each_endpoint
def test_the_test_that_it_names_is_there(endpoint: Endpoint) -> None:
    path, _, name = endpoint.test.partition("::")
    assert name, "name the test that asks this endpoint: Endpoint.test"
    tree = ast.parse((ROOT / "tests" / "unit" / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.slow
def test_each_named_test_really_asks_its_endpoint(tmp_path: Path) -> None:
    """They run once more, with a note of every call that was answered."""
    named = sorted({f"tests/unit/{each.test}" for each in ENDPOINTS})
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.support.asked", *named]
    ended = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "DR_ASKED": str(tmp_path / "asked")}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout
    asked: dict[str, set[str]] = {}
    for test, calls in json.loads((tmp_path / "asked").read_text(encoding="utf-8")).items():
        asked.setdefault(test.partition("[")[0], set()).update(calls)
    silent = [each.test for each in ENDPOINTS if f"{each.method} {each.path}" not in asked.get(f"tests/unit/{each.test}", ())]
    assert silent == []


def test_each_is_there_once_and_has_a_name() -> None:
    assert len({(each.method, each.path) for each in ENDPOINTS}) == len(ENDPOINTS)
    named = [each for each in vars(endpoints).values() if isinstance(each, Endpoint)]
    assert sorted(named, key=id) == sorted(ENDPOINTS, key=id)


def test_what_makes_something_anew_each_time_is_asked_once() -> None:
    """Those below may be repeated: a second token is as good as the first, and a run is not cancelled more than once."""
    assert all(each.method == "POST" for each in ENDPOINTS if each.once)
    repeated = {each.path.rpartition("/")[2] for each in ENDPOINTS if each.method == "POST" and not each.once}
    assert repeated == {"access_tokens", "registration-token", "remove-token", "cancel"}


# ----------------------------------------------------------------------------------------------------- who asks


def named(name: str) -> Endpoint:
    found = getattr(endpoints, name)
    assert isinstance(found, Endpoint)
    return found


@pytest.fixture(scope="module")
def asking() -> dict[str, tuple[str, ...]]:
    package = Path(hyops_ci.__file__).parent
    return reached(package, {name: module for name, (module, _) in COMMANDS.items()})


def jobs() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / ".github" / "workflows" / "dispatch.yml").read_text(encoding="utf-8"))["jobs"]
    return found


@pytest.mark.parametrize("job", jobs())
def test_a_job_has_the_permissions_of_what_its_stage_asks(job: str, asking: dict[str, tuple[str, ...]]) -> None:
    """Too few and the run stops at night; what only an App may is asked with an App's token."""
    granted = jobs()[job]["permissions"]
    stages = {step["uses"].rpartition("/")[2] for step in jobs()[job]["steps"] if step.get("uses", "").startswith("$/actions/")}
    for name, commands in asking.items():
        scope, _, level = named(name).permission.partition(": ")
        if scope in {"contents", "actions"} and stages & set(commands):
            assert LEVELS.index(granted.get(scope, "none")) >= LEVELS.index(level), f"{job} asks {named(name).path}"


def test_commands_reach_what_their_stages_ask(asking: dict[str, tuple[str, ...]]) -> None:
    """A few that are known, so that the reading of the code is not believed blindly."""
    assert "watch" in asking["JOBS"]
    assert "plan" in asking["ENVIRONMENT"]
    assert "approve" in asking["DISPATCH"]
    assert "init" in asking["USER"]
    assert "validate" not in {command for commands in asking.values() for command in commands}
