"""One default for one input, wherever it stands: in a template's form, a workflow, an action and a command."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import get_args

import click
import pytest

from hyops_ci.contracts.runner_machine import BootstrapReason
from hyops_ci.github.actions.workflow_file import dispatch_inputs, mapping
from tests.contracts.declared import ROOT, Declared, actions, called_by, commands_of, read, templates, workflows

SETUP = (ROOT / "actions/setup/setup.sh").read_text("utf-8")


def spelled(value: object) -> str:
    """A default as GitHub hands it on."""
    return {True: "true", False: "false", None: ""}.get(value, str(value)) if isinstance(value, bool | None) else str(value)


def handed_on(document: object) -> Iterator[tuple[Declared, str, str, str | None]]:
    """(callee, its input, the caller's input, what stands in for an empty one) wherever an input is passed on as it is."""
    for job in mapping(mapping(document).get("jobs")).values():
        for calling in (job, *job.get("steps", ())):
            callee = called_by(calling.get("uses"))
            for name, value in mapping(calling.get("with")).items() if callee else ():
                found = re.fullmatch(r"\$\{\{ inputs\.(\w+)(?: \|\| '([^']*)')? \}\}", str(value))
                if callee and found:
                    yield callee, str(name), found[1], found[2]


@pytest.mark.parametrize("workflow", workflows().values(), ids=lambda each: each.name)
def test_what_a_workflow_passes_on_has_the_callees_default(workflow: Declared) -> None:
    for callee, name, own, _ in handed_on(workflow.document):
        if theirs := spelled(callee.fields("inputs")[name].get("default")):
            assert spelled(workflow.fields("inputs")[own].get("default")) == theirs, f"{callee.name}: {name}"


@pytest.mark.parametrize("name", templates())
def test_a_form_starts_with_the_workflows_default(name: str) -> None:
    form = dispatch_inputs(templates()[name]) or {}
    for callee, theirs, own, without in handed_on(templates()[name]):
        default = spelled(callee.fields("inputs")[theirs].get("default"))
        assert form[own].default == default, own
        assert without in (None, default), f"{own}: started by a schedule, it has another default"


@pytest.mark.parametrize("action", actions().values(), ids=lambda each: each.name)
def test_an_action_has_its_commands_default(action: Declared) -> None:
    given = {variable: value for step in action.steps for variable, value in mapping(step.get("env")).items()}
    for command in commands_of(action):
        for parameter in command.params:
            name = str(parameter.envvar or "").removeprefix("DR_").lower()
            each = action.fields("inputs").get(name, {"required": True})
            if each.get("required") or parameter.required or given.get(str(parameter.envvar)) != f"${{{{ inputs.{name} }}}}":
                continue
            if name == "repository":  # the job's own, which a shell does not know
                continue
            flag = isinstance(parameter, click.Option) and parameter.is_flag
            default = "false" if flag else spelled(parameter.default) if isinstance(parameter.default, str | int) else ""
            assert each["default"] == default, f"{action.name}: {name}"


@pytest.mark.parametrize("action", actions().values(), ids=lambda each: each.name)
def test_the_inputs_of_the_setup_are_the_same_everywhere(action: Declared) -> None:
    fields = action.fields("inputs")
    assert fields["index"]["default"] == "allowed"
    assert fields["wheelhouse"]["default"] == ""
    assert "${DR_INDEX:-allowed}" in SETUP
    assert "${DR_WHEELHOUSE:-}" in SETUP


def test_choices_of_a_form_are_values_that_the_command_takes() -> None:
    reasons = set(get_args(BootstrapReason))
    manual = dispatch_inputs(read(ROOT / "workflows-templates/dr-manual.yml")) or {}
    runner = dispatch_inputs(read(ROOT / "workflows-templates/dr-runner.yml")) or {}
    assert set(runner["reason"].options) == reasons
    assert set(manual["bootstrap_reason"].options) == {"", *reasons}
