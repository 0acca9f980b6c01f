"""The Git server of the tests lets in one token and nobody else."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from tests.support.git_http import GitServer, serve_git

IDENTITY = ("-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "credential.helper=")


def git(
    folder: Path, *words: str, server: GitServer | None = None, token: str = "", ca: Path | None = None
) -> subprocess.CompletedProcess[str]:
    basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    header = ("-c", f"http.extraHeader=Authorization: Basic {basic}") if token else ()
    command = ["git", *IDENTITY, *header, *words]
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), "GIT_TERMINAL_PROMPT": "0"}
    environment |= {"GIT_SSL_CAINFO": str(ca or server.ca)} if server else {}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    bare = tmp_path / "served" / "acme" / "recovery"
    bare.mkdir(parents=True)
    git(bare, "init", "-q", "--bare", ".")
    folder = tmp_path / "work"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main", ".")
    (folder / "big").write_bytes(bytes(range(256)) * 8192)
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    return folder


def test_what_is_pushed_with_the_token_comes_back(tmp_path: Path, work: Path) -> None:
    with serve_git(tmp_path / "served", "t0ken") as server:
        pushed = git(work, "push", "-q", f"{server.origin}/acme/recovery", "main", server=server, token="t0ken")
        assert pushed.returncode == 0, pushed.stderr
        copy = tmp_path / "copy"
        cloned = git(tmp_path, "clone", "-q", "-b", "main", f"{server.origin}/acme/recovery", str(copy), server=server, token="t0ken")
        assert cloned.returncode == 0, cloned.stderr
    assert (copy / "big").read_bytes() == (work / "big").read_bytes()


def test_it_is_open_to_the_tokens_of_others_that_it_is_told(tmp_path: Path, work: Path) -> None:
    with serve_git(tmp_path / "served", "t0ken") as server:
        server.also.add("priyas")
        for token, expected in (("t0ken", 0), ("priyas", 0), ("priya", 128)):
            assert git(work, "ls-remote", f"{server.origin}/acme/recovery", server=server, token=token).returncode == expected, token


@pytest.mark.parametrize("token", ["", "other"])
def test_without_the_token_nothing_is_read_or_written(tmp_path: Path, work: Path, token: str) -> None:
    with serve_git(tmp_path / "served", "t0ken") as server:
        assert git(work, "push", "-q", f"{server.origin}/acme/recovery", "main", server=server, token=token).returncode != 0
        assert git(work, "ls-remote", f"{server.origin}/acme/recovery", server=server, token=token).returncode != 0


def test_a_push_that_is_no_fast_forward_is_refused(tmp_path: Path, work: Path) -> None:
    with serve_git(tmp_path / "served", "t0ken") as server:
        assert git(work, "push", "-q", f"{server.origin}/acme/recovery", "main", server=server, token="t0ken").returncode == 0
        git(work, "commit", "-q", "--amend", "-m", "another")
        refused = git(work, "push", "-q", f"{server.origin}/acme/recovery", "main", server=server, token="t0ken")
    assert refused.returncode != 0
    assert "non-fast-forward" in refused.stderr


def test_another_certificate_is_not_taken(tmp_path: Path, work: Path) -> None:
    with serve_git(tmp_path / "served", "t0ken") as server, serve_git(tmp_path / "served", "t0ken") as other:
        said = git(work, "ls-remote", f"{server.origin}/acme/recovery", server=server, token="t0ken", ca=other.ca)
    assert "certificate" in said.stderr
