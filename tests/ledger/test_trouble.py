"""Failures of a remote: it loses answers, returns 503, hangs up, denies, is not there, or hangs."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.contracts.run import State
from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.execution.processes import read_process
from hyops_ci.ledger import git_process
from hyops_ci.ledger.git_branch import LONG_WAITS, WAITS
from hyops_ci.ledger.git_store import GitStore
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.transitions import advanced, claimed
from tests.ledger.ledger_setup import ANSWERS, BRANCH, SERVICE, at, bare, git, request, signed, subject
from tests.support.git_http import BUSY, GitServer, No, Trouble, serving
from tests.support.ports import free_port

TOKEN = "ghs_CANARYcanary0123456789"


class Watch:
    """Counts the waiting instead of doing it."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


def client(address: str, folder: Path, watch: Watch | None = None, token: str = "") -> Ledger:
    return Ledger(GitStore(address, BRANCH, folder, token, sleep=(watch or Watch()).sleep), SERVICE)


@pytest.mark.parametrize("troubles", [["lose-answer"], [BUSY], ["drop"], [BUSY, "drop", "lose-answer"], ["drop", BUSY, BUSY]])
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
    server.trouble.extend([BUSY] * len(WAITS) + ["lose-answer"])
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

    store.read = others_first  # type: ignore[method-assign, assignment]  # of this store alone
    server.trouble.append("lose-answer")
    assert store.append(before.commit, ours, "ours") is not None


def test_reading_through_trouble(server: GitServer, remote: Path, tmp_path: Path) -> None:
    watch = Watch()
    ledger = client(server.url(remote.name), tmp_path / "cache", watch)
    ledger.init("onprem", at(-60))
    server.everything = True
    server.trouble.extend([BUSY, "drop"])
    assert ledger.tip().epoch == 0
    assert tuple(watch.waits) == WAITS[:2]


def test_a_remote_that_stays_silent_is_a_fault(remote: Path, tmp_path: Path) -> None:
    with serving(remote.parent, port=free_port()) as server:
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
    answer = git_process.Git(str(tmp_path), tmp_path / "cache").run("push", limit=2)
    assert answer.code == git_process.NO_ANSWER
    assert time.monotonic() - begun < 10
    pid, until = int((tmp_path / "pid").read_text()), time.monotonic() + 60
    while (child := read_process(pid)) is not None and child.state not in "ZX":
        assert time.monotonic() < until, "a child of git is still running"
        time.sleep(0.02)


REF = f"refs/heads/{BRANCH}"
AT_GITHUB: dict[str, tuple[No, str, str, str]] = {
    # what GitHub answers -> gate, what is quoted, what is to be done
    "a token that ran out": (
        No(401, "Invalid username or token. Password authentication is not supported for Git operations."),
        "ledger.token",
        "Invalid username or token",
        "lives as long as its job",
    ),
    "a token that may only read": (
        No(403, "Permission to acme/recovery.git denied to github-actions[bot]."),
        "ledger.denied",
        "Permission to acme/recovery.git denied to github-actions[bot].",
        "contents: write",
    ),
    "an App without the right": (No(403, "Write access to repository not granted."), "ledger.denied", "not granted", "contents: write"),
    "an archived repository": (
        No(403, "This repository was archived so it is read-only."),
        "ledger.denied",
        "was archived",
        "unarchive it",
    ),
    "an organization with SSO": (
        No(403, "The 'acme' organization has enabled or enforced SAML SSO.\nTo access this repository, visit https://x"),
        "ledger.denied",
        "enforced SAML SSO.",
        "authorize the token",
    ),
    "a private repository of somebody else": (
        No(404, "Repository not found."),
        "ledger.missing",
        "Repository not found.",
        "its own repository only",
    ),
}


@pytest.mark.parametrize("case", AT_GITHUB)
@pytest.mark.parametrize("reading", [True, False], ids=["read", "push"])
def test_each_no_of_github_has_its_own_way_out(case: str, reading: bool, server: GitServer, remote: Path, tmp_path: Path) -> None:
    answer, gate, quoted, fix = AT_GITHUB[case]
    watch = Watch()
    ledger = client(server.url(remote.name), tmp_path / "cache", watch, TOKEN)
    ledger.init("onprem", at(-60))
    server.everything = reading
    server.trouble.extend([answer] * (3 if answer.status == 401 else 1))  # git asks for a name and a password, and gets none
    with pytest.raises(Refusal) as caught:
        ledger.claim(request(1))
    server.trouble.clear()
    refusal = caught.value
    assert (refusal.gate, refusal.exit_code, watch.waits) == (gate, Exit.CONFLICT, []), "a no is not asked again"
    assert quoted in refusal.found
    assert BRANCH in refusal.found
    assert fix in refusal.fix
    assert refusal.expected
    assert ledger.tip().epoch == 0


RULES = {
    "a ruleset": (
        """error: GH013: Repository rule violations found for refs/heads/dr-ledger/pg-ha/prod.
Review all repository rules at https://github.com/acme/recovery/rules?ref=x

- Changes must be made through a pull request.
""",
        "GH013: Repository rule violations found for refs/heads/dr-ledger/pg-ha/prod.; Changes must be made through a pull request.",
    ),
    "signed commits": (
        """error: GH013: Repository rule violations found for refs/heads/dr-ledger/pg-ha/prod.
- Commits must have verified signatures.
  Found 1 violation:
""",
        "Commits must have verified signatures.",
    ),
    "a protected branch": (
        "error: GH006: Protected branch update failed for refs/heads/dr-ledger/pg-ha/prod.\nerror: Required status check is expected.\n",
        "GH006: Protected branch update failed for refs/heads/dr-ledger/pg-ha/prod.; Required status check is expected.",
    ),
    "a hook that says nothing": ("", "pre-receive hook declined"),
}


@pytest.mark.parametrize("case", RULES)
def test_a_rule_that_forbids_the_push_is_quoted(case: str, server: GitServer, remote: Path, tmp_path: Path) -> None:
    text, found = RULES[case]
    watch = Watch()
    ledger = client(server.url(remote.name), tmp_path / "cache", watch)
    ledger.init("onprem", at(-60))
    declining(remote, text)
    with pytest.raises(Refusal) as caught:
        ledger.claim(request(1))
    assert (caught.value.gate, caught.value.exit_code, watch.waits) == ("ledger.rules", Exit.CONFLICT, [])
    assert found in caught.value.found
    assert "ledger init" in caught.value.fix
    assert ledger.tip().epoch == 0


def declining(remote: Path, text: str) -> None:
    hook = remote / "hooks" / "pre-receive"
    hook.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{text}END\nexit 1\n")
    hook.chmod(0o755)


def test_a_race_that_a_rule_hides_is_a_race(server: GitServer, remote: Path, tmp_path: Path) -> None:
    """While our push was on its way somebody else's came first, and the rule against force-push answered ours."""
    ours, theirs = (client(str(remote), tmp_path / name) for name in ("ours", "theirs"))
    ours.init("onprem", at(-60))
    hook = remote / "hooks" / "pre-receive"
    waiting = tmp_path / "waiting"
    hook.write_text(
        f"#!/bin/sh\ntest -e {waiting} || exit 0\n"
        "echo 'error: GH013: Repository rule violations found' >&2; echo '- Cannot force-push to this branch' >&2; exit 1\n"
    )
    hook.chmod(0o755)
    store = ours._store
    append = store.append

    def overtaken(*words: Any) -> str | None:
        theirs.answer(signed(subject(ours.tip().ledger_id, 2)), subject=subject(ours.tip().ledger_id, 2), at=at(), **ANSWERS)
        waiting.touch()
        try:
            return append(*words)
        finally:
            waiting.unlink()
            store.append = append  # type: ignore[method-assign]  # of this store alone

    store.append = overtaken  # type: ignore[method-assign]  # of this store alone
    assert ours.claim(request(1)).epoch == 1
    assert [tip.epoch for tip in ours.history()] == [1, 0, 0]


@pytest.mark.parametrize("status", [429, 403])
@pytest.mark.parametrize("reading", [True, False], ids=["read", "push"])
def test_a_limit_is_waited_for(status: int, reading: bool, server: GitServer, remote: Path, tmp_path: Path) -> None:
    """GitHub uses both; its words tell a 403 of the one kind from one of the other."""
    watch = Watch()
    client(server.url(remote.name), tmp_path / "other", Watch(), TOKEN).init("onprem", at(-60))
    ledger = client(server.url(remote.name), tmp_path / "cache", watch, TOKEN)
    server.everything = reading
    limit = No(status, "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.")
    server.trouble.extend([limit, limit])
    assert ledger.claim(request(1)).epoch == 1
    assert tuple(watch.waits) == LONG_WAITS[:2]
    assert [tip.epoch for tip in ledger.history()] == [1, 0]


def test_a_limit_that_stays(server: GitServer, remote: Path, tmp_path: Path) -> None:
    watch = Watch()
    ledger = client(server.url(remote.name), tmp_path / "cache", watch)
    ledger.init("onprem", at(-60))
    server.trouble.extend([No(429, "API rate limit exceeded")] * 4)
    with pytest.raises(Fault) as caught:
        ledger.claim(request(1))
    assert (caught.value.gate, caught.value.exit_code) == ("ledger.limited", Exit.UNAVAILABLE)
    assert tuple(watch.waits) == LONG_WAITS
    assert sum(LONG_WAITS) <= 120


def test_without_a_token_nothing_is_asked_of_a_person(remote: Path, tmp_path: Path) -> None:
    with serving(remote.parent, TOKEN) as server:
        for token in ("", "ghs_wrong"):
            with pytest.raises(Refusal) as caught:
                client(server.url(remote.name), tmp_path / "cache", token=token).tip()
            assert (caught.value.gate, caught.value.exit_code) == ("ledger.token", Exit.CONFLICT)
            assert "DR_TOKEN" in caught.value.expected


def test_a_repository_that_takes_no_pushes(server: GitServer, remote: Path, tmp_path: Path) -> None:
    ledger = client(server.url(remote.name), tmp_path / "cache")
    ledger.init("onprem", at(-60))
    git(remote, "config", "http.receivepack", "false")
    watch = Watch()
    with pytest.raises(Refusal, match=r"ledger\.denied"):
        client(server.url(remote.name), tmp_path / "cache", watch).claim(request(1))
    assert watch.waits == []


def test_a_lock_that_nobody_lets_go(made: Ledger, remote: Path, tmp_path: Path) -> None:
    """A remote on disk whose branch stays locked is trouble, not two hundred lost races."""
    watch = Watch()
    ledger = client(str(remote), tmp_path / "cache", watch)
    ledger.tip()
    (remote / f"{REF}.lock").touch()
    with pytest.raises(Fault, match=r"ledger\.failed") as caught:
        ledger.claim(request(1))
    assert "cannot lock ref" in caught.value.found
    assert tuple(watch.waits) == WAITS


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
