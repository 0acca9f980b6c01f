from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.execution import journal
from hyops_ci.execution.grammar import FinalLine, HyOpsLine, PreflightLine, StepEvent, StepStatus
from hyops_ci.execution.journal import Ended, JournalWriter, Stop, create, hold_lock, lock_is_held, read_journal
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
