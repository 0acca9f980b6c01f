"""The branch of checks on a real remote, behind HTTP: races, lost answers, and what somebody else put there."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hyops_ci.contracts.readiness import MAX_READINESS
from hyops_ci.errors import Fault, Refusal
from hyops_ci.readiness import store as stores
from hyops_ci.readiness.store import ReadinessStore
from tests.ledger.ledger_setup import bare, git
from tests.support.git_http import BUSY, GitServer, No, serving
from tests.unit.readiness.samples import SERVICE, envelope, record, refused

REF = f"refs/heads/dr-readiness/{SERVICE}"
FIRST, SECOND = envelope(record(2)), envelope(refused(1))


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    return bare(tmp_path / "served" / "ledger.git")


@pytest.fixture
def server(remote: Path) -> Iterator[GitServer]:
    with serving(remote.parent) as running:
        yield running


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyops_ci.ledger.git_branch.WAITS", (0.01, 0.01))
    monkeypatch.setattr("hyops_ci.ledger.git_branch.LONG_WAITS", (0.01, 0.01))


def store(server: GitServer, remote: Path, folder: Path) -> ReadinessStore:
    return ReadinessStore.over_git(server.url(remote.name), SERVICE, state_dir=folder)


def contents(kept: ReadinessStore) -> list[bytes | None]:
    found = kept.read()
    return [each.content for each in found.checks] if found is not None else []


def planted(remote: Path, name: str, content: str, *, parent: str = "") -> str:
    """One commit that somebody with a push wrote."""
    blob = git(remote, "hash-object", "-w", "--stdin", data=content)
    tree = git(remote, "mktree", data=f"100644 blob {blob}\t{name}\n")
    commit = git(remote, "commit-tree", tree, *(("-p", parent) if parent else ()), "-m", "planted")
    git(remote, "update-ref", REF, commit)
    return commit


def test_no_branch(server: GitServer, remote: Path, tmp_path: Path) -> None:
    assert store(server, remote, tmp_path / "a").read() is None


def test_each_check_is_one_commit_on_the_one_before(server: GitServer, remote: Path, tmp_path: Path) -> None:
    mine = store(server, remote, tmp_path / "a")
    first, second = mine.keep(FIRST, "first"), store(server, remote, tmp_path / "b").keep(SECOND, "second")
    assert contents(mine) == [SECOND, FIRST]
    assert git(remote, "rev-list", REF).split() == [second, first]


def test_a_check_is_kept_once(server: GitServer, remote: Path, tmp_path: Path) -> None:
    """The report of a run can be made again."""
    first = store(server, remote, tmp_path / "a").keep(FIRST, "first")
    store(server, remote, tmp_path / "a").keep(SECOND, "second")
    assert store(server, remote, tmp_path / "b").keep(FIRST, "again") == first
    assert contents(store(server, remote, tmp_path / "c")) == [SECOND, FIRST]


def test_many_runs_at_once_lose_nothing(server: GitServer, remote: Path, tmp_path: Path) -> None:
    checks = [envelope(record(number)) for number in range(6)]
    with ThreadPoolExecutor(6) as beside:
        kept = [beside.submit(store(server, remote, tmp_path / f"{n}").keep, each, f"check {n}") for n, each in enumerate(checks)]
        assert len({each.result() for each in kept}) == 6
    assert sorted(each or b"" for each in contents(store(server, remote, tmp_path / "z"))) == sorted(checks)


def test_an_answer_that_was_lost_is_found_on_the_branch(server: GitServer, remote: Path, tmp_path: Path) -> None:
    server.trouble.append("lose-answer")
    commit = store(server, remote, tmp_path / "a").keep(FIRST, "first")
    assert git(remote, "rev-list", REF).split() == [commit]


def test_a_remote_that_is_busy_is_asked_again(server: GitServer, remote: Path, tmp_path: Path) -> None:
    server.trouble.append(BUSY)
    store(server, remote, tmp_path / "a").keep(FIRST, "first")
    assert contents(store(server, remote, tmp_path / "b")) == [FIRST]


def test_a_remote_that_forbids_it(server: GitServer, remote: Path, tmp_path: Path) -> None:
    server.trouble.extend([No(403, "Write access to repository not granted.")] * 4)
    with pytest.raises((Refusal, Fault)):
        store(server, remote, tmp_path / "a").keep(FIRST, "first")


def test_a_branch_that_was_deleted_begins_again(server: GitServer, remote: Path, tmp_path: Path) -> None:
    mine = store(server, remote, tmp_path / "a")
    mine.keep(FIRST, "first")
    git(remote, "update-ref", "-d", REF)
    assert mine.read() is None
    mine.keep(SECOND, "second")
    assert contents(store(server, remote, tmp_path / "b")) == [SECOND]


def test_a_branch_that_was_rewritten_is_read_as_it_is(server: GitServer, remote: Path, tmp_path: Path) -> None:
    mine = store(server, remote, tmp_path / "a")
    mine.keep(FIRST, "first")
    mine.keep(SECOND, "second")
    git(remote, "update-ref", REF, f"{REF}~1")
    assert contents(mine) == [FIRST]


STRANGERS = {
    "another file": ("tip.json", "{}"),
    "too much": ("readiness.json", "x" * (MAX_READINESS + 1)),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_a_commit_that_holds_no_check_stands_in_nobodys_way(server: GitServer, remote: Path, tmp_path: Path, name: str) -> None:
    mine = store(server, remote, tmp_path / "a")
    planted(remote, *STRANGERS[name], parent=mine.keep(FIRST, "first"))
    assert contents(mine) == [None, FIRST]
    mine.keep(SECOND, "second")
    assert contents(store(server, remote, tmp_path / "b")) == [SECOND, None, FIRST]


def test_a_branch_that_somebody_made_first(server: GitServer, remote: Path, tmp_path: Path) -> None:
    planted(remote, "README.md", "mine now")
    mine = store(server, remote, tmp_path / "a")
    mine.keep(FIRST, "first")
    assert contents(mine) == [FIRST, None]


def test_only_the_newest_are_looked_at(server: GitServer, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "LOOKED", 3)
    mine = store(server, remote, tmp_path / "a")
    parent = mine.keep(FIRST, "first")
    for number in range(3):
        parent = planted(remote, "readiness.json", f"{number}", parent=parent)
    assert contents(mine) == [b"2", b"1", b"0"]


def test_another_service_has_another_branch(server: GitServer, remote: Path, tmp_path: Path) -> None:
    store(server, remote, tmp_path / "a").keep(FIRST, "first")
    assert ReadinessStore.over_git(server.url(remote.name), "ha/prod", state_dir=tmp_path / "b").read() is None


def test_a_copy_that_was_damaged_is_made_anew(server: GitServer, remote: Path, tmp_path: Path) -> None:
    mine = store(server, remote, tmp_path / "a")
    mine.keep(FIRST, "first")
    mine.keep(SECOND, "second")
    [copy] = (tmp_path / "a").glob("readiness-*.git")
    for each in (copy / "objects").glob("??/*"):
        each.chmod(0o644)
        each.write_bytes(b"")
    assert contents(store(server, remote, tmp_path / "a")) == [SECOND, FIRST]
