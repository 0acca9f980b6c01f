"""What outlives a job: the journals of the newest runs, and the last word in them."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hyops_ci.execution import kept_journals
from hyops_ci.execution.grammar import FinalLine, StepEvent, StepStatus
from hyops_ci.execution.journal import JOURNAL, Stop, create, hold_lock
from hyops_ci.execution.journal_writer import JournalWriter
from hyops_ci.execution.kept_journals import MAX_RUNS, RUNS, at_work, journal_of, keep, last_word


def written(state: Path, run_id: str, temp: Path, *, ended: bool = True) -> Path:
    """A run whose journal is kept, and whose temporary folder is gone afterwards."""
    here = temp / run_id / "deploy"
    here.parent.mkdir(parents=True)
    keep(state, run_id, here)
    create(here)
    writer = JournalWriter(here)
    writer.write("starting", supervisor=os.getpid(), argv=[], timeout=1)
    writer.line(StepEvent("restore", StepStatus.OK))
    if ended:
        writer.line(FinalLine("dr/x@v1", "ok", 1))
        writer.write("ended", rc=0, by_itself=True, stop=Stop.NOT_ASKED, seconds=1.5, strays=[], error="")
    writer.close()
    return here


def test_the_last_word_is_read_when_the_job_is_gone(tmp_path: Path) -> None:
    here = written(tmp_path / "state", "212-1", tmp_path / "temp")
    here.unlink()
    said = last_word(tmp_path / "state", "212-1")
    assert said.startswith("HyOps of run 212-1 ended with rc 0, status ok, last step restore ok at ")
    assert at_work(tmp_path / "state", "212-1") is False


def test_hyops_that_is_at_work_is_called_that(tmp_path: Path) -> None:
    written(tmp_path, "212-1", tmp_path / "temp", ended=False)
    assert last_word(tmp_path, "212-1").startswith("HyOps of run 212-1 left no last word on this host, last step restore ok")
    held = hold_lock(tmp_path / RUNS / "212-1")
    assert last_word(tmp_path, "212-1").startswith("HyOps of run 212-1 is STILL AT WORK on this host, last step restore ok")
    assert at_work(tmp_path, "212-1") is True
    os.close(held)


def test_of_another_hosts_run_nothing_is_known(tmp_path: Path) -> None:
    assert (journal_of(tmp_path, "1-1"), last_word(tmp_path, "1-1"), at_work(tmp_path, "1-1")) == (None, "", None)


def test_old_runs_are_removed_and_one_at_work_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, MAX_RUNS + 3):
        kept = written(tmp_path, f"{number}-1", tmp_path / "temp", ended=number != 1).resolve()
        held = hold_lock(kept) if number == 1 else -1
        when = datetime(2026, 11, 23, 3, number, tzinfo=UTC).timestamp()
        os.utime(kept, (when, when))
    keep(tmp_path, "last-1", tmp_path / "last")
    left = {path.name for path in (tmp_path / RUNS).iterdir()}
    assert len(left) == MAX_RUNS + 1
    assert {"1-1", "last-1", f"{MAX_RUNS + 2}-1"} <= left, "the first is still at work"
    assert "2-1" not in left
    monkeypatch.setattr(kept_journals, "MAX_BYTES", 100)
    keep(tmp_path, "next-1", tmp_path / "next")
    assert {"1-1", "last-1", "next-1"} == {path.name for path in (tmp_path / RUNS).iterdir()}, "by their size, too"
    if held >= 0:
        os.close(held)


def test_the_way_to_another_users_journal_is_kept(tmp_path: Path) -> None:
    theirs = written(tmp_path / "theirs", "212-1", tmp_path / "temp").resolve()
    here = tmp_path / "deploy"
    here.symlink_to(theirs)
    keep(tmp_path / "state", "212-1", here)
    assert (tmp_path / "state" / RUNS / "212-1" / JOURNAL).is_file()
    assert "ended with rc 0" in last_word(tmp_path / "state", "212-1")
    assert json.loads((theirs / JOURNAL).read_text().splitlines()[0])["kind"] == "starting"
