from __future__ import annotations

import os
from pathlib import Path

import pytest

from hyops_ci import files
from hyops_ci.errors import Exit, Refusal
from hyops_ci.secrets.password import read_password


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("  canary of many words \r\n")
    path.chmod(0o600)
    return path


def refusal(path: str) -> str:
    with pytest.raises(Refusal) as refused:
        read_password(path)
    assert refused.value.gate == "secrets.password"
    assert refused.value.exit_code is Exit.SECRETS
    text = "\n".join(refused.value.lines())
    assert "canary" not in text
    return text


def test_it_is_read_as_ansible_reads_it(file: Path) -> None:
    password = read_password(str(file))
    assert password.secret == b"canary of many words"
    assert repr(password) == f"Password(source={str(file)!r})"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o622, 0o700, 0o500])
def test_modes_that_are_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert "chmod 0600" in refusal(str(file))


def test_read_only_is_fine(file: Path) -> None:
    file.chmod(0o400)
    assert read_password(str(file)).secret


def test_the_owner_counts(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        assert read_password(str(file)).secret
        os.chown(file, 4242, -1)
    else:
        monkeypatch.setattr(files.os, "geteuid", lambda: file.stat().st_uid + 1)
    assert "belongs to uid" in refusal(str(file))


@pytest.mark.parametrize(
    "content, says",
    [(b"", "is empty"), (b" \n", "is empty"), (b"$ANSIBLE_VAULT;1.1;AES256\n00", "itself a vault"), (b"x" * 5000, "5000 bytes")],
)
def test_contents_that_are_refused(file: Path, content: bytes, says: str) -> None:
    file.write_bytes(content)
    assert says in refusal(str(file))


def test_things_that_are_no_file(tmp_path: Path) -> None:
    assert "no password file" in refusal("")
    assert "absolute" in refusal("relative/path")
    assert "No such file" in refusal(str(tmp_path / "absent"))
    assert "not a regular file" in refusal(str(tmp_path))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    assert "not a regular file" in refusal(str(pipe))
