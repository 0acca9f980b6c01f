"""The command line as a whole: what every command does with a host that has no room left."""

from __future__ import annotations

import errno
import os
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


def test_any_other_error_of_the_system_stays_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.cli, "main", failing(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        app.main(["ledger", "show"])
