"""Files that are whole or as before, files that nobody else could have touched, and locks."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from hyops_ci import files
from hyops_ci.files import DRAFT, UnsafeFile, locked, put_back, read, remove_drafts, replace_for_now, replacing, write, write_new


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ---------------------------------------------------------------------------------------------------- writing


def test_what_was_written_is_read_to_its_last_byte(tmp_path: Path) -> None:
    path = tmp_path / "known.json"
    write(path, b"before")
    write(path, b"0123456789")
    assert read(path, 10, owned=True, private=True) == b"0123456789"
    assert (stat.S_IMODE(path.stat().st_mode), names(tmp_path)) == (0o600, ["known.json"])
    with pytest.raises(UnsafeFile, match="has 10 bytes"):
        read(path, 9)


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write(path, b"before")
    with pytest.raises(TypeError), replacing(path) as file:
        file.writelines([b"half of it", "and no bytes"])  # type: ignore[list-item]  # the mistake that is tested
    assert (path.read_bytes(), names(tmp_path)) == (b"before", ["a"])


@pytest.mark.parametrize("crash", [1, 2])
def test_a_full_disk_leaves_the_old_file_or_the_whole_new_one(crash: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    write(path, b"before")
    calls: list[int] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        calls.append(handle)
        if len(calls) == crash:
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr(files.os, "fsync", fsync)
    with pytest.raises(OSError, match="No space"):
        write(path, b"after")
    assert (path.read_bytes(), names(tmp_path)) == (b"before" if crash == 1 else b"after", ["a"])


def test_the_content_is_on_disk_before_it_takes_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(handle: int) -> None:
        events.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        real_fsync(handle)

    def replace(self: Path, target: Path) -> Path:
        events.append("replace")
        return real_replace(self, target)

    monkeypatch.setattr(files.os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    write(tmp_path / "a", b"x", before=lambda: events.append("before"))
    assert events == ["file", "before", "replace", "folder"]


def test_a_check_before_the_last_step_can_stop_it(tmp_path: Path) -> None:
    def stop() -> None:
        raise LookupError("changed meanwhile")

    with pytest.raises(LookupError):
        write(tmp_path / "a", b"x", before=stop)
    assert names(tmp_path) == []


def test_a_link_in_its_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"theirs")
    (tmp_path / "a").symlink_to("elsewhere")
    write(tmp_path / "a", b"ours")
    assert ((tmp_path / "elsewhere").read_bytes(), (tmp_path / "a").is_symlink()) == (b"theirs", False)


def test_drafts_of_this_file_and_no_other_are_removed(tmp_path: Path) -> None:
    for name in (f"{DRAFT}a.0123", f"{DRAFT}b.0123", "a"):
        (tmp_path / name).write_bytes(b"")
    remove_drafts(tmp_path / "a")
    assert names(tmp_path) == [f"{DRAFT}b.0123", "a"]


def test_a_new_file_replaces_nothing(tmp_path: Path) -> None:
    write_new(tmp_path / "a", b"first")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("a", "link"):
        with pytest.raises(FileExistsError):
            write_new(tmp_path / name, b"second")
    assert ((tmp_path / "a").read_bytes(), stat.S_IMODE((tmp_path / "a").stat().st_mode)) == (b"first", 0o600)


# ---------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("mode", [0o602, 0o620, 0o666, 0o622])
def test_a_file_that_others_can_write_is_not_owned(mode: int, tmp_path: Path) -> None:
    write(tmp_path / "a", b"x")
    (tmp_path / "a").chmod(mode)
    assert read(tmp_path / "a", 1) == b"x"
    with pytest.raises(UnsafeFile, match=f"mode {mode:04o}"):
        read(tmp_path / "a", 1, owned=True)


@pytest.mark.parametrize(("mode", "fine"), [(0o600, True), (0o400, True), (0o644, False), (0o640, False), (0o700, False), (0o500, False)])
def test_a_file_that_others_can_read_or_that_runs_is_not_private(mode: int, fine: bool, tmp_path: Path) -> None:
    write(tmp_path / "a", b"x")
    (tmp_path / "a").chmod(mode)
    assert read(tmp_path / "a", 1, owned=True) == b"x"
    if fine:
        assert read(tmp_path / "a", 1, private=True) == b"x"
        return
    with pytest.raises(UnsafeFile) as refused:
        read(tmp_path / "a", 1, private=True)
    assert "chmod 0600" in refused.value.fix


def test_a_file_of_somebody_else_is_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a", b"{}")
    whose = SimpleNamespace(st_mode=0o100600, st_uid=os.geteuid() + 4711, st_size=2)
    monkeypatch.setattr(files.os, "fstat", lambda _: whose)
    for way in ({"owned": True}, {"private": True}):
        with pytest.raises(UnsafeFile, match=f"belongs to uid {whose.st_uid}"):
            read(tmp_path / "a", 10, **way)


@pytest.mark.parametrize("follow", [False, True])
def test_a_folder_or_a_pipe_is_no_file_and_is_not_waited_for(follow: bool, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(mode=0o700)
    for name in ("pipe", "folder"):
        with pytest.raises(UnsafeFile, match="not a regular file"):
            read(tmp_path / name, 10**6, follow=follow)


def test_a_link_is_followed_where_that_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "a", b"x")
    (tmp_path / "link").symlink_to("a")
    assert read(tmp_path / "link", 1, private=True, follow=True) == b"x"
    with pytest.raises(OSError, match="symbolic"):
        read(tmp_path / "link", 1)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "a", 1)


# ------------------------------------------------------------------------------------------------------ locks


def test_one_at_a_time(tmp_path: Path) -> None:
    slept: list[float] = []
    with locked(tmp_path / "lock"):
        for wait in (0.0, 0.5):
            with pytest.raises(BlockingIOError), locked(tmp_path / "lock", wait=wait, sleep=slept.append):
                pytest.fail("two at a time")
    assert sum(slept) == pytest.approx(0.5)
    with locked(tmp_path / "lock", wait=None) as handle:
        os.fstat(handle)


def test_it_is_taken_as_soon_as_it_is_free(tmp_path: Path) -> None:
    handle = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with locked(tmp_path / "lock", wait=5, sleep=lambda _: os.close(handle)):
        pass


def test_nobody_else_can_open_it(tmp_path: Path) -> None:
    (tmp_path / "lock").touch(0o666)
    with locked(tmp_path / "lock") as handle:
        assert stat.S_IMODE(os.fstat(handle).st_mode) == 0o600


def test_a_lock_that_was_removed_meanwhile_is_taken_anew(tmp_path: Path) -> None:
    """Whoever waited for the file that is gone would not keep out who makes it again."""
    path = tmp_path / "lock"
    with locked(path) as first:

        def removed(_: float) -> None:
            path.unlink(missing_ok=True)
            os.close(os.dup(first))
            fcntl.flock(first, fcntl.LOCK_UN)

        with locked(path, wait=5, sleep=removed) as second:
            assert os.fstat(second).st_ino == path.stat().st_ino


def test_what_is_no_plain_file_is_no_lock(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder", "absent/lock"):
        with pytest.raises(OSError), locked(tmp_path / name):  # noqa: PT011 - of the kernel's kinds
            pytest.fail("nothing to lock")


def test_a_lock_of_another_user_is_none(tmp_path: Path) -> None:
    theirs = SimpleNamespace(st_mode=stat.S_IFREG | 0o600, st_uid=os.geteuid() + 1)
    with pytest.raises(PermissionError):
        files._own(tmp_path / "lock", 0, theirs)  # type: ignore[arg-type]  # an owner is all that is looked at


def test_root_leaves_a_lock_to_whom_the_folder_belongs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int]] = []
    roots, folder = SimpleNamespace(st_mode=stat.S_IFREG | 0o600, st_uid=0), SimpleNamespace(st_uid=1001, st_gid=1002)
    monkeypatch.setattr(files.os, "geteuid", lambda: 0)
    monkeypatch.setattr(files.os, "fchown", lambda handle, user, group: given.append((user, group)))
    monkeypatch.setattr(Path, "stat", lambda path, **more: folder)
    files._own(tmp_path / "lock", 0, roots)  # type: ignore[arg-type]  # an owner is all that is looked at
    assert given == [(1001, 1002)]


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to("elsewhere")
    with pytest.raises(OSError, match="symbolic"), locked(tmp_path / "lock"):
        pytest.fail("it must not be followed")
    assert names(tmp_path) == ["lock"]


# ------------------------------------------------------------------------------------------- replaced for a while


@pytest.mark.parametrize("former", [b"before", None], ids=["there", "absent"])
def test_what_a_file_held_comes_back(tmp_path: Path, former: bytes | None) -> None:
    path = tmp_path / "file"
    if former is not None:
        write(path, former)
    replace_for_now(path, b"now", former)
    assert path.read_bytes() == b"now"
    assert all(stat.S_IMODE(each.stat().st_mode) == 0o600 for each in tmp_path.iterdir())
    for _ in range(2):
        assert put_back(path)
        assert (path.read_bytes() if path.exists() else None) == former
    assert names(tmp_path) == (["file"] if former is not None else [])


@pytest.mark.parametrize("former", [b"before", None], ids=["there", "absent"])
def test_what_another_program_wrote_meanwhile_stays(tmp_path: Path, former: bytes | None) -> None:
    path = tmp_path / "file"
    replace_for_now(path, b"now", former)
    path.write_bytes(b"theirs")
    assert not put_back(path)
    assert path.read_bytes() == b"theirs"
    assert names(tmp_path) == ["file"]


def test_a_file_that_is_replaced_twice_gets_back_what_it_held_at_first(tmp_path: Path) -> None:
    write(tmp_path / "file", b"before")
    for former, now in ((b"before", b"now"), (b"now", b"later"), (b"later", b"later")):
        replace_for_now(tmp_path / "file", now, former)
    assert put_back(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"before"
    assert names(tmp_path) == ["file"]


def test_a_replacement_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    write(tmp_path / "file", b"before")

    def no() -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        replace_for_now(tmp_path / "file", b"now", b"before", before=no)
    assert (tmp_path / "file").read_bytes() == b"before"
    assert names(tmp_path) == ["file"]


KILLED = """
import os, sys
from pathlib import Path
from hyops_ci import files
path, former, left = Path(sys.argv[1]), sys.argv[2].encode() or None, int(sys.argv[3])
def counted(call):
    def called(*args, **more):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return call(*args, **more)
    return called
for name in ("fsync", "replace", "rename", "unlink", "open"):
    setattr(os, name, counted(getattr(os, name)))
files.replace_for_now(path, b"now", former)
files.put_back(path)
"""


@pytest.mark.parametrize("former", [b"before", None], ids=["there", "absent"])
def test_killed_anywhere_the_former_bytes_come_back(tmp_path: Path, former: bytes | None) -> None:
    """Killed before each call that changes or syncs something, in replacing and in putting back."""
    for calls in range(60):
        path = tmp_path / f"{calls}" / "file"
        path.parent.mkdir()
        if former is not None:
            write(path, former)
        done = subprocess.run([sys.executable, "-c", KILLED, str(path), (former or b"").decode(), str(calls)], check=False)
        assert done.returncode in (0, 9)
        remove_drafts(path)
        assert put_back(path)
        assert (path.read_bytes() if path.exists() else None) == former
        assert names(path.parent) == (["file"] if former is not None else [])
        if done.returncode == 0:
            break
    else:
        pytest.fail("it was never left alone")
    assert calls > 10
