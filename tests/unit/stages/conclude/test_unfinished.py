"""Whatever stops a stage, wherever the run is: a legal end, a true exit code, words for people, and a bundle that verifies."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hyops_ci
from hyops_ci.contracts.config import EnvClass
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import EXIT_OF, TERMINAL, RefusalRecord, Result, State, may_follow
from hyops_ci.errors import DispatchError, Exit, Fault, Refusal
from hyops_ci.evidence.conclusions import exit_code_of
from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.evidence.verify import verify
from hyops_ci.report.headline import AFTER_HYOPS, HeadlineContext, headline, stopped_headline, stopped_state
from hyops_ci.report.text import summary_lines
from hyops_ci.stages.conclude.crashed import WALK, recover_state
from hyops_ci.stages.context import RunContext, SystemClock
from hyops_ci.stages.execute.stage import refuse_unfit_job
from hyops_ci.stages.execution_state import ExecutionState
from hyops_ci.stages.handover import RunDir, new_run
from hyops_ci.stages.job import Job
from hyops_ci.stages.runner import StageEnd, run_stage
from hyops_ci.stages.sealing import headline_context, seal_run
from tests.support.examples import examples
from tests.unit.evidence import sample_run

S = State
OPEN = sorted(set(State) - TERMINAL)
STAGE_OF = dict.fromkeys((S.RECEIVED,), "plan") | dict.fromkeys((S.PLANNED,), "check")


def gates() -> list[str]:
    """Every gate id that the code names: the first word of a Refusal, a Fault, or a gate's declaration."""
    found: set[str] = set()
    words = re.compile(
        r"(?:Refusal|Fault|refuse|_refuse|_refusal|approval_refusal|conflict|plan_gate|check_gate|Duplicate)\(\s*\"([a-z-]+\.[a-z-]+)\""
    )
    for path in Path(hyops_ci.__file__).parent.rglob("*.py"):
        found |= set(words.findall(path.read_text(encoding="utf-8")))
    return sorted(found)


GATES = gates()
errors = st.builds(
    lambda kind, gate, code, found: kind(gate, "why", exit_code=code, found=found),
    st.sampled_from([Refusal, Fault]),
    st.sampled_from(GATES),
    st.sampled_from(list(Exit)),
    st.text(max_size=80),
)


def test_the_search_for_gates_finds_them() -> None:
    assert len(GATES) > 60
    assert {"intake.file", "restore.skipped", "lock.unknown", "approval.self", "hyops.preflight", "run.cut-off"} <= set(GATES)


@given(before=st.sampled_from(OPEN), error=errors)
def test_every_refusal_leads_to_a_legal_end(before: State, error: DispatchError) -> None:
    after = stopped_state(before, error)
    assert after in TERMINAL
    assert may_follow(before, after)
    assert after in EXIT_OF
    assert after not in (S.COMPLETED, S.COMPLETED_WITH_EXCEPTIONS, S.RECORDED)


@given(before=st.sampled_from([S.EXECUTING, S.VERIFYING]), error=errors)
def test_once_something_may_have_happened_nobody_claims_to_know(before: State, error: DispatchError) -> None:
    after = stopped_state(before, error)
    known = before is S.VERIFYING and error.gate in AFTER_HYOPS
    assert after is (AFTER_HYOPS[error.gate] if known else S.INDETERMINATE), "while it is verified HyOps has ended, and that is known"
    assert known or exit_code_of(after, RefusalRecord.of(error)) == Exit.INDETERMINATE


@given(before=st.sampled_from(OPEN), error=errors)
def test_only_an_end_that_asks_for_nothing_exits_with_0(before: State, error: DispatchError) -> None:
    after = stopped_state(before, error)
    if exit_code_of(after, RefusalRecord.of(error)) == 0:
        assert after is S.DUPLICATE or error.exit_code is Exit.DONE


@given(state=st.sampled_from(sorted(TERMINAL)), error=errors)
def test_a_headline_is_one_clean_line(state: State, error: DispatchError) -> None:
    record = RefusalRecord.of(error)
    for line in (headline(state, HeadlineContext(), record), stopped_headline(state, record)):
        assert line
        assert line.isprintable()


# -------------------------------------------------------------------------------- told as a stage, sealed


@pytest.fixture
def world(tmp_path: Path) -> RunContext:
    job = Job(run_id="local-20261123T030431Z-0badcafe", actor="maria")
    return RunContext(job=job, clock=SystemClock(), home=tmp_path, state_dir=tmp_path / "host", ledger_remote="")


@pytest.fixture
def folders(tmp_path: Path) -> list[Iterator[Path]]:
    """A new folder for each example."""
    return [(tmp_path / f"run-{number}" for number in count())]


def walked_to(run: RunDir, state: State, world: RunContext) -> None:
    """The events of a run that got as far as `state`."""
    way = (S.RECEIVED, S.PLANNED, *WALK)
    for each in way[: way.index(state) + 1]:
        with PartRecorder(run.root, "execute" if each in WALK[1:] else "check" if each is S.CHECKED else "plan", world.clock) as part:
            sample_run.leave(run.root, each, world.job.run_id, clean=True)
            part.enter(each)


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.sampled_from(OPEN), error=errors)
def test_every_refusal_from_every_state_seals_a_bundle_that_verifies(
    before: State, error: DispatchError, world: RunContext, folders: list[Iterator[Path]]
) -> None:
    run = RunDir(next(folders[0]) / "run")
    walked_to(run, before, world)

    def story(_: PartRecorder) -> None:
        sample_run.leave(run.root, stopped_state(before, error), world.job.run_id, clean=True)  # what the clean-up of a drill keeps
        raise error

    end = run_stage(STAGE_OF.get(before, "execute"), run, world, story)
    assert end.state is stopped_state(before, error)
    assert end.refusal == RefusalRecord.of(error)
    sealed = seal_run(run, world, end, recover_state(run))
    verdict = verify(sealed.path)
    assert verdict.problems == ()
    result = run.read_model("result.json", Result)
    assert (result.outcome, result.exit_code) == (end.state, exit_code_of(end.state, end.refusal))
    assert (result.run_id, result.refusal, result.stand_in) == (world.job.run_id, end.refusal, False)
    assert result.headline.isprintable()
    lines = summary_lines(result, {})
    assert all("\n" not in line for line in lines)


def test_a_fault_of_our_own_names_its_place_and_never_its_text(world: RunContext, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")

    def story(_: PartRecorder) -> None:
        json.loads("hunter2-canary")

    end = run_stage("plan", run, world, story)
    assert (end.state, end.refusal and end.refusal.gate) == (S.BLOCKED, "internal.error")
    sealed = seal_run(run, world, end, ExecutionState())
    assert verify(sealed.path).ok
    assert b"hunter2" not in sealed.path.read_bytes()


def test_an_interrupt_is_a_cancel(world: RunContext, tmp_path: Path) -> None:
    def story(part: PartRecorder) -> None:
        part.enter(S.RECEIVED)
        raise KeyboardInterrupt

    end = run_stage("plan", RunDir(tmp_path / "run"), world, story)
    assert (end.state, end.refusal and end.refusal.exit_code) == (S.CANCELLED, 130)


@pytest.mark.parametrize("over", sorted(TERMINAL))
def test_a_stage_after_the_end_leaves_the_end_as_it_was(over: State, world: RunContext, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    way = next(state for state in reversed((S.RECEIVED, S.PLANNED, *WALK)) if may_follow(state, over))
    walked_to(run, way, world)
    with PartRecorder(run.root, "execute", world.clock) as part:
        part.enter(over)

    def story(_: PartRecorder) -> None:
        raise Refusal("run.attempt", "why", exit_code=Exit.APPROVAL)

    end = run_stage("execute", run, world, story)
    assert end.state is over
    assert not run.has("refusal.json")


def test_events_that_do_not_hold_together_are_refused(world: RunContext, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    walked_to(run, S.CHECKED, world)
    events = run.root / "parts" / "plan" / "events.jsonl"
    events.write_bytes(events.read_bytes().replace(b"RECEIVED", b"RECEIVEX"))
    with pytest.raises(Refusal) as refused:
        run_stage("execute", run, world, lambda part: part.note("never"))
    assert (refused.value.gate, refused.value.exit_code) == ("handover.chain", Exit.EVIDENCE)


# ---------------------------------------------------------------------------------------- small promises


def test_a_new_run_takes_no_used_folder(tmp_path: Path) -> None:
    new_run(tmp_path / "run").write("plan.json", b"{}")
    with pytest.raises(Refusal, match=r"run\.folder"):
        new_run(tmp_path / "run")


def test_what_is_left_of_a_run_that_never_began(tmp_path: Path) -> None:
    assert recover_state(RunDir(tmp_path / "run")) == ExecutionState()


def test_words_of_a_run_without_a_plan(world: RunContext, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    assert headline_context(run, world, StageEnd(S.REJECTED), ExecutionState(), 0).service == ""


@pytest.mark.parametrize("env_class", list(EnvClass))
def test_step_debug_is_refused_in_production_only(env_class: EnvClass, world: RunContext) -> None:
    plan = Plan.model_construct(env_class=env_class)
    debugging = replace(world, job=replace(world.job, step_debug=True))
    if env_class is EnvClass.PRODUCTION:
        with pytest.raises(Refusal, match=r"run\.debug") as refused:
            refuse_unfit_job(plan, debugging)
        assert refused.value.exit_code is Exit.POLICY
    else:
        refuse_unfit_job(plan, debugging)
    refuse_unfit_job(plan, world)


@pytest.mark.parametrize("attempt", [2, 3, 100])
def test_a_rerun_is_refused_and_nobody_is_told_to_sign(attempt: int, world: RunContext) -> None:
    with pytest.raises(Refusal) as refused:
        refuse_unfit_job(Plan.model_construct(env_class=EnvClass.LAB), replace(world, job=replace(world.job, attempt=attempt)))
    assert stopped_state(S.CHECKED, refused.value) is S.BLOCKED
