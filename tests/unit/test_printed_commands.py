"""Every `hyops-ci` command that a page or a text of the program names is there, with the options that it is given."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

import hyops_ci
from hyops_ci.cli import runner
from hyops_ci.cli.app import COMMANDS, cli
from hyops_ci.operations import pages
from tests.e2e.test_other_systems import LAPTOP
from tests.unit.test_house import tracked

ROOT = Path(__file__).parents[2]
PACKAGE = Path(hyops_ci.__file__).parent
PAGES = [path for path in tracked() if path.endswith(".md") and path.split("/")[0] in {"docs", path} and path != "CHANGELOG.md"]
COMMAND = re.compile(r"(^ *|`)?hyops-ci ([a-z-]+[^`;\n]*)", re.M)


def named(text: str) -> Iterator[str]:
    """Yield what follows `hyops-ci` wherever a text names a command, up to the end of the span, line or clause.

    Within a sentence (`what hyops-ci itself reads`) only a word that is a command begins one.
    """
    for found in COMMAND.finditer(re.sub(r"\s*\\\n\s*", " ", text)):
        if found[1] is not None or found[2].split()[0] in COMMANDS:
            yield found[2]


@cache
def of(words: tuple[str, ...]) -> click.Command | None:
    command: click.Command | None = cli
    for word in words:
        command = command.get_command(click.Context(command), word) if isinstance(command, click.Group) else None
    return command


def wrong(said: str) -> str:
    """Return what is wrong with a command as it is named, or nothing."""
    words = [word.strip(".,:()'\"|") for word in said.partition(" #")[0].split()]
    path: tuple[str, ...] = ()
    while words and re.fullmatch(r"[a-z][a-z-]*", words[0]) and isinstance(of(path), click.Group):
        path, words = (*path, words[0]), words[1:]
        if of(path) is None:
            return f"no command {' '.join(path)}"
    command = of(path)
    assert command is not None
    known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {"--help", "--version"}
    unknown = [word for word in words if re.match(r"--[a-z]", word) and word.partition("=")[0] not in known]
    if path == ("docs",) and words and re.fullmatch(r"[a-z-]+(\.[a-z-]+)*", words[0]):
        pages.page(words[0])
    return f"{' '.join(path)} has no {', '.join(unknown)}" if unknown else ""


def left_out(said: str) -> str:
    """Return the options without which a command as it is named ends as wrong usage, or nothing."""
    words = said.partition(" #")[0].split()
    path: tuple[str, ...] = ()
    while words and isinstance(of(path), click.Group):
        path, words = (*path, words[0].strip(".,:()'\"|")), words[1:]
    command = of(path)
    given = {word.partition("=")[0] for word in words}
    needed = (
        [each for each in command.params if isinstance(each, click.Option) and each.required and not callable(each.default)]
        if command
        else []
    )
    lacks = [each.opts[0] for each in needed if not given & {*each.opts}]
    return f"{' '.join(path)} needs {', '.join(lacks)}" if lacks else ""


@pytest.mark.parametrize("path", PAGES)
def test_commands_of_a_page_are_there(path: str) -> None:
    assert [found for said in named((ROOT / path).read_text("utf-8")) if (found := wrong(said))] == []


def test_a_command_that_the_program_prints_has_what_it_needs() -> None:
    """In docstrings a command is named; in any other text it is printed, and pasted."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
                found += [
                    f"{path.relative_to(PACKAGE)}:{node.lineno}: {why}" for said in named(node.value) for why in [left_out(said)] if why
                ]
    assert found == []


def test_a_command_without_what_it_needs_is_seen() -> None:
    assert left_out("ledger settle") == "ledger settle needs --serves, --reason, --key"
    assert left_out("ledger settle --serves <site> --reason x --key <file>") == left_out("doctor") == left_out("ledger show") == ""


def test_commands_that_the_program_names_are_there() -> None:
    found, seen = [], 0
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for said in named(node.value):
                    seen += 1
                    found += [f"{path.relative_to(PACKAGE)}: {why}" for why in [wrong(said)] if why]
    assert seen > 60
    assert found == []


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("ledger mend --remote x", "no command ledger mend"),
        ("ledger show --remot x", "ledger show has no --remot"),
        ("doctor --ledger=x, then", ""),
        ("approve --request FILE shows the plan", ""),
        ("lock --all", "no command lock"),
    ],
)
def test_what_is_not_there_is_found(said: str, why: str) -> None:
    assert wrong(said) == why


def test_the_page_of_the_installation_says_what_works_where() -> None:
    page = (ROOT / "docs" / "install.md").read_text("utf-8").partition("## What works where")[2]
    _, everywhere, linux, *_ = (line for line in page.splitlines() if line.startswith("| "))
    assert set(re.findall(r"`runner ([a-z]+)`", page)) == set(runner.command.commands)
    portable = {name.partition(" ")[0] for name in re.findall(r"`([a-z -]+)`", everywhere)}
    assert portable == {*LAPTOP, "runner"}
    assert {name.partition(" ")[0] for name in re.findall(r"`([a-z -]+)`", linux)} - {"runner"} == set(COMMANDS) - portable
