"""Processes that race for claims on one branch. Used by the tests and by the benchmark."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from hyops_ci.contracts.run import State
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.rules import Duplicate
from tests.ledger.ledger_setup import SERVICE, at, request

ROOT = Path(__file__).parents[2]
HOLD = 400.0
"""Seconds after which a racer that waits for its round gives up."""


@dataclass(frozen=True)
class Race:
    """What the racers said: per round the winners, and how many were told that it is handled."""

    winners: dict[int, list[str]]
    duplicates: int
    seconds: float


def race(remote: str, folder: Path, *, racers: int, rounds: int, token: str = "") -> Race:
    """`rounds` outages; in each, `racers` processes ask for the same incident, and exactly one may have it."""
    words = [sys.executable, "-m", "tests.ledger.racing", remote, str(folder), str(rounds), token]
    begun = time.monotonic()
    with ExitStack() as stack:
        running = [
            stack.enter_context(subprocess.Popen([*words, str(number)], cwd=ROOT, stdout=subprocess.PIPE, text=True))
            for number in range(racers)
        ]
        stack.callback(lambda: [child.kill() for child in running])
        told = [json.loads(child.communicate(timeout=HOLD * 4)[0]) for child in running]
    winners: dict[int, list[str]] = {number: [] for number in range(1, rounds + 1)}
    for each in told:
        for won in each["won"]:
            winners.setdefault(won["epoch"], []).append(won["claim_id"])
    return Race(winners, sum(each["duplicates"] for each in told), time.monotonic() - begun)


def run_racer(ledger: Ledger, racer: int, rounds: int) -> dict[str, object]:
    """One process: in every round claim; the winner ends its run before clients move, which opens the next round."""
    won: list[dict[str, object]] = []
    duplicates = 0
    done = 0
    while done < rounds:
        epoch = done + 1
        asked = request(
            1,
            decision_id=f"race-{epoch:04d}-{racer}",
            run_id=f"{epoch}-{racer + 1}",
            nonces=(f"{epoch}-{racer}",),
            at=at(epoch),
        )
        try:
            claim = ledger.claim(asked)
        except Duplicate:
            duplicates += 1
            done = _wait(ledger)
            continue
        won.append({"epoch": claim.epoch, "claim_id": claim.claim_id})
        ledger.advance(claim, State.FAILED, at=at(epoch))
        done = claim.epoch
    return {"won": won, "duplicates": duplicates}


def _wait(ledger: Ledger) -> int:
    """Until the winner's run has ended. Answers how many rounds are over."""
    end = time.monotonic() + HOLD
    while time.monotonic() < end:
        tip = ledger.tip()
        if tip.state is State.FAILED:
            return tip.epoch
        time.sleep(0.25)
    raise TimeoutError("the winner never ended")


def main(remote: str, folder: str, rounds: str, token: str, racer: str) -> None:
    ledger = Ledger.over_git(remote, SERVICE, state_dir=Path(folder) / f"host-{racer}", token=token)
    print(json.dumps(run_racer(ledger, int(racer), int(rounds))))


if __name__ == "__main__":
    main(*sys.argv[1:])
