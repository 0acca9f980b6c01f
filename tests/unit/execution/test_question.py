"""A command that only answers: its output, its end, and what becomes of one that does not come to it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from hyops_ci.execution import question
from hyops_ci.execution.question import Answer, ask

ENVIRONMENT = {"PATH": "/usr/bin:/bin"}


def test_the_answer_is_what_it_prints_and_how_it_ends() -> None:
    assert ask(["sh", "-c", "echo yes; echo no >&2; exit 3"], ENVIRONMENT, timeout=20) == Answer(3, "yes\n")


def test_it_gets_this_environment_and_no_input() -> None:
    os.environ["OF_THE_TESTS"] = "here"
    answer = ask(["sh", "-c", "cat; echo ${OF_THE_TESTS:-none} $GIVEN; pwd"], ENVIRONMENT | {"GIVEN": "given"}, timeout=20)
    assert answer == Answer(0, "none given\n/\n")


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ask([str(tmp_path / "absent")], ENVIRONMENT, timeout=20)


@pytest.mark.parametrize(
    "text", ["sleep 60 & echo $!; sleep 60", "trap '' TERM; sleep 60 & echo $!; wait; sleep 60", "exec >&-; echo $$ >$PIDS; sleep 60"]
)
def test_one_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(question, "GRACE", 0.2)
    pids = tmp_path / "pids"
    began = time.monotonic()
    answer = ask(["sh", "-c", f"({text}) | tee $PIDS" if "PIDS" not in text else text], ENVIRONMENT | {"PIDS": str(pids)}, timeout=2)
    assert answer == Answer(None, error="no answer within 2 s")
    assert time.monotonic() - began < 30
    for pid in map(int, pids.read_text().split()):
        assert_gone(pid)


def test_one_that_says_too_much_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(question, "MAX_ANSWER", 100_000)
    assert ask(["sh", "-c", "yes"], ENVIRONMENT, timeout=60) == Answer(None, error="more than 100000 bytes of output")


def assert_gone(pid: int) -> None:
    """The process is no longer there, or only waits to be collected."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return
        if state in "ZX":
            return
        time.sleep(0.02)
    raise AssertionError(f"{pid} is alive")
