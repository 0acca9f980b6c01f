from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.execution import journal, journal_writer
from hyops_ci.execution.grammar import FinalLine, HyOpsLine, PreflightLine, StepEvent, StepStatus
from hyops_ci.execution.journal import (
    Ended,
    JournalView,
    Stop,
    create,
    hold_lock,
    lock_is_held,
    read_journal,
)
from hyops_ci.execution.journal_writer import JournalWriter, RepeatedLines
from hyops_ci.execution.run_handle import Condition, SupervisedRun
from hyops_ci.redaction import Redactor

words = st.text(min_size=1, max_size=20)
lines: st.SearchStrategy[HyOpsLine] = st.one_of(
    st.builds(
        StepEvent, words, st.sampled_from(StepStatus), reason=words, rc=st.none() | st.integers(), progress=st.none() | st.integers(0, 100)
    ),
    st.builds(PreflightLine, words, st.sampled_from(["ok", "failed"]), st.integers(0, 99)),
    st.builds(FinalLine, words, st.sampled_from(["ok", "skeleton"]), st.none() | st.integers(0, 99)),
)


@given(st.lists(lines, max_size=4))
def test_lines_are_read_back_as_written(tmp_path_factory: pytest.TempPathFactory, said: list[HyOpsLine]) -> None:
    run_dir = tmp_path_factory.mktemp("run")
    create(run_dir)
    writer = JournalWriter(run_dir)
    writer.write("starting", supervisor=11, argv=[], timeout=1.0)
    writer.write("started", hyops=12)
    for line in said:
        writer.line(line)
    writer.write("signal", name="SIGINT", why=Stop.CANCEL)
    writer.write("ended", rc=130, by_itself=True, stop=Stop.CANCEL, seconds=1.5, strays=["ssh"], error="")
    writer.close()
    view = read_journal(run_dir)
    assert view.lines == tuple(said)
    assert (view.hyops_pid, view.supervisor_pid, view.signals) == (12, 11, ("SIGINT",))
    assert view.ended == Ended(130, by_itself=True, stop=Stop.CANCEL, seconds=1.5, strays=("ssh",))
    assert view.started_at is not None


def test_what_a_record_holds_is_redacted(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    create(run_dir)
    writer = JournalWriter(run_dir, Redactor({"KEY": "a-long-secret"}).json)
    writer.write("starting", supervisor=11, argv=["hyops", "--a-long-secret"], timeout=1.0)
    writer.write("strays", names=["a-long-secret"], pids=[12])
    writer.write("ended", rc=None, by_itself=True, stop=Stop.NOT_ASKED, seconds=1.5, strays=["a-long-secret"], error="a-long-secret: x")
    writer.close()
    assert b"a-long-secret" not in (run_dir / "journal.jsonl").read_bytes()
    ended = read_journal(run_dir).ended
    assert ended is not None
    assert (ended.strays, ended.error) == (("[redacted:KEY]",), "[redacted:KEY]: x")


def test_nothing_is_known_of_a_run_without_a_journal(tmp_path: Path) -> None:
    view = read_journal(tmp_path / "absent")
    assert (view.started_at, view.ended, view.lines) == (None, None, ())
    assert not lock_is_held(tmp_path)


@given(st.binary())
def test_no_bytes_raise(text: bytes) -> None:
    assert all(isinstance(record, dict) for record in journal.records(text))


WHOLE: list[dict[str, object]] = [
    {"kind": "starting", "at": "2026-11-28T10:00:00+00:00", "supervisor": 11, "argv": [], "timeout": 1.0},
    {"kind": "started", "at": "2026-11-28T10:00:00+00:00", "hyops": 12},
    {"kind": "line", "at": "2026-11-28T10:00:01+00:00", "type": "StepEvent", "step": "a", "status": "ok", "rc": 0, "progress": 1},
    {"kind": "line", "at": "2026-11-28T10:00:01+00:00", "type": "PreflightLine", "blueprint": "b", "status": "ok", "steps": 1},
    {"kind": "line", "at": "2026-11-28T10:00:01+00:00", "type": "FinalLine", "blueprint": "b", "status": "ok", "steps": 1},
    {"kind": "output", "at": "2026-11-28T10:00:01+00:00", "stream": "stdout", "offset": 0, "bytes": 3},
    {"kind": "signal", "at": "2026-11-28T10:00:02+00:00", "name": "SIGINT", "why": "cancel"},
    {"kind": "redactions", "at": "2026-11-28T10:00:03+00:00", "counts": {"a": 1}},
    {"kind": "ended", "at": "2026-11-28T10:00:03+00:00", "rc": 0, "by_itself": True, "stop": "", "seconds": 1.5, "strays": [], "error": ""},
]
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["line", "ended", "StepEvent", "stdout"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.data())
def test_a_journal_that_somebody_else_wrote_into_raises_nothing(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """One field of each record gone or another; whoever reads, follows or cancels the run gets an answer."""
    run_dir = tmp_path_factory.mktemp("run")
    changed = []
    for record in WHOLE:
        field = data.draw(st.sampled_from([*record, "none"]))
        kept = {name: value for name, value in record.items() if name != field}
        if field in record and data.draw(st.booleans()):
            kept[field] = data.draw(anything)
        changed.append(json.dumps(kept))
    (run_dir / "journal.jsonl").write_text("\n".join(changed) + "\n")
    (run_dir / "stdout.log").write_text("abc")
    run = SupervisedRun.attach(run_dir)
    assert isinstance(run.view(), JournalView)
    assert run.wait(0) is None or run.condition is Condition.FINISHED
    assert not run.cancel()


def test_a_journal_that_is_no_plain_file_says_nothing_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "journal.jsonl")
    os.mkfifo(tmp_path / "stdout.log")
    run = SupervisedRun.attach(tmp_path)
    assert (run.view().ended, run.wait(0), run.stdout(), run.condition) == (None, None, "", Condition.UNKNOWN)


def test_a_journal_stops_at_its_limit_and_keeps_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_writer, "ROOM", 2_000)
    create(tmp_path)
    writer = JournalWriter(tmp_path)
    for number in range(1_000):
        writer.line(StepEvent("a", StepStatus.RUNNING, str(number)))
        writer.write("output", stream="stdout", offset=number, bytes=1)
    writer.write("ended", rc=0, by_itself=True, stop=Stop.NOT_ASKED, seconds=1.5, strays=[], error="")
    view = read_journal(tmp_path)
    assert (tmp_path / "journal.jsonl").stat().st_size < 5_000
    assert view.full
    assert view.ended is not None
    assert 5 < len(view.lines) < 30


def test_output_that_fills_its_room_leaves_the_lines_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_writer, "ROOM", 2_000)
    create(tmp_path)
    writer = JournalWriter(tmp_path)
    for number in range(1_000):
        writer.write("output", stream="stdout", offset=number, bytes=1)
    writer.line(FinalLine("b", "ok", 1))
    view = read_journal(tmp_path)
    assert (view.full, view.lines) == (False, (FinalLine("b", "ok", 1),))


def test_what_is_said_again_is_left_out() -> None:
    seen = RepeatedLines()
    running, ok = StepEvent("a", StepStatus.RUNNING), StepEvent("a", StepStatus.OK)
    said = [running, running, StepEvent("b", StepStatus.RUNNING), running, ok, StepEvent("a", StepStatus.OK, progress=4), running]
    assert [seen.is_new(line) for line in said] == [True, False, True, False, True, False, True]
    final = FinalLine("b", "ok", 1)
    assert [seen.is_new(line) for line in (final, final, FinalLine("c", "ok", 1), final)] == [True, False, True, True]
    failed = StepEvent("a", StepStatus.FAILED)
    explained = [failed, StepEvent("a", StepStatus.FAILED, "why"), StepEvent("a", StepStatus.FAILED, "more")]
    assert [seen.is_new(line) for line in explained] == [True, True, False]


def test_a_journal_is_never_overwritten(tmp_path: Path) -> None:
    create(tmp_path)
    with pytest.raises(FileExistsError):
        create(tmp_path)


def test_a_lock_lasts_as_long_as_its_handle(tmp_path: Path) -> None:
    handle = hold_lock(tmp_path)
    assert lock_is_held(tmp_path)
    with pytest.raises(BlockingIOError):
        hold_lock(tmp_path)
    os.close(handle)
    assert not lock_is_held(tmp_path)
