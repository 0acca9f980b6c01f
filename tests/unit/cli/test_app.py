"""The command line as a whole: what every command does with a host that has no room left."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Never

import pytest

from hyops_ci.cli import app


def failing(code: int) -> object:
    def run(**_: object) -> Never:
        raise OSError(code, os.strerror(code), "/var/lib/runner/_temp/summary")

    return run


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_by_its_name(code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(app.cli, "main", failing(code))
    with pytest.raises(SystemExit) as ended:
        app.main(["ledger", "show"])
    assert ended.value.code == 12
    said = capsys.readouterr()
    assert "REFUSED" not in said.err
    assert "host.full (exit 12): a disk of this host is full" in said.err
    assert "/var/lib/runner/_temp/summary" in said.err


@pytest.mark.parametrize("code", sorted(app.OF_A_PLACE))
def test_a_place_that_cannot_be_used_is_named(code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(app.cli, "main", failing(code))
    with pytest.raises(SystemExit) as ended:
        app.main(["evidence", "report"])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "host.place (exit 2): a file or folder of this host cannot be used" in said
    assert f"/var/lib/runner/_temp/summary: {os.strerror(code)}" in said


def test_the_same_without_a_name_stays_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(**_: object) -> Never:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr(app.cli, "main", run)
    with pytest.raises(OSError, match="No such file"):
        app.main(["ledger", "show"])


def test_any_other_error_of_the_system_stays_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.cli, "main", failing(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        app.main(["ledger", "show"])


def test_a_cancel_reaches_a_command_whose_parent_ignores_interrupts(tmp_path: Path) -> None:
    """An agent that was started with nohup, or a shell's background job, hands an ignored interrupt on to its children."""
    rehearsal = [sys.executable, "-m", "hyops_ci", "rehearse", "--stand-in", "--scenario", "cancelled-late"]
    rehearsal += ["--folder", str(tmp_path / "x")]
    ignoring = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", ignoring, *rehearsal], capture_output=True, text=True, check=False)
    assert done.returncode == 130, done.stderr
