"""Summaries: there is never more than GitHub shows, and what is left out is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.github.actions.commands import WorkflowCommands
from hyops_ci.github.actions.summary import MAX_SUMMARY_BYTES, cut_to
from tests.unit.github.actions.test_commands import Step


@given(st.text(), st.integers(-50, 400))
def test_never_more_than_there_is_room_for(text: str, room: int) -> None:
    assert len(cut_to(room, text).encode()) <= max(0, room)


@given(st.lists(st.text(st.characters(exclude_characters="\n")), min_size=1, max_size=30), st.integers(0, 400))
def test_a_text_is_whole_or_cut_between_lines(lines: list[str], room: int) -> None:
    whole = cut_to(10_000, "\n".join(lines))
    text = cut_to(room, whole)
    begun, said, _ = text.partition("\n\n(cut here: the rest is in the evidence)\n\n")
    assert text == whole if len(whole.encode()) <= room else not text or said
    assert not begun or whole.startswith(f"{begun}\n") or begun == whole


def test_a_text_that_is_too_long_is_cut_at_a_line_end() -> None:
    text = cut_to(200, "a line of the log\n" * 50)
    assert text.endswith("a line of the log\n\n(cut here: the rest is in the evidence)\n\n")
    assert 180 < len(text) <= 200


@pytest.mark.parametrize("writes", [1, 3])
def test_a_step_that_writes_often_stays_within_the_limit(writes: int, tmp_path: Path) -> None:
    step = Step(tmp_path)
    for _ in range(writes):
        step.flow.summary("ü" * 99 + "\n" + "line of the summary\n" * 40_000)
    assert len(step.summary.encode()) <= MAX_SUMMARY_BYTES
    assert "(cut here: the rest is in the evidence)" in step.summary if writes > 1 else step.summary.endswith("summary\n\n")


def test_text_that_utf8_cannot_carry_does_not_stop_a_run(tmp_path: Path) -> None:
    step = Step(tmp_path)
    step.flow.summary("a\ud800b")
    assert step.summary == "a?b\n\n"


def test_without_a_file_there_is_no_summary() -> None:
    WorkflowCommands({"GITHUB_ACTIONS": "true"}).summary("x")
