"""Files of this host that nobody else could have written."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from hyops_ci.identity.host_file import NotOurs, read_own, write_own


def test_what_was_written_is_read_to_its_last_byte(tmp_path: Path) -> None:
    path = tmp_path / "state" / "known.json"
    assert read_own(path, 10) is None
    write_own(path, b"0123456789")
    assert read_own(path, 10) == b"0123456789"
    with pytest.raises(NotOurs, match="has 10 bytes"):
        read_own(path, 9)


def test_a_file_of_somebody_else_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "known.json"
    write_own(path, b"{}")
    whose = SimpleNamespace(st_mode=0o100600, st_uid=os.geteuid() + 4711, st_size=2)
    monkeypatch.setattr("hyops_ci.identity.host_file.os.fstat", lambda _: whose)
    with pytest.raises(NotOurs, match=f"owner {whose.st_uid}"):
        read_own(path, 10)


def test_a_folder_or_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(mode=0o700)
    for name in ("pipe", "folder"):
        with pytest.raises(NotOurs, match="no regular file"):
            read_own(tmp_path / name, 10**6)
