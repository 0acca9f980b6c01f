"""1,000 rounds: 8 processes claim at one moment, on one bare repository and over `git http-backend`, beside plain commit-and-push.

Right comes before fast: every round has exactly one winner, every claim a process was given is in the branch, and every claim in the
branch was given to a process. Otherwise the benchmark ends with an AssertionError and no figure.

The figure is seconds per round of the ledger over seconds per round of the peer, both on a bare repository on disk. A round of either is 8
processes that read the branch and push to it at one moment, and then one more push by the one that came first. The peer is what a
script without a ledger would do (fetch, commit, push): it decides nothing, checks no history and remembers nothing.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Final

from bench import Result
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.run import State
from hyops_ci.ledger.git_store import create_repository
from hyops_ci.ledger.ledger import ClaimRequest, Ledger
from hyops_ci.ledger.rules import Duplicate
from tests.support.git_http import serving

RACERS: Final = 8
ON_DISK: Final = 800
OVER_HTTP: Final = 200
PEER_ROUNDS: Final = 100
GOAL: Final = 3.0
"""Times the peer's seconds: a push costs both the same, the rest is reading and judging the whole history."""
PATIENCE: Final = 120.0
"""Seconds that one process waits for the others, before or within a round."""
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
        with serving(root / "http", TOKEN) as server:
            http, http_seconds = _race(root / "http-hosts", server.url("ledger.git"), TOKEN, OVER_HTTP)
        peer_seconds = _peer(root / "peer")
    each, peer = disk_seconds / ON_DISK, peer_seconds / PEER_ROUNDS
    notes = (
        f"{ON_DISK} rounds on disk in {disk_seconds:.1f} s, {OVER_HTTP} over http-backend in {http_seconds:.1f} s, {RACERS} claims each",
        f"one winner per round, no claim lost; wins per process {_spread(disk)} and {_spread(http)}",
        f"{1000 * each:.0f} ms per round of the ledger; peer (git fetch, commit, push) {1000 * peer:.0f} ms",
    )
    return Result("ledger", "seconds_per_round_vs_git_push", each / peer, "<=", GOAL, notes)


def _race(hosts: Path, remote: str, token: str, rounds: int) -> tuple[list[Won], float]:
    """Each process is a host of its own. Answers the wins and the seconds they took."""
    judge = Ledger.over_git(remote, SERVICE, state_dir=hosts / "judge", token=token)
    judge.init("onprem", stamp(BEGIN))
    won, took = _together(partial(_racer, hosts=hosts, remote=remote, token=token, rounds=rounds))
    there = Counter((tip.claim.epoch, tip.claim.run_id) for tip in judge.history() if tip.claim and tip.state is State.CLAIMED)
    assert sorted(epoch for epoch, _ in won) == list(range(1, rounds + 1)), "a round had no winner, or two"
    assert there == Counter(won), "a claim was lost, or counted twice"
    return won, took


def _racer(me: int, together: Barrier, hosts: Path, remote: str, token: str, rounds: int) -> list[Won]:
    """Eight decisions about one outage, again and again, as emitters send them; who wins fails before it changes anything."""
    ledger = Ledger.over_git(remote, SERVICE, state_dir=hosts / f"host-{me}", token=token)
    won: list[Won] = []
    for number in range(rounds):
        now, mine = stamp(BEGIN + timedelta(seconds=number)), None
        together.wait(PATIENCE)
        ledger.tip()  # all know the newest commit: nobody wins because the others still have to fetch it
        together.wait(PATIENCE)
        with contextlib.suppress(Duplicate):
            mine = ledger.claim(_request(f"{me}-{number}", now))
        together.wait(PATIENCE)
        if mine is not None:
            won.append((mine.epoch, mine.run_id))
            ledger.advance(mine, State.FAILED, at=now)
    return won


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
    """Seconds in which 8 clones push at one moment, `PEER_ROUNDS` times."""
    remote = _bare(root / "peer.git")
    first = root / "first"
    _git(root, "clone", "--quiet", str(remote), str(first))
    _git(first, "commit", "--quiet", "--allow-empty", "--message", "first")
    _git(first, "push", "--quiet", "origin", "HEAD:refs/heads/log")
    for me in range(RACERS):
        _git(root, "clone", "--quiet", "--branch", "log", str(remote), str(root / f"clone-{me}"))
    landed, took = _together(partial(_committer, root=root))
    assert len(landed) >= PEER_ROUNDS
    return took


def _committer(me: int, together: Barrier, root: Path) -> list[Won]:
    clone = root / f"clone-{me}"
    landed: list[Won] = []
    for number in range(PEER_ROUNDS):
        together.wait(PATIENCE)
        _git(clone, "fetch", "--quiet", "origin", "log")
        _git(clone, "reset", "--quiet", "--hard", "FETCH_HEAD")
        together.wait(PATIENCE)
        first = _commit_and_push(clone, f"claim {me} {number}")
        together.wait(PATIENCE)
        if first:
            landed.append((number, clone.name))
            _commit_and_push(clone, f"end {me} {number}")
    return landed


def _commit_and_push(clone: Path, text: str) -> bool:
    (clone / "tip.json").write_text(f"{text}\n", encoding="ascii")
    _git(clone, "add", "tip.json")
    _git(clone, "commit", "--quiet", "--message", text)
    return _git(clone, "push", "--quiet", "origin", "HEAD:refs/heads/log", check=False)


def _together(work: Callable[[int, Barrier], list[Won]]) -> tuple[list[Won], float]:
    """Run `work` in 8 processes that begin at one moment: all their answers, and the seconds from that moment to the last answer."""
    ready, together = _CONTEXT.Barrier(RACERS + 1), _CONTEXT.Barrier(RACERS)
    answers: Queue[list[Won] | str] = _CONTEXT.Queue()
    racers = [_CONTEXT.Process(target=_begin, args=(work, me, ready, together, answers), daemon=True) for me in range(RACERS)]
    for racer in racers:
        racer.start()
    ready.wait(PATIENCE)
    begin = time.perf_counter()
    found: list[list[Won] | str] = []
    while len(found) < RACERS:
        try:
            found.append(answers.get(timeout=5))
        except queue.Empty:
            if dead := [racer.exitcode for racer in racers if racer.exitcode]:
                raise AssertionError(f"a racer was ended from outside: {dead}") from None
    took = time.perf_counter() - begin
    for racer in racers:
        racer.join(PATIENCE)
    if failed := [answer for answer in found if isinstance(answer, str)]:
        raise AssertionError("; ".join(failed))
    return [won for answer in found if not isinstance(answer, str) for won in answer], took


def _begin(work: Callable[[int, Barrier], list[Won]], me: int, ready: Barrier, together: Barrier, answers: Queue[list[Won] | str]) -> None:
    ready.wait(PATIENCE)
    try:
        answers.put(work(me, together))
    except Exception as error:  # noqa: BLE001 - a racer that dies silently would leave the others' figure standing
        together.abort()
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
