"""What the workflows and actions of this repository declare: found by glob, read as GitHub reads them."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click

from hyops_ci.cli.app import COMMANDS
from hyops_ci.github.actions.workflow_file import mapping, read_workflow

ROOT = Path(__file__).parents[2]
OURS = "hybridops/dr-dispatch"
LEVELS = {"none": 0, "read": 1, "write": 2}
EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)


@dataclass(frozen=True)
class Declared:
    """A reusable workflow or an action: `name` is its path, `document` the whole of it."""

    name: str
    document: Mapping[str, Any]
    called: Mapping[str, Any]
    """Where `inputs`, `secrets` and `outputs` stand."""

    def fields(self, kind: str) -> dict[str, Mapping[str, Any]]:
        """`inputs`, `secrets` or `outputs` -> what each says of itself."""
        return {str(name): mapping(each) for name, each in mapping(self.called.get(kind)).items()}

    @property
    def jobs(self) -> dict[str, Mapping[str, Any]]:
        return {str(name): mapping(job) for name, job in mapping(self.document.get("jobs")).items()}

    @property
    def steps(self) -> list[Mapping[str, Any]]:
        """Every step, of an action or of all jobs."""
        jobs = [*self.jobs.values(), mapping(self.document.get("runs"))]
        return [mapping(step) for job in jobs for step in job.get("steps") or ()]

    def body(self) -> object:
        """All of it but what it declares of its inputs and secrets."""
        return {key: value for key, value in self.document.items() if key not in ("inputs", "on")} | {"outputs": self.fields("outputs")}


def read(path: Path) -> dict[str, Any]:
    """A YAML file as GitHub reads it."""
    return read_workflow(path.read_bytes(), path.name)


@cache
def workflows() -> dict[str, Declared]:
    """Every workflow that others call: file name -> what it declares."""
    found = {}
    for path in sorted((ROOT / ".github" / "workflows").glob("*.y*ml")):
        document = read(path)
        if "workflow_call" in mapping(document.get("on")):
            found[path.name] = Declared(f".github/workflows/{path.name}", document, mapping(document["on"]["workflow_call"]))
    return found


@cache
def actions() -> dict[str, Declared]:
    """Every action: `plan`, ..., and the empty name for the one at the root."""
    paths = {"": ROOT / "action.yml"} | {path.parent.name: path for path in sorted((ROOT / "actions").glob("*/action.yml"))}
    return {name: Declared(str(path.relative_to(ROOT)), (found := read(path)), found) for name, path in paths.items()}


@cache
def templates() -> dict[str, Mapping[str, Any]]:
    """Every caller to copy: file name -> the whole of it."""
    return {path.name: read(path) for path in sorted((ROOT / "workflows-templates").glob("*.y*ml"))}


def everything() -> list[Declared]:
    """Workflows that others call, and actions."""
    return [*workflows().values(), *actions().values()]


def texts(value: object) -> Iterator[str]:
    """Every text in a document; values of `if`, which GitHub takes for an expression as they are, in the brackets of one."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from (f"${{{{ {text} }}}}" if key == "if" and "${{" not in text else text for text in texts(each))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from texts(each)


def expressions(value: object) -> Iterator[str]:
    """Every expression in a document."""
    for text in texts(value):
        yield from EXPRESSION.findall(text)


def used(value: object, context: str) -> set[str]:
    """The names of a context (`inputs`, `secrets`) that expressions of a document use."""
    return {name for text in expressions(value) for name in re.findall(rf"(?<![\w.]){context}\.([\w-]+)", text)}


def called_by(uses: object) -> Declared | None:
    """The workflow or action of this repository that a `uses:` names, None for anyone else's. Raises KeyError where there is none."""
    found = re.fullmatch(rf"(?:\$|{OURS})(?:/([\w./-]+?))?(?:@.*)?", str(uses or ""))
    if not found:
        return None
    place = found[1] or ""
    if place.startswith(".github/workflows/"):
        return workflows()[place.rpartition("/")[2]]
    return actions()[place.removeprefix("actions/")]


def asked(workflow: Declared) -> dict[str, str]:
    """The sum of what the jobs of a workflow ask for: a caller grants at least this."""
    found: dict[str, str] = {}
    for job in workflow.jobs.values():
        for name, level in mapping(job.get("permissions")).items():
            found[name] = max(found.get(name, "none"), str(level), key=LEVELS.__getitem__)
    return found


def commands_of(action: Declared) -> list[click.Command]:
    """The commands of hyops-ci that the steps of an action become."""
    found = []
    for step in action.steps:
        run = str(step.get("run", ""))
        for said in re.findall(r"exec (?:hyops-ci|bash \S*setup\.sh\") ([a-z][a-z-]*(?: [a-z]+| \"\$\w+\")?)", run):
            words = said.split()
            branches = re.search(r"\n\s*([a-z]+(?: \| [a-z]+)+)\) exec", run)
            rest = branches[1].split(" | ") if branches and words[-1].startswith('"$') else words[1:]
            command: click.Command = importlib.import_module(f"hyops_ci.cli.{COMMANDS[words[0]][0]}").command
            found += [_within(command, word) for word in rest] if rest else [command]
    return found


def _within(command: click.Command, word: str) -> click.Command:
    assert isinstance(command, click.Group)
    found = command.get_command(click.Context(command), word)
    assert found is not None, word
    return found
