"""A change is tried on top of the head that the process knows: one push for each change, and no decision on a head that is old."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hyops_ci.contracts.run import State
from hyops_ci.errors import Refusal
from hyops_ci.ledger.git_process import Git, GitResult
from hyops_ci.ledger.ledger import Ledger
from tests.ledger.ledger_setup import BRANCH, at, git, on_host, request

REF = f"refs/heads/{BRANCH}"
NETWORK = ("ls-remote", "fetch", "push")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls of git that talk to the remote, as they come."""
    made: list[str] = []
    real = Git.run

    def run(self: Git, *words: str, **options: Any) -> GitResult:
        made.extend(words[:1] if words[0] in NETWORK else ())
        return real(self, *words, **options)

    monkeypatch.setattr(Git, "run", run)
    return made


def on(remote: Path, host: Path) -> Ledger:
    return on_host(str(remote), state_dir=host)


def test_a_run_reads_once_and_pushes_three_times(made: Ledger, remote: Path, tmp_path: Path, calls: list[str]) -> None:
    ledger = on(remote, tmp_path / "host")
    ledger.tip()
    claim = ledger.claim(request(1))
    ledger.advance(claim, State.EXECUTING, at=at(1), mutating=True)
    ledger.advance(claim, State.COMPLETED, at=at(2), serves="gcp")
    assert calls == ["ls-remote", "push", "push", "push"]
    assert on(remote, tmp_path / "onlooker").tip().position == "failed_over"


def test_a_head_that_is_old_refuses_nothing(made: Ledger, remote: Path, tmp_path: Path) -> None:
    """The holder has ended since we looked: the claim that the known head would refuse is taken."""
    theirs = made.claim(request(1))
    ours = on(remote, tmp_path / "other")
    ours.tip()
    made.advance(theirs, State.FAILED, at=at(1))
    assert ours.claim(request(2, at=at(2))).epoch == 2


def test_a_head_that_is_old_ends_nothing(made: Ledger, remote: Path, tmp_path: Path) -> None:
    """Nothing is to be changed on the known head, but the lock is another run's by now."""
    claim = made.claim(request(1))
    ours = on(remote, tmp_path / "other")
    ours.advance(claim, State.FAILED, at=at(1))
    made.claim(request(2, at=at(2)))
    with pytest.raises(Refusal, match=r"lock\.superseded"):
        ours.renew(claim, at=at(3))


def test_what_another_process_of_the_host_saw_is_not_rolled_back(made: Ledger, remote: Path, tmp_path: Path) -> None:
    """The branch stands where we left it: a push would go through, and bury what this host has seen since."""
    ours = on(remote, tmp_path / "host")
    known = ours.tip()
    before = git(remote, "rev-parse", REF)
    made.claim(request(1))
    git(remote, "update-ref", REF, before)
    with pytest.raises(Refusal, match=r"ledger\.alarm") as caught:
        ours.claim(request(2))
    assert "has not grown from" in caught.value.found
    assert git(remote, "rev-parse", REF) == before
    assert known.claim is None
