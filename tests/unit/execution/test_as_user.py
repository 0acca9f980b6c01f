"""A program that runs as another user: where it cannot be talked to there is a reason, and nothing stays open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from hyops_ci.execution.as_user import Conversation, NoAnswer


def open_files() -> set[str]:
    """Of this process, without the one by which they are listed."""
    return {f"{path.name} {path.readlink()}" for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["/nowhere/program"], "No such file or directory"),
        (["sh", "-c", "echo no rule for you >&2; exec 0<&-; exit 3"], "no rule for you"),
        (["sh", "-c", "exec 0<&-; exit 3"], "exit code 3"),
    ],
)
def test_nothing_stays_open_behind_a_program_that_does_not_answer(command: Sequence[str], reason: str, tmp_path: Path) -> None:
    before = open_files()
    with pytest.raises(NoAnswer, match=reason):
        Conversation(command, "x" * (1 << 20))
    assert open_files() == before


def test_it_is_asked_and_closed() -> None:
    before = open_files()
    talk = Conversation(["sh", "-c", "read first; read question; echo '[1, \"heard\"]'"], "first")
    assert talk.ask("something") == "heard"
    talk.close()
    assert open_files() == before
