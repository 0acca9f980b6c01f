"""What a destroy left, for every way in which it may end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.contracts.check import GONE, StateFact
from hyops_ci.execution.grammar import FinalLine, HyOpsLine, StepEvent, StepStatus
from hyops_ci.execution.journal import Ended, JournalView, Stop, Timed
from hyops_ci.execution.removal import Removal, judge_removal

NOW = datetime(2026, 11, 23, 3, 4, 31, tzinfo=UTC)
STEPS = (("a", False), ("kept", True), ("b", False))
WELL: tuple[HyOpsLine, ...] = (
    StepEvent("b", StepStatus.RUNNING),
    StepEvent("b", StepStatus.OK),
    StepEvent("kept", StepStatus.RETAINED),
    StepEvent("a", StepStatus.OK),
    FinalLine("dr/x@v1", "ok", 3),
)
DONE = Ended(rc=0, by_itself=True)
GONE_STATES = {"a": "destroyed", "kept": "ok", "b": "destroyed"}


def judge(
    states: Mapping[str, str] = GONE_STATES, lines: tuple[HyOpsLine, ...] = WELL, ended: Ended | None = DONE, *, full: bool = False
) -> Removal:
    view = JournalView(NOW, 2, 3, tuple(Timed(NOW, line) for line in lines), (), {}, ended, full=full)
    return judge_removal(STEPS, {name: StateFact(ref=f"m#{name}", status=each) for name, each in states.items()}, view, ended, "dr/x@v1")


def test_everything_is_gone_but_what_is_retained() -> None:
    found = judge()
    assert (found.destroyed, found.retained, found.left, found.reason, found.clean) == (("a", "b"), ("kept",), (), "", True)


def test_what_was_never_made_is_not_left_and_was_not_destroyed() -> None:
    lines = (*(line for line in WELL if not (isinstance(line, StepEvent) and line.step == "b")), StepEvent("b", StepStatus.SKIPPED))
    found = judge({"a": "destroyed", "b": "missing"}, lines=(*lines[:-2], lines[-1], WELL[-1]))
    assert (found.destroyed, found.clean) == (("a",), True)


@pytest.mark.parametrize("status", ["ok", "error", "running", "unreadable", "DESTROYED"])
def test_only_the_state_says_that_something_is_gone(status: str) -> None:
    """A module's text can look like HyOps' line of an ok."""
    found = judge({**GONE_STATES, "b": status})
    assert (found.left, found.clean) == ((f"b (ok, state {status})",), False)


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        (None, "HyOps gave no final answer in time"),
        (Ended(rc=None, by_itself=True, error="hyops: No such file"), "HyOps did not start: hyops: No such file"),
        (Ended(rc=-9, by_itself=False), "HyOps was killed by another process (rc -9)"),
        (Ended(rc=-9, by_itself=False, stop=Stop.TIMEOUT), "HyOps was killed at its time limit (rc -9)"),
        (Ended(rc=130, by_itself=True, stop=Stop.CANCEL), "the destroy ended early after a cancel (rc 130)"),
        (Ended(rc=2, by_itself=True), "the destroy ended early (rc 2)"),
    ],
)
def test_an_end_that_is_not_good_is_named(ended: Ended | None, said: str) -> None:
    found = judge(ended=ended)
    assert (found.reason, found.clean, found.at_work) == (said, False, ended is None)


def test_the_step_that_failed_is_named() -> None:
    lines = (StepEvent("b", StepStatus.FAILED, "quota"), FinalLine("dr/x@v1", "failed", 1))
    assert judge(lines=lines, ended=Ended(rc=2, by_itself=True)).reason == "destroy of step b failed: quota (rc 2)"


@pytest.mark.parametrize(
    "final", [(), (FinalLine("dr/y@v1", "ok", 3),), (FinalLine("dr/x@v1", "ok", 2),), (FinalLine("dr/x@v1", "skeleton", None),)]
)
def test_a_good_end_is_that_of_this_blueprint(final: tuple[HyOpsLine, ...]) -> None:
    assert "ended well with another destroy" in judge(lines=(*WELL[:-1], *final)).reason


def test_a_journal_without_room_is_no_proof() -> None:
    assert not judge(full=True).clean


@given(st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["ok", "error", "running", *GONE]), min_size=2), st.booleans())
def test_nothing_is_clean_while_a_state_is_there(states: dict[str, str], well: bool) -> None:
    found = judge({**states, "kept": "ok"}, ended=DONE if well else replace(DONE, rc=1))
    assert found.clean is (well and set(states.values()) <= GONE)
