"""Summaries: foreign text stays in its fence, the worst comes first, and there is never more than GitHub shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.github.actions.commands import WorkflowCommands
from hyops_ci.github.actions.summary import MAX_SUMMARY_BYTES, SummaryPart, assemble
from hyops_ci.text import fenced
from tests.unit.github.actions.test_commands import Step
from tests.unit.test_text import backticks, blocks

parts = st.builds(
    SummaryPart,
    st.lists(backticks.map(fenced) | st.text(st.characters(exclude_characters="`\r")), max_size=4).map("\n".join),
    st.integers(0, 3),
)


@given(st.lists(parts, max_size=6), st.integers(0, 400))
def test_never_more_than_there_is_room_for_and_no_fence_stays_open(given_parts: list[SummaryPart], room: int) -> None:
    text = assemble(given_parts, room)
    assert len(text.encode("utf-8", "replace")) <= room
    blocks(text)


def test_the_worst_comes_first_and_equals_stay_in_order() -> None:
    given_parts = [SummaryPart("fine", 0), SummaryPart("also fine", 0), SummaryPart("failed", 9), SummaryPart("deviation", 5)]
    assert assemble(given_parts, 1000) == "failed\n\ndeviation\n\nfine\n\nalso fine\n\n"


def test_what_finds_no_room_is_counted() -> None:
    given_parts = [SummaryPart("x" * 500, 1), SummaryPart("failed", 9), SummaryPart("y" * 20, 0), SummaryPart("z" * 600, 0)]
    assert assemble(given_parts, 100) == f"failed\n\n{'y' * 20}\n\n(2 more in the evidence)\n\n"


def test_a_text_that_is_too_long_is_cut_at_a_line_end_and_its_fence_closed() -> None:
    text = assemble([SummaryPart(fenced("a line of the log\n" * 50))], 200)
    assert text.startswith("```text\na line of the log\n")
    assert text.endswith("a line of the log\n```\n\n(cut here: the rest is in the evidence)\n\n")
    assert len(text) <= 200


@pytest.mark.parametrize("writes", [1, 3])
def test_a_step_that_writes_often_stays_within_the_limit(writes: int, tmp_path: Path) -> None:
    step = Step(tmp_path)
    for _ in range(writes):
        step.flow.summary("ü" * 99 + "\n" + "line of the summary\n" * 40_000)
    assert len(step.summary.encode()) <= MAX_SUMMARY_BYTES
    assert "(cut here: the rest is in the evidence)" in step.summary if writes > 1 else step.summary.endswith("summary\n\n")


def test_parts_of_a_summary(tmp_path: Path) -> None:
    step = Step(tmp_path)
    step.flow.summary([SummaryPart("fine"), SummaryPart("failed", 1)])
    assert step.summary == "failed\n\nfine\n\n"


def test_text_that_utf8_cannot_carry_does_not_stop_a_run(tmp_path: Path) -> None:
    step = Step(tmp_path)
    step.flow.summary("a\ud800b")
    assert step.summary == "a?b\n\n"


def test_without_a_file_there_is_no_summary() -> None:
    WorkflowCommands({"GITHUB_ACTIONS": "true"}).summary("x")
