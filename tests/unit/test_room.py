"""Writing where there is no room, and room that was set aside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hyops_ci.room import Reserve, append_whole, sync_what_can, write_what_fits

FULL = Path("/dev/full")


def test_a_full_disk_takes_nothing_and_nothing_is_raised() -> None:
    with FULL.open("wb", buffering=0) as full:
        assert write_what_fits(full.fileno(), b"x" * 10) == 0
        assert not append_whole(full.fileno(), b"x" * 10)
        sync_what_can(full.fileno())


def test_short_writes_are_counted_and_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    with (tmp_path / "file").open("ab", buffering=0) as file:
        monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:3]))
        assert write_what_fits(file.fileno(), b"0123456789") == 10
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_half_a_record_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be written whole would hide the record behind it; what was set aside is tried once."""
    write, room = os.write, [13]

    def short(handle: int, data: bytes) -> int:
        taken = min(room[0], len(data))
        if not taken:
            raise OSError(28, "No space left on device")
        room[0] -= taken
        return write(handle, data[:taken])

    reserve = Reserve(tmp_path / "reserve", 4096)
    with (tmp_path / "file").open("ab", buffering=0) as file:
        monkeypatch.setattr(os, "write", short)
        assert append_whole(file.fileno(), b"whole\n")
        assert not append_whole(file.fileno(), b"too long for it\n", reserve)
    assert (tmp_path / "file").read_bytes() == b"whole\n"
    assert not (tmp_path / "reserve").exists()
    assert not reserve.release(), "once"


def test_room_that_is_not_there_is_not_set_aside(tmp_path: Path) -> None:
    assert not Reserve(tmp_path / "gone" / "reserve", 4096).release()
    reserve = Reserve(tmp_path / "reserve", 4096)
    assert (tmp_path / "reserve").stat().st_blocks > 0
    assert reserve.release()
