from __future__ import annotations

import getpass
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hyops_ci import portable
from tests.support.other_system import elsewhere


def test_flags_are_those_that_the_system_has(monkeypatch: pytest.MonkeyPatch) -> None:
    assert portable.flags("O_WRONLY", "O_NOFOLLOW", "O_NOTHING") == os.O_WRONLY | os.O_NOFOLLOW
    monkeypatch.delattr(os, "O_NOFOLLOW")
    monkeypatch.setattr(os, "O_BINARY", 0x8000, raising=False)
    assert portable.flags("O_WRONLY", "O_NOFOLLOW") == os.O_WRONLY | 0x8000


@pytest.mark.parametrize("refuses", [True, False])
def test_a_link_is_not_opened(refuses: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("content")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    monkeypatch.setattr(portable, "_REFUSES_LINKS", refuses)
    with pytest.raises(OSError, match="link"):
        portable.open_plain(tmp_path / "link")
    with os.fdopen(portable.open_plain(tmp_path / "file")) as opened:
        assert opened.read() == "content"


@pytest.mark.parametrize("windows", [False, True])
def test_a_lock_keeps_others_out_until_it_is_closed(windows: bool, tmp_path: Path) -> None:
    first, second = (os.open(tmp_path / "lock", portable.LOCK_FILE, 0o600) for _ in range(2))

    def attempt(handle: int) -> None:
        if windows:
            with elsewhere():
                portable.lock(handle, wait=False)
        else:
            portable.lock(handle, wait=False)

    attempt(first)
    with pytest.raises(BlockingIOError):
        attempt(second)
    os.close(first)
    attempt(second)
    os.close(second)


def test_a_user_without_an_entry_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_entry() -> str:
        raise KeyError("getpwuid(): uid not found: 100000")

    monkeypatch.setattr(portable, "getuser", no_entry)
    assert portable.user_name() == f"uid {os.geteuid()}"
    monkeypatch.undo()
    assert portable.user_name() == getpass.getuser()


def test_a_group_is_killed_with_what_it_started() -> None:
    script = "import subprocess; subprocess.run(['sleep', '60'])"
    with subprocess.Popen([sys.executable, "-c", script], start_new_session=True) as child:
        portable.kill_group(child.pid)
        assert child.wait(10) == -9
