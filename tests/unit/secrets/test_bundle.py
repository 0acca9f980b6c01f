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
from hyops_ci.secrets.bundle import NAME, open_bundle, read_values
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


def content(path: Path) -> dict[str, str]:
    return read_values(path.read_bytes(), PASSWORD, path)


def test_a_first_bundle_is_private_and_alone(path: Path) -> None:
    with open_bundle(path, PASSWORD) as bundle:
        written = bundle.merge({"A_KEY": CANARY})
    assert content(path) == {"A_KEY": CANARY}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [file.name for file in path.parent.iterdir()] == [NAME]
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
    assert [file.name for file in path.parent.iterdir()] == [NAME]


def test_a_full_disk_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = put(path, {"A_KEY": "one of before"})

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with open_bundle(path, PASSWORD) as bundle, pytest.raises(Fault, match=r"secrets\.bundle") as fault:
        bundle.merge({"A_KEY": CANARY})
    assert "No space left" in fault.value.found
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [NAME]


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
    assert seen
    assert all(data.startswith(b"$ANSIBLE_VAULT;") for data in seen)


def test_the_new_file_is_on_disk_before_it_takes_the_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(path, {"A_KEY": "one of before"})
    events: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(handle: int) -> None:
        events.append("directory" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        real_fsync(handle)

    def replace(self: Path, target: Path) -> Path:
        events.append("replace")
        return real_replace(self, target)

    monkeypatch.setattr(files.os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    with open_bundle(path, PASSWORD) as bundle:
        bundle.merge({"A_KEY": CANARY})
    assert events == ["file", "replace", "directory"]


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


def test_a_second_writer_waits_and_is_then_refused(path: Path) -> None:
    path.parent.mkdir()
    handle = os.open(path.parent, os.O_RDONLY)
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
