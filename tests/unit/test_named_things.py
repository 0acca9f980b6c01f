"""What a text, a page or a refusal names is there: inputs and actions of the form, files. Commands: test_printed_commands.py."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from hyops_ci.github.actions.workflow_file import dispatch_inputs, read_workflow
from tests.unit.test_house import tracked

ROOT = Path(__file__).parents[2]
TOLD = [
    path
    for path in tracked()
    if (path.startswith(("docs/", "actions/", "workflows-templates/", ".github/workflows/")) or "/" not in path)
    and re.search(r"\.(md|ya?ml|sh)$|^dev$", path)
]
CODE = [path for path in tracked() if path.startswith("hyops_ci/") and path.endswith(".py")]
INPUT: Final = re.compile(r"-f ([a-z_]+)=(\S*)")
ACTION: Final = re.compile(r"\baction=([a-z]+)|`action: ([a-z]+)`")
FILE: Final = re.compile(r"(?<![\w./-])((?:schemas|actions|workflows-templates|requirements)/[\w./-]+\.\w+)")
FORM = dispatch_inputs(read_workflow((ROOT / "workflows-templates/dr-manual.yml").read_bytes(), "dr-manual.yml")) or {}
BY_HAND: Final = frozenset({"burst", "hold"})
"""Actions that a decision or a shell may name, and no form offers."""


def spoken(path: str) -> Iterator[str]:
    """Every text of a module that may be shown: each string, a place that is filled spelled `x`; a whole page as it is."""
    text = (ROOT / path).read_text("utf-8")
    if not path.endswith(".py"):
        yield text
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(each.value) if isinstance(each, ast.Constant) else "x" for each in node.values)


def wrong_inputs(text: str) -> Iterator[str]:
    """Yield inputs of the form, and actions, that there are not."""
    for line in text.replace("\\\n", " ").splitlines():
        if "gh workflow run" in line:
            for name, value in INPUT.findall(line):
                if name not in FORM:
                    yield f"-f {name}: the form has no such input"
                elif FORM[name].options and re.fullmatch("[a-z-]+", value) and value not in FORM[name].options and name != "service":
                    yield f"-f {name}={value}: the form does not offer it"
    for action in ("".join(each) for each in ACTION.findall(text)):
        if action not in {*FORM["action"].options, *BY_HAND, "choice", "x", "empty", "destroy"}:  # the last is HyOps' own word
            yield f"action {action}: there is none"


def wrong_files(text: str) -> Iterator[str]:
    """Yield files of the project that are not there."""
    yield from (f"{name} is not there" for name in FILE.findall(text) if not (ROOT / name).exists())


@pytest.mark.parametrize("path", [*TOLD, *CODE])
def test_what_is_named_is_there(path: str) -> None:
    wrong = [each for text in spoken(path) for each in (*wrong_inputs(text), *wrong_files(text))]
    assert wrong == []


def test_enough_is_found() -> None:
    texts = [text for path in (*TOLD, *CODE) for text in spoken(path)]
    assert sum(len(INPUT.findall(text)) for text in texts) > 15
    assert sum(len(FILE.findall(text)) for text in texts) > 20


@pytest.mark.parametrize(
    "text",
    [
        "gh workflow run dr.yml -f action=repair -f service=x",
        "gh workflow run dr.yml -f wish=failover",
        "start it with `action: mend`",
        "write it (schemas/no-such.v1.schema.json)",
    ],
)
def test_what_is_not_there_is_found(text: str) -> None:
    assert [*wrong_inputs(text), *wrong_files(text)]
