"""The rules of `outcome`, one case file per rule in tests/cases/execution/<outcome>/."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.contracts.check import StateFact
from hyops_ci.contracts.plan import PlannedStep, StepClass
from hyops_ci.contracts.run import State, may_follow
from hyops_ci.execution.grammar import FinalLine, HyOpsLine, StepEvent, StepStatus, read_line
from hyops_ci.execution.journal import Ended, Stop
from hyops_ci.execution.outcome import Observed, Outcome, determine_outcome

CASES = Path(__file__).parents[2] / "cases" / "execution"
FOLDERS = ("completed", "failed", "cancelled", "indeterminate")
STARTED = datetime(2026, 11, 24, 10, 14, 30, 777, tzinfo=UTC)
RUN_IDS = {"new": "apply-20261124T101430Z-ebabc3fe", "old": "apply-20260914T101500Z-0badcafe"}


def planned(step_id: str, step_class: str, *, restores: bool = False) -> PlannedStep:
    return PlannedStep(id=step_id, module_ref=f"m/{step_id}", step_class=StepClass(step_class), restores=restores)


def observed(case: dict[str, Any]) -> Observed:
    ended = case["ended"]
    return Observed(
        planned=[planned(step["id"], step["class"], restores=step.get("restores", False)) for step in case["plan"]],
        lines=[event for line in case["stdout"].splitlines() if (event := read_line(line))],
        states={
            step_id: StateFact(ref=f"m/{step_id}", status=text.split()[0], run_id=RUN_IDS[text.split()[1]])
            for step_id, text in case["states"].items()
        },
        started=STARTED,
        ended=None
        if ended is None
        else Ended(
            rc=ended["rc"],
            by_itself=ended.get("by_itself", True),
            stop=Stop(ended.get("stop", "")),
            strays=tuple(ended.get("strays", ())),
            error=ended.get("error", ""),
        ),
        blueprint="dr/pg@v1",
        full=case.get("full", False),
    )


def begun_changes(done: Outcome) -> bool:
    """Whether a step that changes something began."""
    return any(step.begun and step.step_class is not StepClass.READ for step in done.steps)


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=f"{path.parent.name}/{path.stem}") for folder in FOLDERS for path in sorted((CASES / folder).glob("*.yml"))],
)
def test_cases(path: Path) -> None:
    case = yaml.safe_load(path.read_text())
    done = determine_outcome(observed(case))
    assert {
        "state": str(done.state),
        "reason": "; ".join(done.reasons),
        "deviations": list(done.deviations),
        "past_no_return": done.past_no_return,
        "reached": done.reached.id if done.reached else "",
        "changed_something": begun_changes(done),
    } == case["expect"]
    folder = "completed" if done.state is State.COMPLETED_WITH_EXCEPTIONS else str(done.state).lower()
    assert folder == path.parent.name


def test_every_outcome_has_cases() -> None:
    assert all(len(list((CASES / folder).glob("*.yml"))) >= 4 for folder in FOLDERS)


STEPS = [planned("vms", "mutate"), planned("restore", "mutate", restores=True), planned("dns", "commit"), planned("status", "read")]
names = st.sampled_from([step.id for step in STEPS] * 5 + ["stranger"])
lines: st.SearchStrategy[HyOpsLine] = st.one_of(
    st.builds(StepEvent, names, st.sampled_from(StepStatus), reason=st.text(max_size=5)),
    st.builds(FinalLine, st.just("dr/pg@v1"), st.sampled_from(["ok", "failed", "cancelled", "skeleton"]), st.integers(0, 6)),
)
facts = st.builds(
    StateFact,
    ref=st.just("m/x"),
    status=st.sampled_from(["ok", "ok", "error", "running", "missing", "unreadable"]),
    run_id=st.sampled_from([*RUN_IDS.values(), ""]),
)
ends = st.none() | st.builds(
    Ended,
    rc=st.sampled_from([None, 0, 0, 0, 1, 2, 130, -2, -9, -15]),
    by_itself=st.booleans(),
    stop=st.sampled_from(Stop),
    strays=st.just(()),
)
everything = st.builds(
    Observed,
    planned=st.just(STEPS),
    lines=st.lists(lines, max_size=12),
    states=st.dictionaries(st.sampled_from([step.id for step in STEPS]), facts),
    started=st.just(STARTED),
    ended=ends,
    blueprint=st.just("dr/pg@v1"),
    full=st.sampled_from([False, False, False, True]),
)


@given(everything)
def test_success_is_only_what_everything_agrees_on(seen: Observed) -> None:
    done = determine_outcome(seen)
    if done.state not in (State.COMPLETED, State.COMPLETED_WITH_EXCEPTIONS):
        return
    assert seen.ended is not None
    assert (seen.ended.rc, seen.ended.by_itself) == (0, True)
    assert any(isinstance(line, FinalLine) and line.status == "ok" for line in seen.lines)
    for step in done.steps:
        if step.id in ("restore", "dns"):
            assert step.status is StepStatus.OK
        if step.status is StepStatus.OK:
            assert (seen.states[step.id].status, seen.states[step.id].run_id) == ("ok", RUN_IDS["new"])
    assert done.past_no_return


@given(everything)
def test_a_stop_needs_an_end_by_its_own_hand(seen: Observed) -> None:
    done = determine_outcome(seen)
    if done.state in (State.FAILED, State.CANCELLED):
        assert seen.ended is not None
        assert seen.ended.by_itself or seen.ended.rc is None
    if seen.ended is None:
        assert done.state is State.INDETERMINATE
    assert len(done.reasons) == 1
    assert done.reasons[0]


@given(everything)
def test_every_answer_is_a_legal_move(seen: Observed) -> None:
    done = determine_outcome(seen)
    assert may_follow(State.VERIFYING, done.state)
    assert done.past_no_return <= (begun_changes(done) or seen.full)


def full_success() -> tuple[list[HyOpsLine], dict[str, StateFact]]:
    said: list[HyOpsLine] = []
    for step in STEPS:
        said += [StepEvent(step.id, StepStatus.RUNNING), StepEvent(step.id, StepStatus.OK, progress=1)]
    states = {step.id: StateFact(ref=f"m/{step.id}", status="ok", run_id=RUN_IDS["new"]) for step in STEPS}
    return [*said, FinalLine("dr/pg@v1", "ok", len(STEPS))], states


@given(st.integers(0, 8))
def test_no_line_of_a_success_can_be_missing(index: int) -> None:
    said, states = full_success()
    assert determine_outcome(Observed(STEPS, said, states, STARTED, Ended(0, by_itself=True), "dr/pg@v1")).state is State.COMPLETED
    left = said[:index] + said[index + 1 :]
    done = determine_outcome(Observed(STEPS, left, states, STARTED, Ended(0, by_itself=True), "dr/pg@v1"))
    # A lost `running` changes nothing: `ok` says that it ran. Every other line is needed.
    gone = said[index]
    tolerated = isinstance(gone, StepEvent) and gone.status is StepStatus.RUNNING
    assert (done.state is State.COMPLETED) is tolerated
