"""kill -9 at any point of a claim: afterwards it is whole or it is not there, and the same run gets what it took."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hyops_ci.contracts.run import State
from hyops_ci.errors import Refusal
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.rules import Duplicate
from tests.ledger.ledger_setup import BRANCH, at, git, on_host, request
from tests.support.git_http import GitServer

ROOT = Path(__file__).parents[2]
CLAIM = """
import sys
from pathlib import Path
from tests.ledger.ledger_setup import on_host, request
on_host(sys.argv[1], state_dir=Path(sys.argv[2])).claim(request(1))
"""
READING = ("ls-remote", "rev-list", "cat-file")
WRITING = ("hash-object", "mktree", "commit-tree", "merge-base", "push")
POINTS = [(point, "before") for point in (*READING, *WRITING)] + [(point, "after") for point in ("commit-tree", "push")]


def wrapper(folder: Path, point: str, when: str) -> dict[str, str]:
    """A `git` that kills the process that called it, before or after it has done what it was asked at `point`."""
    folder.mkdir()
    real = shutil.which("git")
    kill = "kill -9 $PPID; exit 137"
    body = kill if when == "before" else f'{real} "$@" >/dev/null; {kill}'
    (folder / "git").write_text(f'#!/bin/sh\ncase " $* " in *" {point} "*) {body};; esac\nexec {real} "$@"\n')
    (folder / "git").chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


@pytest.mark.parametrize(("point", "when"), POINTS)
def test_killed_at(made: Ledger, remote: Path, tmp_path: Path, point: str, when: str) -> None:
    environ = wrapper(tmp_path / "bin", point, when)
    child = subprocess.run([sys.executable, "-c", CLAIM, str(remote), str(tmp_path / "host")], cwd=ROOT, env=environ, check=False)
    assert child.returncode == -signal.SIGKILL
    taken = (point, when) == ("push", "after")
    assert made.tip().epoch == int(taken)
    again = on_host(remote, state_dir=tmp_path / "host")
    if taken:
        with pytest.raises(Duplicate):
            again.claim(request(2, at=at(1)))
    claim = again.claim(request(1, at=at(2)))
    assert (claim.epoch, claim.run_id) == (1, "1001-1")
    assert [tip.epoch for tip in made.history()] == [1, 0]
    assert again.advance(claim, State.EXECUTING, at=at(3)).mutating
    git(remote, "fsck", "--strict")


@pytest.mark.slow
def test_killed_at_any_moment(made: Ledger, remote: Path, server: GitServer, tmp_path: Path) -> None:
    """A clean host each time, so that the cache, too, is cut off while it is being made. The remote is no part of it, and lives on."""
    chance, address = random.Random(7), server.url(remote.name)
    for number in range(6):
        host = tmp_path / f"host-{number}"
        words = [sys.executable, "-c", CLAIM, address, str(host)]
        with subprocess.Popen(words, cwd=ROOT, start_new_session=True) as child:
            time.sleep(chance.uniform(0.2, 0.7))
            os.killpg(child.pid, signal.SIGKILL)
        claim = on_host(address, state_dir=host).claim(request(1, at=at(1)))
        assert claim.epoch == 1
    assert len(git(remote, "rev-list", f"refs/heads/{BRANCH}").split()) == 2


def test_after_the_intent_nothing_is_given_back(made: Ledger) -> None:
    claim = made.claim(request(1))
    made.advance(claim, State.EXECUTING, at=at(1))
    for again, gate in ((request(1, at=at(2)), "approval.nonce"), (request(1, at=at(2), nonces=("other",)), "lock.duplicate")):
        with pytest.raises(Refusal) as caught:
            made.claim(again)
        assert caught.value.gate == gate
    assert made.tip().epoch == 1
