"""Workflow commands, read back as GitHub's runner reads them: no text becomes a command, and what is handed on arrives."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.actions.commands import MASKED_BY_GITHUB, MAX_NOTES, MAX_OUTPUT, Annotation, WorkflowCommands, without_commands
from tests.unit.github import runner
from tests.unit.github.runner import KNOWN, Runner

ROOT = Path(__file__).parents[4]
Said = Callable[[WorkflowCommands], object]


class Step:
    """A step of a job, with files of its own."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.stream = io.StringIO()
        self.output, self.shown = folder / "output", folder / "summary"
        files = {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": str(self.output), "GITHUB_STEP_SUMMARY": str(self.shown)}
        self.flow = WorkflowCommands(files | environ, self.stream)

    @property
    def log(self) -> Runner:
        return Runner().read(self.stream.getvalue())

    @property
    def outputs(self) -> dict[str, str]:
        return runner.outputs(self.output.read_bytes().decode()) if self.output.exists() else {}

    @property
    def summary(self) -> str:
        return self.shown.read_text(encoding="utf-8") if self.shown.exists() else ""


@pytest.fixture
def step(tmp_path: Path) -> Step:
    return Step(tmp_path)


hostile = st.lists(
    st.text()
    | st.sampled_from(["\n", "\r", "\r\n", "::", "##[", "]", "%", "%0A", "%25", ",", "=", " ", "\u00a0", "\u2028"])
    | st.sampled_from(sorted(KNOWN)),
    max_size=8,
).map("".join)


# --------------------------------------------------------------------------------------------------- annotations


@example("::add-mask::prod", "a\n::set-output name=x::y")
@example("a, file=b::c", "%0A::error::x")
@given(hostile, hostile)
def test_an_annotation_is_one_command_whatever_the_text(title: str, message: str) -> None:
    stream = io.StringIO()
    WorkflowCommands({"GITHUB_ACTIONS": "true"}, stream).annotate("error", title, message)
    read = Runner().read(stream.getvalue())
    (command,) = read.commands
    assert (command.name, list(command.properties), read.log) == ("error", ["title"], [])
    # The runner takes white space away from both ends of what it splits.
    assert command.properties["title"].rstrip() == title[:200].rstrip()
    assert command.data.rstrip() == message[:4000].rstrip()


def test_up_to_ten_of_a_level_are_shown(step: Step) -> None:
    step.flow.notes([Annotation("warning", f"w{n}", "m") for n in range(10)] + [Annotation("error", "e", "m")])
    assert [command.name for command in step.log.commands] == ["error", *["warning"] * 10]


@given(st.lists(st.integers(-5, 5), min_size=11, max_size=40))
def test_of_too_many_the_worst_are_shown_and_the_rest_is_counted(weights: list[int]) -> None:
    stream = io.StringIO()
    flow = WorkflowCommands({"GITHUB_ACTIONS": "true"}, stream)
    flow.notes([Annotation("error", f"{weight}", "m", weight) for weight in weights])
    titles = [command.properties["title"] for command in Runner().read(stream.getvalue()).commands]
    assert titles == [str(weight) for weight in sorted(weights, reverse=True)[:9]] + [f"and {len(weights) - 9} more in the summary"]


def test_ten_are_for_the_whole_step(step: Step) -> None:
    """GitHub would keep the first ten and drop the others without a word."""
    for number in range(8):
        step.flow.annotate("notice", f"n{number}", "m")
    step.flow.notes([Annotation("notice", "a", "1"), Annotation("notice", "b", "2", 5), Annotation("notice", "c", "3")])
    step.flow.annotate("notice", "late", "m")
    step.flow.annotate("error", "of another level", "m")
    titles = [command.properties["title"] for command in step.log.commands]
    assert titles[8:] == ["b", "and 2 more in the summary", "of another level"]
    assert len(step.log.of("notice")) == MAX_NOTES


# ----------------------------------------------------------------------------------------------------------- log


@example("##[add-mask]prod")
@example("  ::stop-commands::x")
@example("a\r\u00a0::error::b")
@example("###[[error]]")
@given(hostile)
def test_no_plain_text_is_a_command(text: str) -> None:
    assert Runner().read(without_commands(text)).commands == []


@given(st.text(st.characters(exclude_characters=":#")))
def test_plain_text_without_commands_stays_as_it_is(text: str) -> None:
    assert without_commands(text) == text


@given(hostile)
def test_a_group_is_one_command_and_ends(title: str) -> None:
    stream = io.StringIO()
    flow = WorkflowCommands({"GITHUB_ACTIONS": "true"}, stream)
    with flow.group(title):
        stream.write("inside\n")
    read = Runner().read(stream.getvalue())
    assert [(command.name, command.data.rstrip()) for command in read.commands] == [("group", title[:200].rstrip()), ("endgroup", "")]
    assert read.log == ["inside"]


# ------------------------------------------------------------------------------------------------------- outputs

values = st.text(st.characters(exclude_categories=["Cc", "Cs"], include_characters="\n\t")) | st.sampled_from(
    ["a\nb<<c\n", "\n", "x=y", "end"]
)


@given(st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,20}", fullmatch=True), values, max_size=4))
def test_outputs_arrive_as_they_were_given(given_values: dict[str, str]) -> None:
    with TemporaryDirectory() as folder:
        step = Step(Path(folder))
        step.flow.outputs(given_values)
        assert step.outputs == given_values


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a<<b", "1a", "a\nb", "ä", "a.b", "-a", "a" * 101], ids=lambda name: repr(name[:8]))
def test_a_name_that_github_cannot_carry(name: str, step: Step) -> None:
    with pytest.raises(Refusal) as caught:
        step.flow.outputs({"fine": "x", name: "y"})
    assert (caught.value.gate, caught.value.exit_code) == ("workflow.output", Exit.USAGE)
    assert step.outputs == {}, "all or none"


@pytest.mark.parametrize("value", ["a\0b", "a\rb", "\x1b[31m", "\x7f", "\ud800"])
def test_a_value_with_control_characters_is_refused_by_name(value: str, step: Step) -> None:
    with pytest.raises(Refusal) as caught:
        step.flow.outputs({"plan": value})
    assert caught.value.found.startswith("plan, U+")
    assert step.outputs == {}


def test_outputs_are_not_larger_than_github_carries(step: Step) -> None:
    step.flow.outputs({"plan": "x" * (MAX_OUTPUT // 2)})
    for too_large in ({"a": "x" * (MAX_OUTPUT // 2 + 1)}, {"a": "x" * (MAX_OUTPUT // 4), "b": "x" * (MAX_OUTPUT // 4 + 1)}):
        with pytest.raises(Refusal) as caught:
            step.flow.outputs(too_large)
        assert caught.value.reason == "outputs larger than GitHub carries"
    assert list(step.outputs) == ["plan"]


@pytest.mark.parametrize("given_values", [{}, {"digest": ""}, {"plan": "x"}])
def test_an_output_that_is_needed_is_not_empty(given_values: dict[str, str], step: Step) -> None:
    with pytest.raises(Refusal) as caught:
        step.flow.outputs(given_values, required={"digest"})
    assert caught.value.lines() == [
        "REFUSED workflow.output (exit 2): an output that the next jobs need is empty",
        "  found    digest",
        "  expected a value",
        "  fix      this is a defect: report it",
    ]
    assert step.outputs == {}


def test_an_output_that_the_runner_would_drop_is_refused_by_name(tmp_path: Path) -> None:
    step = Step(tmp_path, DR_TOKEN="s3cret-canary-51")
    with pytest.raises(Refusal) as caught:
        step.flow.outputs({"outcome": "PLANNED", "title": "Recover s3cret-canary-51"})
    assert caught.value.lines() == [
        "REFUSED workflow.output (exit 8): an output holds a value that is masked",
        "  found    title of 24 characters",
        "  expected a handle; secrets never travel by outputs, and the runner would empty this one without an error",
        "  fix      see which secret of the repository equals a part of it, and give it another value",
    ]
    assert step.outputs == {}


@pytest.mark.parametrize("name", MASKED_BY_GITHUB)
def test_what_the_runner_masks_by_itself_is_known(name: str, tmp_path: Path) -> None:
    step = Step(tmp_path, **{name: "ghs_canary-token-19"})
    with pytest.raises(Refusal) as caught:
        step.flow.outputs({"remote": "https://x:ghs_canary-token-19@github.com"})
    assert "canary" not in "\n".join(caught.value.lines())


masks = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=8, max_size=20) | st.sampled_from(
    ["pass\"word'<&>", "a/b+c=d e%f", "ünïcödé-secret", '"quoted-secret"']
)


@given(masks, st.data())
def test_no_output_is_dropped_silently(mask: str, data: st.DataObject) -> None:
    """Whatever the runner would drop, encodings included, was refused before; and what was not refused arrives."""
    disguise = data.draw(st.sampled_from(sorted(runner._encodings(mask))))
    value = data.draw(values) + data.draw(st.sampled_from([disguise, mask, mask[:4], ""])) + data.draw(values)
    with TemporaryDirectory() as folder:
        step = Step(Path(folder), DR_TOKEN=mask)
        try:
            step.flow.outputs({"plan": value})
        except Refusal:
            arrived = False
        else:
            arrived = not runner.dropped(step.outputs["plan"], [mask])
            assert arrived
        if disguise in value:
            assert not arrived


# ------------------------------------------------------------------------------------------------- outside GitHub


@pytest.mark.parametrize(
    "said",
    [
        lambda flow: flow.annotate("error", "a", "b"),
        lambda flow: flow.outputs({"not a name": "b"}, required={"c"}),
        lambda flow: flow.summary("text"),
        lambda flow: flow.group("a").__enter__(),
    ],
)
def test_nothing_is_said_outside_github(said: Said, capfd: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    said(WorkflowCommands({}, stream))
    said(WorkflowCommands({}))
    assert (stream.getvalue(), *capfd.readouterr()) == ("", "", "")


def test_a_job_shows_the_summaries_of_twenty_steps() -> None:
    """GitHub shows no more of a job; none of ours has more steps."""
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
        assert {name: len(job.get("steps", [])) for name, job in jobs.items() if len(job.get("steps", [])) > 20} == {}, path.name
