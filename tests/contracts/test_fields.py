"""Inputs, secrets and outputs: each is described and typed, each that is declared is used, and each that is used is declared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hyops_ci.github.actions.workflow_file import mapping
from tests.contracts.declared import (
    ROOT,
    Declared,
    actions,
    called_by,
    commands_of,
    everything,
    expressions,
    read,
    templates,
    texts,
    used,
    workflows,
)

CODE = [path.read_text("utf-8") for path in sorted((ROOT / "hyops_ci").rglob("*.py"))]
SETUP = (ROOT / "actions/setup/setup.sh").read_text("utf-8")
TESTS = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "tests").rglob("*.py")) if path.parent != Path(__file__).parent)
each_of_ours = pytest.mark.parametrize("declared", everything(), ids=lambda each: each.name)
each_workflow = pytest.mark.parametrize("declared", workflows().values(), ids=lambda each: each.name)
each_action = pytest.mark.parametrize("declared", actions().values(), ids=lambda each: each.name)


def test_they_were_found() -> None:
    assert set(workflows()) >= {"dispatch.yml", "drill.yml", "runner.yml", "readiness.yml"}
    assert set(actions()) >= {"", "setup", "plan", "check", "ensure-runner", "execute", "watch", "conclude", "drill", "runner", "readiness"}
    assert set(templates()) >= {f"dr-{name}.yml" for name in ("alert", "board", "decision", "drill", "manual", "readiness", "runner")}


@each_of_ours
def test_everything_is_described_and_stands_in_the_docs(declared: Declared) -> None:
    page = (ROOT / "docs/actions.md").read_text("utf-8")
    title = "## action.yml " if declared.name == "action.yml" else f"## {declared.name.removesuffix('/action.yml')}\n"
    section = page[page.index(title) :].partition("\n## ")[0]
    for kind in ("inputs", "secrets", "outputs"):
        for name, each in declared.fields(kind).items():
            assert str(each.get("description", "")).strip().endswith((".", ")")), f"{kind} {name}: a sentence says what it is"
            assert f"| `{name}` | {each['description']} |" in section, name


@each_workflow
def test_a_workflows_input_has_a_type_and_a_default_of_it(declared: Declared) -> None:
    python = {"string": str, "boolean": bool, "number": int | float}
    for name, each in declared.fields("inputs").items():
        assert each.get("type") in python, name
        assert each.get("required") is True or isinstance(each.get("default"), python[each["type"]]), f"{name}: required, or a default"


@each_action
def test_an_actions_input_is_required_or_has_a_default_of_text(declared: Declared) -> None:
    for name, each in declared.fields("inputs").items():
        assert each.get("required") is True or isinstance(each.get("default"), str), name
        assert not (each.get("required") and "default" in each), name


@each_of_ours
def test_what_is_declared_is_used_and_what_is_used_is_declared(declared: Declared) -> None:
    for kind in ("inputs", "secrets"):
        assert used(declared.body(), kind) == set(declared.fields(kind)), kind


@each_of_ours
def test_an_output_comes_from_a_step_or_job_that_has_it(declared: Declared) -> None:
    for name, each in declared.fields("outputs").items():
        sources = re.findall(r"(steps|jobs)\.([\w-]+)\.outputs\.(\w+)", str(each.get("value")))
        assert sources, f"{name}: {each.get('value')}"
        for kind, place, output in sources:
            if kind == "jobs":
                behind = called_by(declared.jobs[place].get("uses"))
                has = behind.fields("outputs") if behind else mapping(declared.jobs[place].get("outputs"))
                assert output in has, f"{name}: {place} has no {output}"
            else:
                assert place in {step.get("id") for step in declared.steps}, f"{name}: no step {place}"


@each_workflow
def test_jobs_and_steps_are_asked_for_what_they_have(declared: Declared) -> None:
    for job_name, job in declared.jobs.items():
        of_steps = {str(step["id"]): called_by(step.get("uses")) for step in job.get("steps", ()) if "id" in step}
        for place, output in re.findall(r"steps\.([\w-]+)\.outputs\.(\w+)", " ".join(expressions(job))):
            action = of_steps[place]
            assert action is None or output in action.fields("outputs"), f"{job_name}: {action.name} has no output {output}"
        needs = [job["needs"]] if isinstance(job.get("needs"), str) else list(job.get("needs", ()))
        for place, output in re.findall(r"needs\.([\w-]+)\.outputs\.(\w+)", " ".join(expressions(job))):
            assert place in needs, f"{job_name} does not need {place}"
            behind = called_by(declared.jobs[place].get("uses"))
            has = behind.fields("outputs") if behind else mapping(declared.jobs[place].get("outputs"))
            assert output in has, f"{job_name}: {place} has no output {output}"
        for output in mapping(job.get("outputs")):
            everywhere = [*texts(declared.fields("outputs")), *texts(declared.jobs)]
            assert any(f"{job_name}.outputs.{output}" in text for text in everywhere), f"{job_name}.{output} is asked for by nobody"


@each_workflow
def test_what_is_handed_on_is_taken(declared: Declared) -> None:
    for calling in (*declared.steps, *declared.jobs.values()):
        callee = called_by(calling.get("uses"))
        if callee is None:
            continue
        given = set(mapping(calling.get("with")))
        assert given <= set(callee.fields("inputs")), callee.name
        assert {name for name, each in callee.fields("inputs").items() if each.get("required")} <= given, callee.name
        secrets = mapping(calling.get("secrets"))
        assert set(secrets) <= set(callee.fields("secrets")), callee.name


@each_action
def test_a_command_reads_what_its_step_is_given(declared: Declared) -> None:
    """As its option, or by name in the code or in setup.sh; nothing of an input is put into a command's text."""
    if commands := commands_of(declared):
        options = {str(parameter.envvar) for command in commands for parameter in command.params if parameter.envvar}
    else:
        assert declared.name == "actions/setup/action.yml"
        options = set()
    for step in declared.steps:
        assert "${{" not in str(step.get("run", "")), "text from outside reaches a command through the environment only"
        for variable in mapping(step.get("env")):
            known = variable in options or f"{variable}" in SETUP or any(f'"{variable}"' in text for text in CODE)
            assert known or f"${variable}" in step["run"], f"{declared.name}: nobody reads {variable}"


@each_action
def test_outputs_are_set_by_code(declared: Declared) -> None:
    for name in declared.fields("outputs"):
        assert any(f'"{name}"' in text for text in CODE) or f'"{name}=' in SETUP, f"{declared.name}: nobody sets {name}"


@each_of_ours
def test_every_input_is_given_in_some_test(declared: Declared) -> None:
    """By its name in a call, by its variable, or by the option that its variable is."""
    options = {str(each.envvar): each.opts for command in commands_of(declared) for each in command.params if each.envvar}
    for name in declared.fields("inputs"):
        variable = f"DR_{name.upper()}"
        spellings = {f'"{name}"', f"{name}=", f"{name}:", variable, *(f'"{each}' for each in options.get(variable, ()))}
        assert any(each in TESTS for each in spellings), f"{declared.name}: no test gives {name}"


@each_of_ours
def test_every_output_is_looked_at_in_some_test(declared: Declared) -> None:
    """By its name, as a key of what a step or a run answered."""
    for name in declared.fields("outputs"):
        assert f'"{name}"' in TESTS or f"outputs.{name}" in TESTS, f"{declared.name}: no test looks at {name}"


@each_workflow
def test_every_secret_is_given_in_some_test_or_by_a_template(declared: Declared) -> None:
    handed = {
        name for document in templates().values() for job in mapping(document["jobs"]).values() for name in mapping(job.get("secrets"))
    }
    for name in declared.fields("secrets"):
        assert name in handed or f"DR_{name.upper()}" in TESTS, f"{declared.name}: nobody gives {name}"


@pytest.mark.parametrize("name", templates())
def test_a_templates_form_is_described_typed_and_used(name: str) -> None:
    form = mapping(mapping(mapping(templates()[name]["on"]).get("workflow_dispatch")).get("inputs"))
    body = {key: value for key, value in templates()[name].items() if key != "on"}
    assert used(body, "inputs") == set(form)
    for field, each in form.items():
        assert str(each.get("description", "")).strip(), field
        assert each.get("type") in {"string", "choice", "boolean"}, field
        assert isinstance(each.get("default"), str | bool), f"{field}: a run by an event or a schedule fills in nothing"
        assert each["type"] != "choice" or each["default"] in each["options"], field


def test_a_step_that_others_wrote_is_given_what_it_takes() -> None:
    """Actions of others are not here to be asked; what is given to one of them is the same wherever it is used for the same."""
    given: dict[str, set[str]] = {}
    for path in sorted([*(ROOT / ".github/workflows").glob("*.yml"), *(ROOT / "workflows-templates").glob("*.yml")]):
        for job in mapping(read(path).get("jobs")).values():
            for step in job.get("steps", ()):
                if called_by(step.get("uses")) is None and "uses" in step and not step["uses"].startswith("./"):
                    given.setdefault(step["uses"].partition("@")[0], set()).update(mapping(step.get("with")))
    uploads = {"name", "path", "if-no-files-found", "retention-days", "include-hidden-files", "compression-level"}
    assert given["actions/upload-artifact"] <= uploads
    assert given["actions/download-artifact"] <= {"name", "path", "pattern", "merge-multiple", "run-id", "github-token"}
    assert given["actions/attest"] <= {"subject-path", "subject-checksums", "sbom-path"}
    assert given["actions/checkout"] <= {"persist-credentials", "fetch-depth", "ref", "path"}
    assert given["actions/upload-pages-artifact"] <= {"path", "name", "retention-days", "include-hidden-files"}
    assert given["actions/deploy-pages"] == set()


def test_an_input_that_nobody_reads_is_seen() -> None:
    action = actions()["plan"]
    more = {**action.document, "inputs": {**action.document["inputs"], "idle": {"default": ""}}}
    assert used(Declared("", more, more).body(), "inputs") == set(action.fields("inputs"))
    less = {**action.document, "inputs": {}}
    assert used(Declared("", less, less).body(), "inputs") == set(action.fields("inputs"))


def test_what_is_read_in_a_condition_counts() -> None:
    assert used({"if": "inputs.a != '' && always()", "run": "inputs.b", "with": {"c": "${{ fromJSON(inputs.c)[0] }}"}}, "inputs") == {
        "a",
        "c",
    }
