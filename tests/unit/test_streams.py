"""A recovery goes on although nobody reads how far it is, and an exit code is the command's, whoever reads what it prints."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hyops_ci.github.actions.commands import WorkflowCommands
from hyops_ci.streams import READER_LOST, lost_reader_ignored

ROOT = Path(__file__).parents[2]
HYOPS_CI = [sys.executable, "-m", "hyops_ci"]
REFUSED = ["validate", "-", "--format", "json"]
"""Of nothing: exit 3."""


def no_reader() -> int:
    ours, theirs = os.pipe()
    os.close(ours)
    return theirs


def closed_terminal() -> int:
    ours, theirs = pty.openpty()
    os.close(ours)
    return theirs


def full_disk() -> int:
    return os.open("/dev/full", os.O_WRONLY)


@pytest.mark.parametrize("nobody", [no_reader, closed_terminal, full_disk])
def test_a_run_goes_on_when_nobody_reads_its_progress(nobody: Callable[[], int], tmp_path: Path) -> None:
    """It was a fault in the middle of a recovery: UNKNOWN, and the lock kept, because `| head` had seen enough."""
    stream = nobody()
    rehearsal = [*HYOPS_CI, "rehearse", "--stand-in", "--folder", str(tmp_path / "x")]
    done = subprocess.run(rehearsal, stdout=subprocess.PIPE, stderr=stream, text=True, check=False, cwd=ROOT)
    os.close(stream)
    assert (done.returncode, done.stdout.split(",")[0]) == (0, "RECOVERED")


@pytest.mark.parametrize("nobody", [no_reader, closed_terminal])
@pytest.mark.parametrize(("words", "code"), [(["docs", "refusals"], 0), (REFUSED, 3)], ids=["done", "refused"])
def test_the_exit_code_is_the_commands_when_nobody_reads_its_result(nobody: Callable[[], int], words: list[str], code: int) -> None:
    stream = nobody()
    done = subprocess.run([*HYOPS_CI, *words], stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.PIPE, check=False, cwd=ROOT)
    os.close(stream)
    assert (done.returncode, done.stderr) == (code, b"")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("words", "code"), [("docs refusals", 0), (" ".join(REFUSED), 3), ("nonsense", 2)])
def test_a_stream_that_the_caller_closed(closed: str, words: str, code: int) -> None:
    script = f'exec "$0" -m hyops_ci {words} {closed}'
    done = subprocess.run(["bash", "-c", script, sys.executable], stdin=subprocess.DEVNULL, capture_output=True, check=False, cwd=ROOT)
    assert (done.returncode, b"Traceback" in done.stderr) == (code, False)


def test_an_error_that_is_none_of_a_reader_is_raised() -> None:
    with pytest.raises(OSError, match="No space left"), lost_reader_ignored(sys.stdout, errors=READER_LOST):
        raise OSError(28, "No space left on device")


def test_an_annotation_that_nobody_takes_is_lost_and_nothing_else() -> None:
    class Nobody(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    WorkflowCommands({"GITHUB_ACTIONS": "true"}, Nobody()).annotate("error", "x", "y")
