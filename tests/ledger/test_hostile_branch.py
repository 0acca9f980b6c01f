"""What somebody who may push can put beside the branch, or on it: other branches that end like it, merges, other files, much too much."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hyops_ci.contracts.digest import canonical
from hyops_ci.contracts.ledger import MAX_ANSWER, MAX_ANSWERS, MAX_TIP
from hyops_ci.contracts.run import State
from hyops_ci.errors import Exit, Refusal
from hyops_ci.ledger import git_history, git_process
from hyops_ci.ledger.ledger import Ledger
from tests.ledger.ledger_setup import ANSWERS, BRANCH, SERVICE, at, git, on_host, request, signed, subject

pytestmark = pytest.mark.slow

REF = f"refs/heads/{BRANCH}"
BESIDE = [f"refs/heads/a/{REF}", f"refs/heads/{REF}", f"refs/tags/{REF}", f"refs/heads/z/{REF}", f"refs/remotes/{REF}"]
"""Git's patterns match the end of a name."""


def on(remote: Path, host: Path) -> Ledger:
    return Ledger.over_git(str(remote), SERVICE, state_dir=host)


@pytest.mark.parametrize("name", BESIDE)
def test_a_ref_that_ends_like_the_branch_is_another(name: str, made: Ledger, remote: Path, tmp_path: Path) -> None:
    """It holds the ledger as it was: whoever reads it forgets what has happened since."""
    git(remote, "update-ref", name, REF)
    claim = made.claim(request(1))
    fresh = on_host(remote, state_dir=tmp_path / "fresh-host")
    assert fresh.tip().claim == claim
    made.advance(claim, State.FAILED, at=at(1))
    assert fresh.claim(request(2, at=at(2))).epoch == 2, "and what is pushed goes to the branch"
    assert [tip.epoch for tip in made.history()] == [2, 1, 1, 0]
    assert git(remote, "rev-list", "--count", name) == "1"


@pytest.mark.parametrize("name", BESIDE)
def test_a_ref_that_ends_like_the_branch_does_not_stand_for_it(name: str, made: Ledger, remote: Path, tmp_path: Path) -> None:
    git(remote, "update-ref", name, REF)
    git(remote, "update-ref", "-d", REF)
    fresh = on(remote, tmp_path / "fresh-host")
    with pytest.raises(Refusal, match=r"ledger\.missing"):
        fresh.tip()
    with pytest.raises(Refusal, match=r"ledger\.alarm"):
        made.tip()
    assert fresh.init("gcp", at()).serves == "gcp"
    assert git(remote, "rev-list", "--count", REF) == "1"


def blob(remote: Path, content: bytes) -> str:
    path = remote.parent / "content"
    path.write_bytes(content)
    return git(remote, "hash-object", "-w", str(path))


def on_top(remote: Path, tree: str, *parents: str) -> None:
    git(remote, "update-ref", REF, git(remote, "commit-tree", tree, *(word for each in parents for word in ("-p", each)), "-m", "x"))


def merge_of_another_root(remote: Path) -> str:
    """A fast-forward, whose first parent is a history of the attacker's."""
    other = git(remote, "commit-tree", f"{REF}^{{tree}}", "-m", "init")
    on_top(remote, f"{REF}^{{tree}}", other, REF)
    return "a merge"


def more_files(remote: Path) -> str:
    tip = git(remote, "rev-parse", f"{REF}:tip.json")
    listed = f"100644 blob {tip}\ta.json\n100644 blob {tip}\ttip.json\n"
    on_top(remote, git(remote, "mktree", data=listed), REF)
    return "more than tip.json"


def a_link(remote: Path) -> str:
    tip = git(remote, "rev-parse", f"{REF}:tip.json")
    on_top(remote, git(remote, "mktree", data=f"120000 blob {tip}\ttip.json\n"), REF)
    return "as a regular file"


def an_executable(remote: Path) -> str:
    tip = git(remote, "rev-parse", f"{REF}:tip.json")
    on_top(remote, git(remote, "mktree", data=f"100755 blob {tip}\ttip.json\n"), REF)
    return "as a regular file"


def a_folder(remote: Path) -> str:
    on_top(remote, git(remote, "mktree", data=f"040000 tree {git(remote, 'rev-parse', f'{REF}^{{tree}}')}\ttip.json\n"), REF)
    return "is a tree"


def a_large_tip(remote: Path) -> str:
    tip = json.loads(git(remote, "show", f"{REF}:tip.json"))
    large = blob(remote, canonical(tip | {"reason": "x" * MAX_TIP}))
    on_top(remote, git(remote, "mktree", data=f"100644 blob {large}\ttip.json\n"), REF)
    return f"at most {MAX_TIP}"


def a_long_message(remote: Path) -> str:
    message = remote.parent / "message"
    message.write_text("x" * (git_history.MAX_COMMIT + 1))
    git(remote, "update-ref", REF, git(remote, "commit-tree", f"{REF}^{{tree}}", "-p", REF, "-F", str(message)))
    return f"and {git_history.MAX_COMMIT}"


def a_large_tree(remote: Path) -> str:
    """Git finds the file in it; the tree is not read."""
    tip = git(remote, "rev-parse", f"{REF}:tip.json")
    many = "".join(f"100644 blob {tip}\t{number:05d}\n" for number in range(3_000))
    on_top(remote, git(remote, "mktree", data=f"{many}100644 blob {tip}\ttip.json\n"), REF)
    return "more than tip.json"


DEEDS = [merge_of_another_root, more_files, a_link, an_executable, a_folder, a_large_tip, a_long_message, a_large_tree]


@pytest.mark.parametrize("host", ["host", "fresh-host"])
@pytest.mark.parametrize("deed", DEEDS, ids=lambda each: each.__name__)
def test_what_no_ledger_holds_is_not_read(deed: Callable[[Path], str], host: str, made: Ledger, remote: Path, tmp_path: Path) -> None:
    what = deed(remote)
    before = git(remote, "rev-parse", REF)
    for again in range(2):
        with pytest.raises(Refusal) as caught:
            on(remote, tmp_path / host).claim(request(1))
        assert (caught.value.gate, caught.value.exit_code) == ("ledger.unreadable", Exit.CONFLICT), again
        assert what in caught.value.found
    assert git(remote, "rev-parse", REF) == before
    assert not list((tmp_path / host).glob("*.damaged")), "it is the branch that is to blame, not this host's copy"


def test_a_merge_far_down_is_not_read_either(made: Ledger, remote: Path, tmp_path: Path) -> None:
    merge_of_another_root(remote)
    tip = json.loads(git(remote, "show", f"{REF}:tip.json"))
    for minute in range(3):
        later = blob(remote, canonical(tip | {"at": at(minute)}))
        on_top(remote, git(remote, "mktree", data=f"100644 blob {later}\ttip.json\n"), REF)
    with pytest.raises(Refusal, match=r"ledger\.unreadable") as caught:
        on(remote, tmp_path / "fresh-host").tip()
    assert "a merge" in caught.value.found


def test_hundreds_of_megabytes_cost_nothing(made: Ledger, remote: Path, tmp_path: Path) -> None:
    """They are a few hundred kilobytes on the way; git writes them to disk in pieces, and nobody reads them."""
    with (remote.parent / "zeros").open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    large = git(remote, "hash-object", "-w", "-t", "blob", str(remote.parent / "zeros"))
    on_top(remote, git(remote, "mktree", data=f"100644 blob {large}\ttip.json\n"), REF)
    before = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    begun = time.monotonic()
    with pytest.raises(Refusal, match=r"ledger\.unreadable") as caught:
        on(remote, tmp_path / "fresh-host").tip()
    assert "104857600" in caught.value.found
    assert time.monotonic() - begun < 30
    after = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    assert after[0] - before[0] < 20 * 1024, "kilobytes of this process"


def test_a_branch_larger_than_a_ledger_fills_no_disk(made: Ledger, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_process, "MAX_PACK", 4 * 1024)
    tree = "".join(f"100644 blob {blob(remote, str(number).encode() * 99)}\t{number:05d}\n" for number in range(300))
    on_top(remote, git(remote, "mktree", data=tree), REF)
    with pytest.raises(Refusal, match=r"ledger\.unreadable") as caught:
        on(remote, tmp_path / "fresh-host").tip()
    assert caught.value.reason == "the branch holds more than a ledger does"


def test_many_tips_that_are_large_together(made: Ledger, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for minute in range(4):
        made.advance(made.claim(request(minute, at=at(minute))), State.FAILED, at=at(minute))
    assert len(on(remote, tmp_path / "fresh-host").history()) == 9
    monkeypatch.setattr(git_history, "MAX_BYTES", 4_000)
    with pytest.raises(Refusal, match=r"ledger\.unreadable") as caught:
        on(remote, tmp_path / "another-host").tip()
    assert "at most 4000" in caught.value.found


def test_as_many_answers_as_may_wait_are_read(made: Ledger, remote: Path, tmp_path: Path) -> None:
    """The twin: the largest tip that our own writers make."""
    for number in range(MAX_ANSWERS):
        about = subject(made.tip().ledger_id, number)
        envelope = signed(about, who=("jonas", "priya", "maria")[number % 3])
        envelope["signatures"] *= 16
        while len(canonical(envelope)) > MAX_ANSWER:
            envelope["signatures"].pop()
        made.answer(envelope, subject=about, at=at(), **ANSWERS)
    assert len(on(remote, tmp_path / "fresh-host").tip().answers) == MAX_ANSWERS
