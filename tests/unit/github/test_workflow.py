"""Workflow commands cannot be injected into, and stay within GitHub's limits."""

from __future__ import annotations

import io
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.github.workflow import MAX_SUMMARY_BYTES, Workflow


def on_github(tmp_path: Path) -> tuple[Workflow, io.StringIO, Path, Path]:
    output, summary, stream = tmp_path / "output", tmp_path / "summary", io.StringIO()
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary)}
    return Workflow(environ, stream), stream, output, summary


def read_outputs(text: str) -> dict[str, str]:
    """As the runner reads the file: name<<delimiter, lines, delimiter."""
    lines, found = iter(text.split("\n")), {}
    for line in lines:
        if not line:
            continue
        name, _, end = line.partition("<<")
        value = []
        for inner in lines:
            if inner == end:
                break
            value.append(inner)
        found[name] = "\n".join(value)
    return found


@given(st.text(), st.text())
def test_annotation_is_one_command_whatever_the_text(title: str, message: str) -> None:
    stream = io.StringIO()
    Workflow({"GITHUB_ACTIONS": "true"}, stream).annotate("error", title, message)
    printed = stream.getvalue()
    assert printed.count("\n") == 1
    assert printed.startswith("::error title=")
    assert "\r" not in printed


@given(st.text(alphabet=st.characters(blacklist_characters="\r", blacklist_categories=["Cs"])))
def test_output_value_cannot_become_another_output(tmp_path_factory: object, value: str) -> None:
    folder = Path(tmp_path_factory.mktemp("out"))  # type: ignore[attr-defined]
    flow, _, output, _ = on_github(folder)
    flow.outputs({"plan": value, "after": "x"})
    assert read_outputs(output.read_text(encoding="utf-8")) == {"plan": value, "after": "x"}


def test_nothing_is_written_outside_github() -> None:
    stream = io.StringIO()
    flow = Workflow({}, stream)
    flow.annotate("error", "a", "b")
    flow.mask("a long secret value")
    flow.outputs({"a": "b"})
    flow.summary("text")
    assert stream.getvalue() == ""


def test_short_lines_are_not_masked(tmp_path: Path) -> None:
    flow, stream, _, _ = on_github(tmp_path)
    flow.mask("oo\nlong enough line\nroot")
    assert stream.getvalue() == "::add-mask::long enough line\n"


def test_summary_is_cut_at_a_line_end_and_says_so(tmp_path: Path) -> None:
    flow, _, _, summary = on_github(tmp_path)
    flow.summary("ü" * 99 + "\n" + "line of the summary\n" * 100_000)
    text = summary.read_text(encoding="utf-8")
    assert len(text.encode()) < MAX_SUMMARY_BYTES + 100
    assert text.endswith("line of the summary\n\n(cut here: the rest is in the evidence)\n\n")
