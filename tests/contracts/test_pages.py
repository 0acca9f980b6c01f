"""README, documentation and templates show only workflows, actions, inputs, secrets, outputs and permissions that exist."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from functools import cache

import pytest
import yaml

from hyops_ci.github.actions.workflow_file import mapping
from hyops_ci.parsing.yaml_loader import Yaml12Loader, YamlError, load
from tests.contracts.declared import LEVELS, OURS, ROOT, actions, asked, called_by, expressions, templates, workflows
from tests.unit.test_house import tracked

PAGES = [path for path in tracked() if path.endswith(".md") and path.split("/")[0] in {"docs", path} and path != "CHANGELOG.md"]
USES = re.compile(rf"(?<![\w/]){OURS}(?:/([\w./-]+?))?@")


def blocks(text: str) -> Iterator[str]:
    """Code of a page, fenced or indented, one block at a time."""
    yield from re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
    for indented in re.findall(r"(?:^    .*\n(?:\n(?=    ))?)+", text, re.M):
        yield textwrap.dedent(indented)


@cache
def calls(path: str) -> list[dict[str, object]]:
    """Every job or step of a page that uses something of ours."""
    found = []
    for block in blocks((ROOT / path).read_text("utf-8")):
        if f"{OURS}" in block and "uses:" in block:
            try:
                document = load(block.encode(), Yaml12Loader)
            except YamlError as error:
                raise AssertionError(f"{path}: {error} in\n{block}") from None
            found += list(calling(document))
    return found


def calling(value: object) -> Iterator[dict[str, object]]:
    """Every mapping with a `uses` of ours."""
    if isinstance(value, dict):
        if str(value.get("uses", "")).startswith(OURS):
            yield value
        for each in value.values():
            yield from calling(each)
    elif isinstance(value, list):
        for each in value:
            yield from calling(each)


def test_calls_were_found() -> None:
    assert sum(len(calls(path)) for path in PAGES) >= 2


@pytest.mark.parametrize("path", PAGES)
def test_a_page_calls_what_is_there_with_what_it_takes(path: str) -> None:
    for call in calls(path):
        callee = called_by(call["uses"])
        assert callee is not None
        assert set(mapping(call.get("with"))) <= set(callee.fields("inputs")), call["uses"]
        assert set(mapping(call.get("secrets"))) <= set(callee.fields("secrets")), call["uses"]
        if "permissions" in call and callee.jobs:
            granted = mapping(call["permissions"])
            assert {name: level for name, level in asked(callee).items() if LEVELS[str(granted.get(name))] < LEVELS[level]} == {}


@pytest.mark.parametrize("path", [*PAGES, *(f"workflows-templates/{name}" for name in templates())])
def test_a_reference_leads_somewhere(path: str) -> None:
    for place in USES.findall((ROOT / path).read_text("utf-8")):
        if place and "<" not in place:
            assert (ROOT / place).is_file() or (ROOT / place / "action.yml").is_file(), f"{path}: {place}"


def test_the_table_of_what_callers_use_names_every_workflow_and_action() -> None:
    text = (ROOT / "docs/design/workflows.md").read_text("utf-8")
    table = text[text.index("## 1. ") : text.index("## 2. ")]
    assert [name for name in workflows() if f"`uses: {OURS}/.github/workflows/{name}@" not in table] == []
    row = next(line for line in table.splitlines() if "`actions/setup`" in line).replace("actions/", "")
    inside = ("runner", "readiness")  # of a workflow alone
    assert [name for name in actions() if name and name not in inside and f"`{name}`" not in row] == []


@pytest.mark.parametrize("name", templates())
def test_a_template_answers_with_outputs_that_are_there(name: str) -> None:
    jobs = templates()[name]["jobs"]
    for place, output in re.findall(r"needs\.([\w-]+)\.outputs\.(\w+)", " ".join(expressions(jobs))):
        callee = called_by(jobs[place].get("uses"))
        assert callee is None or output in callee.fields("outputs"), f"{name}: {place} has no {output}"
        assert callee is not None or output in mapping(jobs[place].get("outputs")), f"{name}: {place} has no {output}"


@pytest.mark.parametrize("name", templates())
def test_a_template_is_a_short_caller(name: str) -> None:
    text = (ROOT / "workflows-templates" / name).read_text("utf-8")
    assert 20 <= text.count("\n") <= 45
    assert yaml.safe_load(text)["permissions"] == {}
