"""What a remote does on a bad night: it loses answers, says 503, hangs up, denies, is not there, or hangs."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from hyops_ci.contracts.run import State
from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.ledger import command
from hyops_ci.ledger.git import WAITS, GitStore
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.transitions import advanced, claimed
from tests.ledger.http_backend import GitServer, Trouble, serving
from tests.ledger.scene import BRANCH, SERVICE, at, bare, git, request

TOKEN = "ghs_CANARYcanary0123456789"


class Watch:
    """Counts the waiting instead of doing it."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


def client(address: str, folder: Path, watch: Watch | None = None, token: str = "") -> Ledger:
    return Ledger(GitStore(address, BRANCH, folder, token, sleep=(watch or Watch()).sleep), SERVICE)


@pytest.mark.parametrize("troubles", [["lose-answer"], ["503"], ["drop"], ["503", "drop", "lose-answer"], ["drop", "503", "503"]])
def test_a_push_is_settled_by_reading(server: GitServer, remote: Path, tmp_path: Path, troubles: list[Trouble]) -> None:
    ledger = client(server.url(remote.name), tmp_path / "cache")
    ledger.init("onprem", at(-60))
    server.trouble.extend(troubles)
    claim = ledger.claim(request(1))
    assert not server.trouble, "all of it happened"
    assert [tip.epoch for tip in ledger.history()] == [1, 0], "one claim, not one per try"
    assert ledger.tip().claim == claim


def test_the_last_try_is_settled_by_reading_too(server: GitServer, remote: Path, tmp_path: Path) -> None:
    ledger = client(server.url(remote.name), tmp_path / "cache")
    ledger.init("onprem", at(-60))
    server.trouble.extend(["503"] * len(WAITS) + ["lose-answer"])
    claim = ledger.claim(request(1))
    assert ledger.tip().claim == claim


def test_a_lost_answer_with_others_behind_it(server: GitServer, remote: Path, tmp_path: Path) -> None:
    """Our commit is no longer the tip when we look, but an ancestor of it: it was ours, and it took effect."""
    store = GitStore(server.url(remote.name), BRANCH, tmp_path / "cache", sleep=lambda _: None)
    ledger = Ledger(store, SERVICE)
    ledger.init("onprem", at(-60))
    claim = ledger.claim(request(1))
    before = store.read()
    assert before is not None
    ours = advanced(before.tip, claim, State.FAILED, at=at(1))
    local = GitStore(str(remote), BRANCH, tmp_path / "other")
    read = store.read

    def others_first() -> object:
        if (head := local.read()) and head.commit != before.commit and len(head.tips) == 3:
            local.append(head.commit, claimed(head.tip, request(2, at=at(2)), "claim-2"), "second")
        return read()

    store.read = others_first  # type: ignore[method-assign, assignment]
    server.trouble.append("lose-answer")
    assert store.append(before.commit, ours, "ours") is not None


def test_reading_through_trouble(server: GitServer, remote: Path, tmp_path: Path) -> None:
    watch = Watch()
    ledger = client(server.url(remote.name), tmp_path / "cache", watch)
    ledger.init("onprem", at(-60))
    server.everything = True
    server.trouble.extend(["503", "drop"])
    assert ledger.tip().epoch == 0
    assert tuple(watch.waits) == WAITS[:2]


def test_a_remote_that_stays_silent_is_a_fault(remote: Path, tmp_path: Path) -> None:
    with serving(remote.parent) as server:
        address = server.url(remote.name)
        client(address, tmp_path / "cache").init("onprem", at(-60))
    watch = Watch()
    with pytest.raises(Fault) as caught:
        client(address, tmp_path / "cache", watch).claim(request(1))
    assert (caught.value.gate, caught.value.exit_code) == ("ledger.unreachable", Exit.UNAVAILABLE)
    assert tuple(watch.waits) == WAITS


def test_a_port_that_looks_like_a_status_is_no_denial(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"ledger\.unreachable"):
        client("http://127.0.0.1:40/403/401/ledger.git", tmp_path / "cache").tip()


def test_a_remote_that_hangs_is_given_up_with_all_that_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """git's own child holds the pipes: ending git alone would wait for it for ever."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "git"
    script.write_text(f"#!/bin/sh\nsleep 60 &\necho $! > {tmp_path}/pid\nsleep 60\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    (tmp_path / "cache").mkdir()
    begun = time.monotonic()
    answer = command.Git(str(tmp_path), tmp_path / "cache").run("push", limit=0.5)
    assert answer.code == command.NO_ANSWER
    assert time.monotonic() - begun < 10
    pid = int((tmp_path / "pid").read_text())
    for _ in range(100):
        stat_file = Path(f"/proc/{pid}/stat")
        if not stat_file.exists() or stat_file.read_text().split()[2] == "Z":
            break
        time.sleep(0.02)
    else:
        pytest.fail("a child of git is still running")


def test_no_right_to_read(remote: Path, tmp_path: Path) -> None:
    with serving(remote.parent, TOKEN) as server:
        for token in ("", "ghs_wrong"):
            with pytest.raises(Refusal) as caught:
                client(server.url(remote.name), tmp_path / "cache", token=token).tip()
            assert (caught.value.gate, caught.value.exit_code) == ("ledger.denied", Exit.CONFLICT)


def test_no_right_to_push(server: GitServer, remote: Path, tmp_path: Path) -> None:
    ledger = client(server.url(remote.name), tmp_path / "cache")
    ledger.init("onprem", at(-60))
    git(remote, "config", "http.receivepack", "false")
    watch = Watch()
    with pytest.raises(Refusal, match=r"ledger\.denied"):
        client(server.url(remote.name), tmp_path / "cache", watch).claim(request(1))
    assert watch.waits == [], "a no is not asked again"


def test_a_ruleset_that_forbids_the_push(made: Ledger, remote: Path) -> None:
    hook = remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'GH013: Repository rule violations found' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(Refusal) as caught:
        made.claim(request(1))
    assert caught.value.gate == "ledger.denied"
    assert "GH013" in caught.value.found
    assert made.tip().epoch == 0


def test_no_such_repository(server: GitServer, tmp_path: Path) -> None:
    for address in (server.url("nothing.git"), str(tmp_path / "nothing.git")):
        with pytest.raises(Refusal) as caught:
            client(address, tmp_path / "cache").tip()
        assert (caught.value.gate, caught.value.exit_code) == ("ledger.missing", Exit.CONFLICT)


def test_a_redirect_is_not_followed(remote: Path, tmp_path: Path) -> None:
    """It would take the token along."""
    with serving(remote.parent) as elsewhere, serving(remote.parent, TOKEN) as server:
        server.redirect_to = elsewhere.url("").rstrip("/")
        with pytest.raises((Fault, Refusal)):
            client(server.url(remote.name), tmp_path / "cache", token=TOKEN).tip()
        assert server.seen
        assert elsewhere.seen == []


@pytest.mark.parametrize(
    "address",
    [
        "https://maria:secret@git.example.net/ledger.git",
        "https://ghs_secret@git.example.net/ledger.git",
        "http://git.example.net/ledger.git",
    ],
)
def test_an_address_that_would_show_a_secret(address: str, tmp_path: Path) -> None:
    with pytest.raises(Refusal) as caught:
        client(address, tmp_path / "cache", token=TOKEN)
    assert (caught.value.gate, caught.value.exit_code) == ("ledger.remote", Exit.USAGE)
    text = "\n".join(caught.value.lines())
    assert "secret" not in text.replace("a secret", "")
    assert TOKEN not in text


@pytest.mark.parametrize("address", ["ext::sh -c 'touch {canary}'", "--upload-pack=touch {canary}", "fd::17"])
def test_an_address_is_never_a_command(address: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    with pytest.raises((Refusal, Fault)):
        client(address.format(canary=canary), tmp_path / "cache").tip()
    assert not canary.exists()


def test_a_path_is_the_callers_and_not_the_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare(tmp_path / "near.git")
    monkeypatch.chdir(tmp_path)
    client("near.git", tmp_path / "cache").init("onprem", at())
    assert git(tmp_path / "near.git", "for-each-ref", "--format=%(refname)") == f"refs/heads/{BRANCH}"


def test_no_git_on_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Fault, match=r"ledger\.git"):
        client(str(tmp_path), tmp_path / "cache").tip()
