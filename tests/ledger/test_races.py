"""Eight processes ask for the same incident, again and again: exactly one has it each time, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyops_ci.ledger.ledger import Ledger
from tests.ledger.ledger_setup import SERVICE, at
from tests.ledger.racing import Race, race
from tests.support.git_http import serving

RACERS = 8
ON_DISK, OVER_HTTP = 24, 6  # thirty outages; `./dev bench ledger` races for a thousand
TOKEN = "ghs_CANARYrace"


def judged(run: Race, rounds: int, ledger: Ledger) -> None:
    assert set(run.winners) >= set(range(1, rounds + 1))
    assert all(len(winners) == 1 for winners in run.winners.values()), "exactly one winner each"
    claims = [tip.claim for tip in reversed(ledger.history()) if tip.claim is not None]
    first_seen = list(dict.fromkeys(claim.claim_id for claim in claims))
    assert first_seen == [run.winners[epoch][0] for epoch in sorted(run.winners)], "what a winner was told is what the branch says"
    epochs = [tip.epoch for tip in reversed(ledger.history())]
    assert epochs == sorted(epochs)
    nonces = [nonce for claim in {claim.claim_id: claim for claim in claims}.values() for nonce in claim.nonces]
    assert len(nonces) == len(set(nonces))
    assert run.duplicates > 0, "they did meet"


@pytest.mark.slow
def test_raced_on_a_bare_repository(remote: Path, tmp_path: Path) -> None:
    ledger = Ledger.over_git(str(remote), SERVICE, state_dir=tmp_path / "host")
    ledger.init("onprem", at(-60))
    judged(race(str(remote), tmp_path, racers=RACERS, rounds=ON_DISK), ON_DISK, ledger)


@pytest.mark.slow
def test_raced_over_http(remote: Path, tmp_path: Path) -> None:
    with serving(remote.parent, TOKEN) as server:
        address = server.url(remote.name)
        ledger = Ledger.over_git(address, SERVICE, state_dir=tmp_path / "host", token=TOKEN)
        ledger.init("onprem", at(-60))
        judged(race(address, tmp_path, racers=RACERS, rounds=OVER_HTTP, token=TOKEN), OVER_HTTP, ledger)
