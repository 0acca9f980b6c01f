"""1,000 claims raced by 8 processes, on one bare repository and over `git http-backend`, beside a plain commit-and-push loop.

Right comes before fast: every epoch has exactly one winner, every claim a process was given is in the branch, and every claim in the
branch was given to a process. Otherwise the benchmark ends with an AssertionError and no figure.

The figure is seconds per landed commit of the ledger over seconds per landed commit of the peer, both with 8 processes that push to
one branch of a bare repository on disk. The peer reads, commits and pushes, and starts again from the remote when it comes second:
what a script without a ledger would do. It decides nothing, checks no history and remembers nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bench import Result
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.run import State
from hyops_ci.errors import Refusal
from hyops_ci.ledger.git import create_repository
from hyops_ci.ledger.ledger import ClaimRequest, Ledger
from tests.support.git_http import serve_git

RACERS: Final = 8
ON_DISK: Final = 800
OVER_HTTP: Final = 200
PEER_COMMITS: Final = 400
GOAL: Final = 3.0
"""Times the peer's seconds per commit: a push costs both the same, the rest is reading and judging the whole history."""
PATIENCE: Final = 60.0
"""Seconds in which 8 processes must be up, or gone."""
SERVICE: Final = "pg-ha/prod"
BEGIN: Final = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
TOKEN: Final = "bench-token"

Won = tuple[int, str]
"""Epoch and run id of a claim that a process was given."""
_CONTEXT = multiprocessing.get_context("spawn")


def run() -> Result:
    """Race, check, compare."""
    with tempfile.TemporaryDirectory(prefix="bench-ledger-") as folder:
        root = Path(folder)
        disk, disk_seconds = _race(root / "disk", str(_bare(root / "disk.git")), "", ON_DISK)
        _bare(root / "http" / "ledger.git")
        with serve_git(root / "http", TOKEN) as origin:
            remote = f"http://127.0.0.1:{urlsplit(origin).port}/ledger.git"
            http, http_seconds = _race(root / "http-hosts", remote, TOKEN, OVER_HTTP)
        peer_seconds = _peer(root / "peer")
    each = disk_seconds / (2 * ON_DISK - 1)  # a claim and its end are two commits
    peer = peer_seconds / PEER_COMMITS
    notes = (
        f"{ON_DISK} claims on disk in {disk_seconds:.1f} s, {OVER_HTTP} over http-backend in {http_seconds:.1f} s, {RACERS} processes each",
        f"one winner per epoch, none lost; wins per process {_spread(disk)} and {_spread(http)}",
        f"{1000 * each:.1f} ms per commit of the ledger; peer (git commit, git push, again when second) {1000 * peer:.1f} ms",
    )
    return Result("ledger", "seconds_per_commit_vs_git_push", each / peer, "<=", GOAL, notes)


def _race(hosts: Path, remote: str, token: str, claims: int) -> tuple[list[Won], float]:
    """`claims` epochs, won by whoever is first. Each process is a host of its own. Answers the wins and the seconds they took."""
    judge = Ledger.over_git(remote, SERVICE, state_dir=hosts / "judge", token=token)
    judge.init("onprem", stamp(BEGIN))
    won, took = _together(partial(_racer, hosts=hosts, remote=remote, token=token, claims=claims))
    there = Counter((tip.claim.epoch, tip.claim.run_id) for tip in judge.history() if tip.claim and tip.state is State.CLAIMED)
    assert sorted(epoch for epoch, _ in won) == list(range(1, len(won) + 1)), "an epoch had no winner, or two"
    assert there == Counter(won), "a claim was lost, or counted twice"
    assert len(won) == claims
    return won, took


def _racer(me: int, hosts: Path, remote: str, token: str, claims: int) -> list[Won]:
    """Claim, end the claim, claim again: new decision ids about one outage, as an emitter sends them."""
    ledger = Ledger.over_git(remote, SERVICE, state_dir=hosts / f"host-{me}", token=token)
    won: list[Won] = []
    for number in range(1_000_000):
        now = stamp(BEGIN + timedelta(milliseconds=number))
        try:
            claim = ledger.claim(_request(f"{me}-{number}", now))
        except Refusal as refusal:  # somebody else has it: ask again, until all epochs are won
            if refusal.gate not in ("lock.duplicate", "lock.held"):
                raise
            if (hosts / "over").exists():
                return won
            continue
        won.append((claim.epoch, claim.run_id))
        if claim.epoch >= claims:  # the last winner keeps the lock
            (hosts / "over").touch()
            return won
        ledger.advance(claim, State.FAILED, at=now)
    raise AssertionError("never ended")


def _request(name: str, at: str) -> ClaimRequest:
    source = digest_bytes(name.encode())
    return ClaimRequest(
        service=SERVICE,
        decision_id=f"decision-{name}",
        decision_type=DecisionType.FAILOVER,
        drill=False,
        source_sha256=source,
        decision_digest=source,
        plan_digest=source,
        check_digest=source,
        run_id=f"run-{name}",
        at=at,
        target_site="gcp",
        home_site="onprem",
        nonces=(f"nonce-{name}",),
    )


def _peer(root: Path) -> float:
    """Seconds in which 8 clones land `PEER_COMMITS` commits on one branch."""
    remote = _bare(root / "peer.git")
    first = root / "first"
    _git(root, "clone", "--quiet", str(remote), str(first))
    _git(first, "commit", "--quiet", "--allow-empty", "--message", "first")
    _git(first, "push", "--quiet", "origin", "HEAD:refs/heads/log")
    for me in range(RACERS):
        _git(root, "clone", "--quiet", "--branch", "log", str(remote), str(root / f"clone-{me}"))
    landed, took = _together(partial(_committer, root=root, commits=PEER_COMMITS // RACERS))
    assert len(landed) == PEER_COMMITS
    return took


def _committer(me: int, root: Path, commits: int) -> list[Won]:
    clone = root / f"clone-{me}"
    landed: list[Won] = []
    while len(landed) < commits:
        (clone / "tip.json").write_text(f"{clone.name} {len(landed)} {time.monotonic_ns()}\n", encoding="ascii")
        _git(clone, "add", "tip.json")
        _git(clone, "commit", "--quiet", "--message", f"{clone.name} {len(landed)}")
        if _git(clone, "push", "--quiet", "origin", "HEAD:refs/heads/log", check=False):
            landed.append((len(landed), clone.name))
        else:
            _git(clone, "fetch", "--quiet", "origin", "log")
            _git(clone, "reset", "--quiet", "--hard", "FETCH_HEAD")
    return landed


def _together(work: Callable[[int], list[Won]]) -> tuple[list[Won], float]:
    """Run `work` in 8 processes that begin at one moment: all their answers, and the seconds from that moment to the last answer."""
    ready, answers = _CONTEXT.Barrier(RACERS + 1), _CONTEXT.SimpleQueue()
    racers = [_CONTEXT.Process(target=_begin, args=(work, me, ready, answers), daemon=True) for me in range(RACERS)]
    for racer in racers:
        racer.start()
    ready.wait(PATIENCE)
    begin = time.perf_counter()
    found: list[list[Won] | str] = [answers.get() for _ in racers]
    took = time.perf_counter() - begin
    for racer in racers:
        racer.join(PATIENCE)
    if failed := [answer for answer in found if isinstance(answer, str)]:
        raise AssertionError(failed[0])
    return [won for answer in found if not isinstance(answer, str) for won in answer], took


def _begin(work: Callable[[int], list[Won]], me: int, ready: Barrier, answers: SimpleQueue[list[Won] | str]) -> None:
    ready.wait(PATIENCE)
    try:
        answers.put(work(me))
    except Exception as error:  # noqa: BLE001 - a racer that dies silently would leave the others' figure standing
        answers.put(f"racer {me}: {type(error).__name__}: {error} {getattr(error, 'found', '')}")


def _bare(path: Path) -> Path:
    create_repository(path)
    return path


def _git(folder: Path, *words: str, check: bool = True) -> bool:
    names = {f"GIT_{role}_{key}": "bench@localhost" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", "-c", "gc.auto=0", "-c", "maintenance.auto=false", *words]
    return subprocess.run(command, cwd=folder, env={**os.environ, **names, **settings}, capture_output=True, check=check).returncode == 0


def _spread(won: list[Won]) -> str:
    wins = Counter(run_id.split("-")[1] for _, run_id in won)
    return "/".join(str(wins[str(me)]) for me in range(RACERS))
