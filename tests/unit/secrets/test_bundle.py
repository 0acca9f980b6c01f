from __future__ import annotations

import fcntl
import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from hyops_ci import files
from hyops_ci.errors import Fault, Refusal
from hyops_ci.secrets.ansible_vault import encrypt
from hyops_ci.secrets.bundle import LOCK, NAME, open_bundle, read_values
from hyops_ci.secrets.bundle_text import render
from hyops_ci.secrets.password import Password

PASSWORD = Password("/etc/test-password", b"canary-password-of-the-bundle")
CANARY = "canary-value-9d2e"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    root = tmp_path / "envs" / "prod"
    root.mkdir(parents=True)
    return root / "vault" / NAME


def put(path: Path, values: dict[str, str], password: Password = PASSWORD) -> bytes:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(encrypt(render(values).encode(), password.secret))
    return path.read_bytes()


def bundles(path: Path) -> list[str]:
    """The files beside the lock and what the bundle held before."""
    return [file.name for file in path.parent.iterdir() if file.name not in (LOCK, *former(path))]


def former(path: Path) -> list[str]:
    """The file that holds what the bundle held before; private, and one at most."""
    found = list(path.parent.glob(f"{files.FORMER}*"))
    assert all(stat.S_IMODE(each.stat().st_mode) == 0o600 for each in found)
    return [each.name for each in found]


def content(path: Path) -> dict[str, str]:
    return read_values(path.read_bytes(), PASSWORD, path)


def test_a_first_bundle_is_private_and_alone(path: Path) -> None:
    with open_bundle(path, PASSWORD) as bundle:
        written = bundle.merge({"A_KEY": CANARY})
    assert content(path) == {"A_KEY": CANARY}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert bundles(path) == [NAME]
    assert written.changed == ("A_KEY",)
    assert written.kept == ()


def test_merge_overlays_and_keeps_as_hyops_does(path: Path) -> None:
    put(path, {"OLD_KEY": "stays here", "A_KEY": "is replaced", "B_KEY": "stays the same"})
    path.chmod(0o644)
    with open_bundle(path, PASSWORD) as bundle:
        written = bundle.merge({"A_KEY": CANARY, "B_KEY": "stays the same"})
    assert content(path) == {"OLD_KEY": "stays here", "A_KEY": CANARY, "B_KEY": "stays the same"}
    assert written.kept == ("OLD_KEY",)
    assert written.changed == ("A_KEY",)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_names_that_hyops_would_never_check_are_kept(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(encrypt(b"BAD KEY=1\nLONE=\"x\nnothing\n# note\n'Q'='q'\n", PASSWORD.secret))
    with open_bundle(path, PASSWORD) as bundle:
        bundle.merge({"A_KEY": CANARY})
    assert content(path) == {"BAD KEY": "1", "LONE": '"x', "'Q'": "q", "A_KEY": CANARY}


def test_the_wrong_password_is_refused_at_once(path: Path) -> None:
    before = put(path, {"A_KEY": CANARY}, Password("x", b"another password"))
    with pytest.raises(Refusal, match=r"secrets\.bundle") as refused, open_bundle(path, PASSWORD):
        pytest.fail("it must not open")
    text = "\n".join(refused.value.lines())
    assert "/etc/test-password does not open it" in text
    assert "canary" not in text
    assert path.read_bytes() == before


@pytest.mark.parametrize("data", [b"", b"A_KEY=plain canary\n", b"$ANSIBLE_VAULT;1.1;AES256\n00"])
def test_what_is_no_bundle_is_not_replaced(path: Path, data: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(data)
    with pytest.raises(Refusal) as refused, open_bundle(path, PASSWORD):
        pytest.fail("it must not open")
    assert "canary" not in "\n".join(refused.value.lines())
    assert path.read_bytes() == data


def test_text_that_is_not_utf8_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(encrypt(b"A=\xff\n", PASSWORD.secret))
    with pytest.raises(Refusal, match=r"secrets\.bundle"), open_bundle(path, PASSWORD):
        pytest.fail("it must not open")


def test_an_env_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refused, open_bundle(tmp_path / "envs" / "typo" / "vault" / NAME, PASSWORD):
        pytest.fail("it must not open")
    assert "does not exist" in refused.value.found
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_made_is_a_fault(path: Path) -> None:
    path.parent.write_text("a file where the directory should be")
    with pytest.raises(Fault, match=r"secrets\.bundle"), open_bundle(path, PASSWORD):
        pytest.fail("it must not open")


def test_a_symbolic_link_is_refused(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refusal), open_bundle(path, PASSWORD):
        pytest.fail("it must not open")


def test_a_directory_in_its_place_is_refused(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(Refusal), open_bundle(path, PASSWORD):
        pytest.fail("it must not open")


def test_a_value_that_hyops_would_cut_never_gets_in(path: Path) -> None:
    before = put(path, {"B_KEY": "stays here"})
    with open_bundle(path, PASSWORD) as bundle, pytest.raises(Refusal) as refused:
        bundle.merge({"A_KEY": "canary\x0bvalue"})
    assert "A_KEY would not read back" in refused.value.found
    assert "canary" not in "\n".join(refused.value.lines())
    assert path.read_bytes() == before


def test_a_change_by_another_program_is_noticed(path: Path) -> None:
    put(path, {"A_KEY": "one of before"})
    with open_bundle(path, PASSWORD) as bundle:
        theirs = put(path, {"A_KEY": "one of theirs"})
        with pytest.raises(Refusal, match=r"secrets\.bundle"):
            bundle.merge({"A_KEY": CANARY})
    assert path.read_bytes() == theirs
    assert bundles(path) == [NAME]


def test_a_full_disk_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = put(path, {"A_KEY": "one of before"})

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with open_bundle(path, PASSWORD) as bundle, pytest.raises(Fault, match=r"secrets\.bundle") as fault:
        bundle.merge({"A_KEY": CANARY})
    assert "No space left" in fault.value.found
    assert path.read_bytes() == before
    assert bundles(path) == [NAME]


def test_only_ciphertext_is_ever_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    real = os.fsync

    def watch(handle: int) -> None:
        for file in path.parent.iterdir():
            seen.append(file.read_bytes())
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
        real(handle)

    monkeypatch.setattr(files.os, "fsync", watch)
    with open_bundle(path, PASSWORD) as bundle:
        bundle.merge({"A_KEY": CANARY})
    assert any(seen)
    assert all(data.startswith(b"$ANSIBLE_VAULT;") for data in seen if data)  # empty: the lock, and a bundle that was not there


def test_the_new_file_is_on_disk_before_it_takes_the_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(path, {"A_KEY": "one of before"})
    events: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(handle: int) -> None:
        events.append("directory" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        real_fsync(handle)

    def replace(self: Path, target: Path) -> Path:
        events.append(f"replace {target.name[:10]}")
        return real_replace(self, target)

    monkeypatch.setattr(files.os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    with open_bundle(path, PASSWORD) as bundle:
        bundle.merge({"A_KEY": CANARY})
    assert events == ["file", "replace .former-bo", "directory", "file", "replace bootstrap.", "directory"]


def test_what_a_killed_run_left_is_cleared_away_and_hyops_plaintext_is_told(path: Path) -> None:
    path.parent.mkdir()
    draft = path.with_name(f"{files.DRAFT}{NAME}.0123456789abcdef")
    draft.write_bytes(b"$ANSIBLE_VAULT;1.1;AES256\n")
    plaintext = path.with_name("hyops.vaultenv.k3j2")
    plaintext.write_text("A=1\n")
    with open_bundle(path, PASSWORD) as bundle:
        assert bundle.leftovers == ("hyops.vaultenv.k3j2",)
    assert not draft.exists()
    assert plaintext.exists()


def test_what_it_held_comes_back(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(encrypt(b"OLD=value-of-old\n", PASSWORD.secret))
    before = path.read_bytes()
    with open_bundle(path, PASSWORD) as bundle:
        bundle.merge({"A_KEY": CANARY})
    assert files.put_back(path)
    assert path.read_bytes() == before


def test_what_it_held_at_first_comes_back_after_two_writers(path: Path) -> None:
    for name in ("A_KEY", "B_KEY"):
        with open_bundle(path, PASSWORD) as bundle:
            bundle.merge({name: CANARY})
    assert content(path).keys() == {"A_KEY", "B_KEY"}
    assert len(former(path)) == 1
    assert files.put_back(path)
    assert sorted(each.name for each in path.parent.iterdir()) == [LOCK]


def test_a_second_writer_waits_and_is_then_refused(path: Path) -> None:
    path.parent.mkdir()
    handle = os.open(path.parent / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(Refusal) as refused, open_bundle(path, PASSWORD, wait=0.1):
            pytest.fail("it must not open")
        assert "another writer" in refused.value.found
    finally:
        os.close(handle)


def _write(path: Path, name: str) -> None:
    with open_bundle(path, PASSWORD) as bundle:
        bundle.merge({name: f"value of {name}"})


def test_concurrent_writers_lose_nothing(path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    names = [f"KEY_{number}" for number in range(6)]
    writers = [fork.Process(target=_write, args=(path, name)) for name in names]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(20)
        assert writer.exitcode == 0
    assert content(path) == {name: f"value of {name}" for name in names}


def test_an_opened_bundle_prints_no_value(path: Path) -> None:
    put(path, {"A_KEY": CANARY})
    with open_bundle(path, PASSWORD) as bundle:
        assert "canary" not in repr(bundle)
    assert "canary" not in repr(PASSWORD)
