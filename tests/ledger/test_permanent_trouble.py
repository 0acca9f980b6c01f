"""What waiting does not mend, with a real git: a gate and a fix of its own, asked once, and never taken for silence."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hyops_ci.contracts.run import State
from hyops_ci.errors import DispatchError, Exit, Fault, Refusal
from hyops_ci.ledger.git_store import GitStore
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.standby import RISK, choose
from tests.ledger.ledger_setup import BRANCH, SERVICE, at, bare, git, request
from tests.support.git_http import GitServer, No, serve_git, serving

TOKEN = "ghs_CANARYcanary0123456789"
REF = f"refs/heads/{BRANCH}"


class Asked:
    """A ledger at an address, from a host that never saw it; how often it waited is counted."""

    def __init__(self, address: str, folder: Path, token: str = "") -> None:
        self.waits: list[float] = []
        self.ledger = Ledger(GitStore(address, BRANCH, folder, token, sleep=self.waits.append), SERVICE)

    def refused(self, gate: str, fix: str, act: Callable[[Ledger], object] = Ledger.tip) -> Refusal:
        with pytest.raises(Refusal) as caught:
            act(self.ledger)
        no = caught.value
        assert (no.gate, no.exit_code, self.waits) == (gate, Exit.CONFLICT, []), no.lines()
        assert fix in no.fix
        return no


@pytest.fixture
def standby(made: Ledger, remote: Path, tmp_path: Path) -> Ledger:
    """A copy of the ledger elsewhere, at hand for a run without GitHub."""
    mirror = bare(tmp_path / "mirror" / "standby.git")
    git(mirror, "fetch", "--quiet", str(remote), f"{REF}:{REF}")
    return Ledger.over_git(str(mirror), SERVICE, state_dir=tmp_path / "host")


def never_the_standby(primary: Ledger, standby: Ledger, gate: str) -> None:
    with pytest.raises(DispatchError) as caught:
        choose(primary, standby, break_glass=True)
    assert caught.value.gate == gate


# ------------------------------------------------------------------------------------------- address


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("reading", [True, False], ids=["read", "push"])
def test_a_repository_that_was_renamed(status: int, reading: bool, made: Ledger, remote: Path, tmp_path: Path, standby: Ledger) -> None:
    with serving(remote.parent) as elsewhere, serving(remote.parent, TOKEN) as server:
        server.redirect_to, server.redirect_status = elsewhere.url("").rstrip("/"), status
        server.redirects_reading = reading
        asked = Asked(server.url(remote.name), tmp_path / "copy", TOKEN)
        if reading:
            no = asked.refused("ledger.moved", "redirects")
            never_the_standby(asked.ledger, standby, "ledger.moved")
        else:
            no = push_redirected(asked)
        assert str(status) in no.found
        assert elsewhere.seen == []


def push_redirected(asked: Asked) -> Refusal:
    """Reading is a POST, too, where it fetches: the copy has all of it already."""
    with pytest.raises(Refusal, match=r"ledger\.moved") as caught:
        asked.ledger.claim(request(1))
    return caught.value


# --------------------------------------------------------------------------------------------- trust


def test_a_certificate_of_a_ca_that_the_host_does_not_know(
    made: Ledger, remote: Path, tmp_path: Path, standby: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_git(remote.parent, TOKEN) as server:
        address = server.url(remote.name)
        asked = Asked(address, tmp_path / "copy", TOKEN)
        asked.refused("ledger.untrusted", "GIT_SSL_CAINFO")
        never_the_standby(asked.ledger, standby, "ledger.untrusted")
        assert server.seen == []
        monkeypatch.setenv("GIT_SSL_CAINFO", str(server.ca))
        assert Asked(address, tmp_path / "copy", TOKEN).ledger.tip().epoch == 0, "and what the fix says helps"
        elsewhere = address.replace("github.localhost", "127.0.0.1")
        Asked(elsewhere, tmp_path / "other", TOKEN).refused("ledger.untrusted", "GIT_SSL_CAINFO")
        monkeypatch.setenv("GIT_SSL_CAINFO", str(tmp_path / "gone.pem"))
        Asked(address, tmp_path / "copy", TOKEN).refused("ledger.untrusted", "GIT_SSL_CAINFO")


@contextmanager
def proxy(answer: bytes) -> Iterator[str]:
    """A proxy that gives every CONNECT this answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_a_proxy_that_wants_a_password(made: Ledger, tmp_path: Path, standby: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    no = b'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n'
    with proxy(no) as address:
        monkeypatch.setenv("HTTPS_PROXY", address)
        asked = Asked("https://git.example.net/ledger.git", tmp_path / "copy", TOKEN)
        asked.refused("ledger.proxy", "HTTPS_PROXY")
        never_the_standby(asked.ledger, standby, "ledger.proxy")


def test_a_proxy_that_finds_no_way_is_silence(made: Ledger, tmp_path: Path, standby: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: nobody answers behind it."""
    with proxy(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n") as address:
        monkeypatch.setenv("HTTPS_PROXY", address)
        asked = Asked("https://git.example.net/ledger.git", tmp_path / "copy", TOKEN)
        assert choose(asked.ledger, standby, break_glass=True).risks == (RISK,)


SSH = {
    "a host key that is not known": (
        "No ED25519 host key is known for git.example.net and you have requested strict checking.\nHost key verification failed.",
        "ledger.untrusted",
        "known_hosts",
        "No ED25519 host key is known",
    ),
    "a key that is not accepted": ("git@git.example.net: Permission denied (publickey).", "ledger.token", "public half", "publickey"),
    "a key that may only read": (
        "ERROR: The key you are authenticating with has been marked as read only.",
        "ledger.denied",
        "write access",
        "read only",
    ),
}


@pytest.mark.parametrize("case", SSH)
def test_over_ssh(case: str, made: Ledger, tmp_path: Path, standby: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line of ssh that says why is shown, and not the one of git that follows."""
    said, gate, fix, found = SSH[case]
    fake_ssh(tmp_path, said, monkeypatch)
    asked = Asked("git@git.example.net:acme/recovery.git", tmp_path / "copy")
    no = asked.refused(gate, fix)
    assert found in no.found
    assert "Could not read" not in no.found
    never_the_standby(asked.ledger, standby, gate)


def test_over_ssh_nobody_answers(made: Ledger, tmp_path: Path, standby: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin."""
    fake_ssh(tmp_path, "ssh: connect to host git.example.net port 22: Connection timed out", monkeypatch)
    asked = Asked("ssh://git@git.example.net/acme/recovery.git", tmp_path / "copy")
    chosen = choose(asked.ledger, standby, break_glass=True)
    assert chosen.risks == (RISK,)
    with pytest.raises(Fault, match=r"ledger\.unreachable") as caught:
        asked.ledger.tip()
    assert "Connection timed out" in caught.value.found


def fake_ssh(folder: Path, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrapper(folder, "ssh", f"cat >&2 <<'END'\n{said}\nEND\nexit 255\n", monkeypatch)


def wrapper(folder: Path, name: str, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / name).write_text(f"#!/bin/sh\n{body}")
    (folder / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")


# ---------------------------------------------------------------------------------------- this host


def test_a_repository_of_another_user(made: Ledger, remote: Path, tmp_path: Path, standby: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused until the administrator of the host calls it safe, in the system's config; the user's is not asked."""
    real, system = shutil.which("git"), tmp_path / "gitconfig"
    system.write_text("")
    body = f'export GIT_TEST_ASSUME_DIFFERENT_OWNER=1 GIT_CONFIG_SYSTEM={system}\nexec {real} "$@"\n'
    wrapper(tmp_path, "git", body, monkeypatch)
    asked = Asked(str(remote), tmp_path / "copy")
    no = asked.refused("ledger.denied", "git config --system --add safe.directory")
    assert "dubious ownership" in no.found
    system.write_text(f"[safe]\n\tdirectory = {remote}\n")
    assert Asked(str(remote), tmp_path / "copy").ledger.claim(request(1)).epoch == 1


def test_a_git_that_does_not_send_the_token(remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 2.31 git knows no config in its environment: the remote calls for a token that was there all the time."""
    real = shutil.which("git")
    body = 'for last; do :; done\nif [ "$last" = version ]; then echo git version 2.30.2; exit; fi\n'
    body += f'unset GIT_CONFIG_COUNT\nexec {real} "$@"\n'
    wrapper(tmp_path, "git", body, monkeypatch)
    with serving(remote.parent, TOKEN) as server:
        with pytest.raises(Fault, match=r"ledger\.git") as caught:
            Asked(server.url(remote.name), tmp_path / "copy", TOKEN).ledger.tip()
        assert (caught.value.found, caught.value.expected) == ("git 2.30.2", "git 2.31 or newer")
        Asked(server.url(remote.name), tmp_path / "copy").refused("ledger.token", "export GH_TOKEN=$(gh auth token)")


# -------------------------------------------------------------------------------------- repository


def test_a_repository_of_the_other_object_format(tmp_path: Path, standby: Ledger) -> None:
    for name, served in (("disk", False), ("http", True)):
        place = tmp_path / name / "ledger.git"
        place.mkdir(parents=True)
        git(place, "init", "--quiet", "--bare", "--object-format=sha256")
        git(place, "config", "http.receivepack", "true")
        with serving(place.parent) as server:
            address = server.url(place.name) if served else str(place)
            Asked(address, tmp_path / f"{name}-copy").refused("ledger.repository", "sha1", lambda ledger: ledger.init("onprem", at()))
            git(place, "update-ref", REF, git(place, "commit-tree", git(place, "mktree"), "-m", "x"))
            asked = Asked(address, tmp_path / f"{name}-copy")
            asked.refused("ledger.repository", "sha1")
            never_the_standby(asked.ledger, standby, "ledger.repository")


@pytest.mark.parametrize("other", ["dr-ledger", "dr-ledger/pg-ha", f"{BRANCH}/old"])
def test_a_branch_in_the_way(other: str, remote: Path, tmp_path: Path) -> None:
    git(remote, "update-ref", f"refs/heads/{other}", git(remote, "commit-tree", git(remote, "mktree"), "-m", "x"))
    no = Asked(str(remote), tmp_path / "copy").refused("ledger.repository", "rename", lambda ledger: ledger.init("onprem", at()))
    assert other in no.found


def test_a_working_copy_with_the_branch_checked_out(made: Ledger, remote: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--branch", BRANCH, str(remote), "checkout")
    asked = Asked(str(tmp_path / "checkout"), tmp_path / "copy")
    asked.refused("ledger.repository", "check out another branch", lambda ledger: ledger.claim(request(1)))


@pytest.mark.parametrize(
    ("said", "gate", "fix"),
    [
        ("GH007: Your push would publish a private email address.", "ledger.rules", "Emails"),
        ("fatal: unable to write loose object file: No space left on device", "ledger.repository", "make room"),
        ("Your push would cause the project to exceed the allocated storage limit.", "ledger.repository", "make room"),
    ],
)
def test_a_push_that_the_remote_does_not_take(said: str, gate: str, fix: str, made: Ledger, remote: Path, tmp_path: Path) -> None:
    hook = remote / "hooks" / "pre-receive"
    hook.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    hook.chmod(0o755)
    no = Asked(str(remote), tmp_path / "copy").refused(gate, fix, lambda ledger: ledger.claim(request(1)))
    assert said in no.found


def test_a_shallow_clone(made: Ledger, remote: Path, tmp_path: Path, standby: Ledger) -> None:
    """It names the commit and sends another history: the remote is to blame, not this host."""
    made.advance(made.claim(request(1)), State.FAILED, at=at(1))
    git(tmp_path, "clone", "--quiet", "--bare", "--depth", "1", "--branch", BRANCH, remote.as_uri(), "shallow.git")
    asked = Asked(str(tmp_path / "shallow.git"), tmp_path / "copy")
    asked.refused("ledger.repository", "--unshallow")
    never_the_standby(asked.ledger, standby, "ledger.repository")


@pytest.mark.parametrize("served", [False, True], ids=["disk", "http"])
def test_a_remote_that_is_damaged(served: bool, made: Ledger, remote: Path, tmp_path: Path, standby: Ledger) -> None:
    """Its objects are gone, and it says so: no silence, and no fault of this host's copy."""
    first = git(remote, "rev-parse", f"{REF}:tip.json")
    made.claim(request(1))
    path = remote / "objects" / first[:2] / first[2:]
    path.chmod(0o600)
    path.write_bytes(b"")
    with serving(remote.parent) as server:
        asked = Asked(server.url(remote.name) if served else str(remote), tmp_path / "copy")
        asked.refused("ledger.repository", "git fsck")
        never_the_standby(asked.ledger, standby, "ledger.repository")


# --------------------------------------------------------------------------------- what is silence


@pytest.mark.parametrize("answer", [No(500), No(503, "Unicorn!")], ids=["500", "503"])
def test_a_server_that_is_out_of_order_is_silence(answer: No, made: Ledger, remote: Path, tmp_path: Path, standby: Ledger) -> None:
    """The twin of all of these."""
    with serving(remote.parent) as server:
        server.everything = True
        server.trouble.extend([answer] * 20)
        asked = Asked(server.url(remote.name), tmp_path / "copy")
        chosen = choose(asked.ledger, standby, break_glass=True)
        assert (chosen.ledger, chosen.risks) == (standby, (RISK,))


def test_an_answer_that_nobody_understands_is_no_silence(made: Ledger, remote: Path, tmp_path: Path, standby: Ledger) -> None:
    with serving(remote.parent) as server:
        server.everything = True
        server.trouble.extend([No(418, "I am a teapot")] * 20)
        asked = Asked(server.url(remote.name), tmp_path / "copy")
        never_the_standby(asked.ledger, standby, "ledger.failed")
        assert len(asked.waits) == 3, "it may pass"


def test_a_history_that_does_not_come_to_its_end_is_no_silence(
    server: GitServer, made: Ledger, remote: Path, tmp_path: Path, standby: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remote has said where the branch is; somebody may have made it so large that reading never ends."""
    monkeypatch.setattr("hyops_ci.ledger.git_branch.TIMEOUT", 4.0)
    held = threading.Event()
    server.on_request = lambda path: held.wait(60) if path.endswith("git-upload-pack") and len(server.seen) > 2 else None
    asked = Asked(server.url(remote.name), tmp_path / "copy")
    never_the_standby(asked.ledger, standby, "ledger.failed")
    held.set()
    assert asked.waits == []
