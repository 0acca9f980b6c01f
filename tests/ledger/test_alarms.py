"""A branch that is gone, went back, or became another one is an alarm, never a first claim."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from hyops_ci.contracts.ledger import MAX_TIP
from hyops_ci.contracts.run import State
from hyops_ci.errors import Exit, Refusal
from hyops_ci.ledger.host_lock import host_lock
from hyops_ci.ledger.last_seen import TipMemory
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.rules import Duplicate
from tests.ledger.ledger_setup import BRANCH, SERVICE, MemoryStore, acting, at, bare, git, on_host, request

REF = f"refs/heads/{BRANCH}"


def on(remote: Path, host: Path) -> Ledger:
    return on_host(str(remote), state_dir=host)


def alarmed(ledger: Ledger, gate: str = "ledger.alarm") -> Refusal:
    """Nothing may be done with it: neither read, nor looked at, nor claimed, nor made anew."""
    caught = []
    for ask in (
        ledger.tip,
        lambda: ledger.look(request(9, at=at(60))),
        lambda: ledger.claim(request(9, at=at(60))),
        lambda: ledger.init("onprem", at(60)),
    ):
        with pytest.raises(Refusal) as error:
            ask()
        caught.append(error.value)
    assert {each.exit_code for each in caught} == {Exit.CONFLICT}
    assert {each.gate for each in caught} == {gate}
    return caught[0]


def test_deleted(made: Ledger, remote: Path) -> None:
    made.claim(request(1))
    git(remote, "update-ref", "-d", REF)
    assert "is gone" in alarmed(made).found
    assert git(remote, "for-each-ref") == "", "and it stays as it was found"


def test_rolled_back(made: Ledger, remote: Path) -> None:
    claim = made.claim(request(1))
    git(remote, "update-ref", REF, f"{REF}^")
    assert "has not grown from" in alarmed(made).found
    with pytest.raises(Refusal, match=r"ledger\.alarm"):
        made.advance(claim, State.EXECUTING, at=at(1))


def test_replaced_by_an_unrelated_branch(made: Ledger, remote: Path, tmp_path: Path) -> None:
    made.claim(request(1))
    other = bare(tmp_path / "other.git")
    on(other, tmp_path / "elsewhere").init("onprem", at())
    git(remote, "fetch", "--quiet", str(other), f"+{REF}:{REF}")
    alarmed(made)


def test_the_whole_repository_is_another_one(made: Ledger, remote: Path) -> None:
    remote.rename(remote.with_suffix(".away"))
    bare(remote)
    alarmed(made)


def test_a_fork_that_grew_on_is_still_an_alarm(made: Ledger, remote: Path, tmp_path: Path) -> None:
    """Rolled back, then claimed by a host that did not know: the first host sees that its past is missing."""
    made.claim(request(1))
    git(remote, "update-ref", REF, f"{REF}^")
    on(remote, tmp_path / "fresh-host").claim(request(2))
    alarmed(made)


def test_a_host_that_never_saw_it_does_not_make_it(remote: Path, tmp_path: Path) -> None:
    ledger = on(remote, tmp_path / "fresh-host")
    with pytest.raises(Refusal) as caught:
        ledger.claim(request(1))
    assert (caught.value.gate, caught.value.exit_code) == ("ledger.missing", Exit.CONFLICT)
    assert git(remote, "for-each-ref") == ""


def test_another_services_branch_under_this_name(made: Ledger, remote: Path, tmp_path: Path) -> None:
    Ledger.over_git(str(remote), "web/prod", state_dir=tmp_path / "web").init("onprem", at())
    git(remote, "update-ref", REF, "refs/heads/dr-ledger/web/prod")
    with pytest.raises(Refusal) as caught:
        on(remote, tmp_path / "fresh-host").claim(request(1))
    assert (caught.value.gate, caught.value.found) == ("ledger.alarm", "web/prod")


UNREAD = {
    "": "not JSON",
    "[1, 2": "not JSON",
    "not json\r\n\x00": "not JSON",
    "{}": "6 of its fields do not fit",
    '{"kind": "LedgerTip"}': "6 of its fields do not fit",
    '{"epoch": 0, "epoch": 5}': "a key stands twice",
    '{"settlement": {"n": NaN}}': "holds NaN",
    '{"settlement": {"n": 9007199254740993}}': "a number too large",
    '{"settlement": ' + "[" * 200 + "]" * 200 + "}": "nested too deep",
    '{"reason": "' + "x" * MAX_TIP + '"}': f"at most {MAX_TIP}",
}


@pytest.mark.parametrize("content", UNREAD, ids=range(len(UNREAD)))
def test_a_tip_that_cannot_be_read_blocks(made: Ledger, remote: Path, content: str) -> None:
    foreign(remote, "tip.json", content)
    found = alarmed_as_unreadable(made).found
    assert "tip.json" in found
    assert UNREAD[content] in found


def test_a_commit_without_a_tip_blocks(made: Ledger, remote: Path) -> None:
    foreign(remote, "README.md", "hello")
    assert "no tip.json" in alarmed_as_unreadable(made).found


@pytest.mark.parametrize("change", [{"ledger_id": "sha256:" + "e" * 64}, {"epoch": 0}, {"service": "web/prod"}])
def test_a_tip_that_does_not_continue_the_one_before_blocks(made: Ledger, remote: Path, change: dict[str, object]) -> None:
    made.claim(request(1))
    document = json.loads(git(remote, "show", f"{REF}:tip.json"))
    foreign(remote, "tip.json", json.dumps(document | change))
    assert "does not continue" in alarmed_as_unreadable(made).found


def alarmed_as_unreadable(ledger: Ledger) -> Refusal:
    return alarmed(ledger, "ledger.unreadable")


def foreign(remote: Path, name: str, content: str) -> None:
    """A commit that somebody else put on the branch; a fast-forward, so that the remote takes it."""
    blob = git(remote, "hash-object", "-w", "--stdin", data=content)
    tree = git(remote, "mktree", data=f"100644 blob {blob}\t{name}\n")
    git(remote, "update-ref", REF, git(remote, "commit-tree", tree, "-p", REF, "-m", "by hand"))


# ------------------------------------------------------------------------------------------ memory


def test_memory_survives_and_alarms_in_another_process(made: Ledger, remote: Path, tmp_path: Path) -> None:
    made.claim(request(1))
    git(remote, "update-ref", REF, f"{REF}^")
    alarmed(on(remote, tmp_path / "host"))


def test_a_memory_that_cannot_be_read_alarms(made: Ledger, tmp_path: Path) -> None:
    (path,) = (tmp_path / "host").glob("ledger-*.json")
    for content in ("", "{}", "[]", "\x00"):
        path.write_text(content)
        assert "cannot be read" in alarmed(made).found
        assert path.read_text() == content, "an alarm is not forgotten by asking again"


def test_a_slow_process_alarms_nobody_and_forgets_nothing(tmp_path: Path) -> None:
    """Two processes of one host: what the other one saw after our reading began is no alarm, and stays remembered."""
    store, path = MemoryStore(), tmp_path / "memory.json"
    slow, quick = (acting(Ledger(store, SERVICE, TipMemory(path))) for _ in range(2))
    slow.init("onprem", at(-60))
    read = store.read
    once = iter([True])

    def overtaken() -> object:
        head = read()
        if next(once, False):
            quick.claim(request(1))
        return head

    store.read = overtaken  # type: ignore[method-assign, assignment]  # of this store alone
    assert slow.tip().epoch == 0
    assert TipMemory(path).seen() == store.chain[-1][0]
    with pytest.raises(Duplicate):
        slow.claim(request(2, at=at(1)))


def test_many_at_once_on_one_host(made: Ledger, remote: Path, tmp_path: Path) -> None:
    """One cache, one memory, eight threads with ledgers of their own: no false alarm, one winner."""
    won, trouble = [], []

    def one(number: int) -> None:
        try:
            won.append(on(remote, tmp_path / "host").claim(request(number, at=at(1))))
        except Duplicate:
            pass
        except Exception as error:  # noqa: BLE001 - a thread has nobody else to tell
            trouble.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert trouble == []
    assert [claim.claim_id for claim in won] == [tip.claim.claim_id for tip in made.history()[:1] if tip.claim]


# --------------------------------------------------------------------------------------- host lock


def test_one_run_per_env_of_a_host(tmp_path: Path) -> None:
    with host_lock(tmp_path) as handle:
        assert handle > 2
        with pytest.raises(Refusal) as caught, host_lock(tmp_path):
            pass
        assert (caught.value.gate, caught.value.exit_code) == ("lock.host", Exit.CONFLICT)
    with host_lock(tmp_path):
        pass
