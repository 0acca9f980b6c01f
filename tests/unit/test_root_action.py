"""The root `action.yml`: every input reaches its command through the environment, every output is one that a command sets."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from hyops_ci.cli import dispatch, evidence
from hyops_ci.cli.app import COMMANDS

ROOT = Path(__file__).parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
PLAN: dict[str, Any] = yaml.safe_load((ROOT / "actions" / "plan" / "action.yml").read_text())
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
SETUP = (ROOT / "actions" / "setup" / "setup.sh").read_text()
READ_ELSEWHERE = {"DR_TOKEN", "DR_COMMAND"}
"""By `cli/connect.py`, and by `hyops-ci dispatch` itself."""


def command_of(step: dict[str, Any]) -> click.Command:
    """The command that a step runs."""
    found = re.fullmatch(r"exec hyops-ci ([a-z -]+)", step["run"])
    assert found
    words = found[1].split()
    command: click.Command = importlib.import_module(f"hyops_ci.cli.{COMMANDS[words[0]][0]}").command
    for word in words[1:]:
        assert isinstance(command, click.Group)
        command = command.commands[word]
    return command


def test_every_input_is_used_and_arrives_by_the_environment_alone() -> None:
    used = [name for step in STEPS for value in step["env"].values() for name in re.findall(r"^\$\{\{ inputs\.(\w+) \}\}$", value)]
    assert sorted(set(used) | {"command"}) == sorted(ACTION["inputs"])
    assert [step["run"] for step in STEPS if "${{" in step["run"]] == []
    for step in STEPS:
        for name, value in step["env"].items():
            assert value == f"${{{{ inputs.{name.removeprefix('DR_').lower()} }}}}"


@pytest.mark.parametrize("step", STEPS[1:], ids=lambda step: step["id"])
def test_what_a_step_is_given_its_command_reads(step: dict[str, Any]) -> None:
    read = {parameter.envvar for parameter in command_of(step).params if parameter.envvar}
    assert set(step["env"]) - READ_ELSEWHERE <= read


def test_setup_reads_what_it_is_given() -> None:
    assert STEPS[0]["run"] == 'exec bash "$GITHUB_ACTION_PATH/actions/setup/setup.sh"'
    assert [name for name in STEPS[0]["env"] if f"${{{name}:-" not in SETUP] == []


def test_each_command_has_one_step_and_any_other_word_is_refused_by_dispatch() -> None:
    conditions = {step["id"]: step["if"] for step in STEPS[1:]}
    assert conditions == {
        "plan": "inputs.command == 'plan'",
        "verify": "inputs.command == 'verify'",
        "dispatch": "inputs.command != 'plan' && inputs.command != 'verify'",
    }
    assert "DR_COMMAND" in STEPS[-1]["env"]


def test_outputs_of_plan_are_those_of_the_plan_action() -> None:
    ours = {name for name, each in ACTION["outputs"].items() if "steps.plan.outputs." in each["value"]}
    assert ours == set(PLAN["outputs"])


@pytest.mark.parametrize(("step", "sets"), [("dispatch", dispatch._set), ("verify", evidence.command.commands["verify"].callback)])
def test_outputs_of_a_step_are_set_by_its_command(step: str, sets: Any) -> None:
    names = {name for each in ACTION["outputs"].values() for name in re.findall(rf"steps\.{step}\.outputs\.(\w+)", each["value"])}
    assert names
    assert [name for name in names if f'"{name}"' not in inspect.getsource(sets)] == []


def test_an_output_carries_the_name_that_it_has_inside() -> None:
    for name, each in ACTION["outputs"].items():
        assert set(re.findall(r"steps\.\w+\.outputs\.(\w+)", each["value"])) == {name}


def test_the_marketplace_shows_it() -> None:
    assert len(ACTION["description"]) <= 125
    assert set(ACTION["branding"]) == {"icon", "color"}
