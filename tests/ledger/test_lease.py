"""What happens to a branch between our reading and our push: the push holds only while the branch is what was read.

On a remote that would let anybody do anything, as a repository on disk or on GitHub without a ruleset does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.errors import Exit, Refusal
from hyops_ci.ledger.git_store import GitStore
from hyops_ci.ledger.last_seen import TipMemory
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.transitions import first_tip
from tests.ledger.ledger_setup import BRANCH, SERVICE, at, git, request
from tests.support.git_http import GitServer

REF = f"refs/heads/{BRANCH}"


@pytest.fixture(params=["bare", "http"])
def address(request: pytest.FixtureRequest, remote: Path) -> str:
    """The same repository on disk and behind HTTP; it forbids nothing."""
    git(remote, "config", "receive.denyNonFastForwards", "false")
    if request.param == "bare":
        return str(remote)
    server: GitServer = request.getfixturevalue("server")
    return server.url(remote.name)


@pytest.fixture(params=[True, False], ids=["memory", "no-memory"])
def ours(request: pytest.FixtureRequest, address: str, tmp_path: Path) -> Ledger:
    memory = TipMemory(tmp_path / "memory.json") if request.param else None
    ledger = Ledger(GitStore(address, BRANCH, tmp_path / "ours", sleep=lambda _: None), SERVICE, memory)
    ledger.init("onprem", at(-60))
    ledger.claim(request_of_drill())
    return ledger


def request_of_drill() -> Any:
    return request(7, drill=True, at=at(-50))


def before_the_push(ledger: Ledger, deed: Callable[[], object]) -> None:
    """Do `deed` once, when the next push of `ledger` is about to begin."""
    store = ledger._store
    append = store.append

    def late(*words: Any) -> str | None:
        store.append = append  # type: ignore[method-assign]  # of this store alone
        deed()
        return append(*words)

    store.append = late  # type: ignore[method-assign]  # of this store alone


def alarmed(ledger: Ledger) -> str:
    with pytest.raises(Refusal) as caught:
        ledger.claim(request(1))
    assert (caught.value.gate, caught.value.exit_code) == ("ledger.alarm", Exit.CONFLICT)
    assert "ALARM" in caught.value.fix
    return caught.value.found


def test_a_branch_that_is_deleted_is_not_made_again(ours: Ledger, remote: Path) -> None:
    """A push of our commit alone would bring it back with its whole history, as if nothing had happened."""
    before_the_push(ours, lambda: git(remote, "update-ref", "-d", REF))
    assert "is gone; it was at" in alarmed(ours)
    assert git(remote, "for-each-ref") == ""


def test_a_branch_that_is_rolled_back_is_not_brought_forward(ours: Ledger, remote: Path) -> None:
    """Our commit is a descendant of what it was rolled back to: as a fast-forward alone it would go through."""
    before_the_push(ours, lambda: git(remote, "update-ref", REF, f"{REF}^"))
    assert "has not grown from" in alarmed(ours)
    assert git(remote, "rev-list", "--count", REF) == "1"


def test_a_branch_that_is_replaced_is_left_alone(ours: Ledger, address: str, remote: Path, tmp_path: Path) -> None:
    def replace() -> None:
        git(remote, "update-ref", "-d", REF)
        assert GitStore(address, BRANCH, tmp_path / "theirs").append(None, first_tip(SERVICE, "b" * 32, "gcp", at()), "init") is not None

    before_the_push(ours, replace)
    assert "has not grown from" in alarmed(ours)
    assert git(remote, "rev-list", "--count", REF) == "1"


def test_a_branch_that_grew_is_judged_again(ours: Ledger, address: str, tmp_path: Path) -> None:
    theirs = Ledger(GitStore(address, BRANCH, tmp_path / "theirs"), SERVICE)
    before_the_push(ours, lambda: theirs.claim(request(2)))
    with pytest.raises(Refusal, match=r"lock\.duplicate"):
        ours.claim(request(1))
    assert [tip.epoch for tip in ours.history()] == [2, 1, 0]


def test_a_branch_that_somebody_else_makes_is_theirs(address: str, tmp_path: Path) -> None:
    """Making a branch is a push that expects none."""
    one, other = (Ledger(GitStore(address, BRANCH, tmp_path / name), SERVICE) for name in ("one", "other"))
    before_the_push(one, lambda: other.init("onprem", at(-60)))
    with pytest.raises(Refusal, match=r"ledger\.exists"):
        one.init("gcp", at())
    assert [tip.serves for tip in one.history()] == ["onprem"]


def test_a_lease_is_no_leave_to_overwrite(address: str, remote: Path, tmp_path: Path) -> None:
    """Git takes a lease that holds for a force. We ask for one only where the new commit contains what it names."""
    store = GitStore(address, BRANCH, tmp_path / "ours")
    Ledger(store, SERVICE).init("onprem", at(-60))
    before = git(remote, "rev-parse", REF)
    blob = store._git.local("hash-object", "-w", "--stdin", data=b"{}").text
    tree = store._git.local("mktree", data=f"100644 blob {blob}\ttip.json\n".encode()).text
    stranger = store._git.local("commit-tree", tree, "-m", "another root").text
    with pytest.raises(Refusal, match=r"ledger\.unreadable") as caught:
        store._push(stranger, before)
    assert "has not grown from" in caught.value.found
    assert git(remote, "rev-parse", REF) == before


def test_git_would_have_done_it(address: str, remote: Path, tmp_path: Path) -> None:
    """Why the test above is needed: the same push by hand goes through."""
    store = GitStore(address, BRANCH, tmp_path / "ours")
    Ledger(store, SERVICE).init("onprem", at(-60))
    before = git(remote, "rev-parse", REF)
    blob = git(remote, "hash-object", "-w", "--stdin", data="{}")
    tree = git(remote, "mktree", data=f"100644 blob {blob}\ttip.json\n")
    stranger = git(remote, "commit-tree", tree, "-m", "another root")
    git(remote, "push", "--quiet", f"--force-with-lease={REF}:{before}", address, f"{stranger}:{REF}")
    assert git(remote, "rev-parse", REF) == stranger


def before_the_fetch(ledger: Ledger, deed: Callable[[], object]) -> None:
    """Do `deed` once, when the remote has said where the branch is and its history is not here yet."""
    git_of_ours = ledger._store._git  # type: ignore[attr-defined]  # the store of these tests is one of Git
    run = git_of_ours.run

    def late(*words: str, **options: Any) -> Any:
        if words[0] == "fetch":
            git_of_ours.run = run
            deed()
        return run(*words, **options)

    git_of_ours.run = late


@pytest.mark.parametrize("memory", [True, False], ids=["memory", "no-memory"])
def test_a_branch_that_is_deleted_while_it_is_read(memory: bool, address: str, remote: Path, tmp_path: Path) -> None:
    """It is looked for again, and is gone: that is said, and not that the remote fails."""
    seen = TipMemory(tmp_path / "memory.json") if memory else None
    ours = Ledger(GitStore(address, BRANCH, tmp_path / "ours", sleep=lambda _: None), SERVICE, seen)
    ours.init("onprem", at(-60))
    theirs = Ledger(GitStore(address, BRANCH, tmp_path / "theirs"), SERVICE)
    theirs.claim(request_of_drill())
    before_the_fetch(ours, lambda: git(remote, "update-ref", "-d", REF))
    with pytest.raises(Refusal, match=r"ledger\.alarm" if memory else r"ledger\.missing"):
        ours.tip()


def test_a_branch_that_is_rolled_back_while_it_is_read(address: str, remote: Path, tmp_path: Path) -> None:
    """A host that never saw the newest: it reads what the remote says now."""
    first = git_state(address, remote, tmp_path)
    ours = Ledger(GitStore(address, BRANCH, tmp_path / "ours", sleep=lambda _: None), SERVICE)
    before_the_fetch(ours, lambda: git(remote, "update-ref", REF, first))
    assert ours.tip().epoch == 0
    assert not list(tmp_path.glob("*.damaged")), "its copy is whole"


def git_state(address: str, remote: Path, folder: Path) -> str:
    """A ledger with one claim; the commit before it."""
    theirs = Ledger(GitStore(address, BRANCH, folder / "theirs"), SERVICE)
    theirs.init("onprem", at(-60))
    first = git(remote, "rev-parse", REF)
    theirs.claim(request_of_drill())
    return first
