"""A branch of years: 5,000 transitions are still read at once, and a limit forgets only what could not come again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyops_ci.contracts.digest import canonical
from hyops_ci.contracts.ledger import Tip
from hyops_ci.contracts.run import State
from hyops_ci.errors import Refusal
from hyops_ci.ledger import git_history as adapter
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.transitions import advanced, claimed, first_tip
from tests.ledger.ledger_setup import BRANCH, SERVICE, at, bare, request
from tests.support.git_http import serving

LENGTH = 5_000
SECONDS = 10.0
"""Of one first reading, with all that git does for it; it takes half of one."""


def years(length: int) -> Iterator[Tip]:
    """Claims that failed before they changed anything, one after the other."""
    tip = first_tip(SERVICE, "a" * 32, "onprem", at(-60))
    yield tip
    for number in range(1, length):
        if number % 2:
            tip = claimed(tip, request(number, at=at(number)), f"claim-{number}")
        elif tip.claim is not None:
            tip = advanced(tip, tip.claim, State.FAILED, at=at(number))
        yield tip


def grow(repository: Path, length: int) -> Path:
    parts = []
    for number, tip in enumerate(years(length), 1):
        content = canonical(tip.document())
        begin = f"commit refs/heads/{BRANCH}\nmark :{number}\ncommitter a <a@b> {1_700_000_000 + number} +0000\ndata 1\nx\n"
        parent = f"from :{number - 1}\n" if number > 1 else ""
        parts.append(f"{begin}{parent}M 100644 inline tip.json\ndata {len(content)}\n".encode() + content + b"\n")
    subprocess.run(["git", "fast-import", "--quiet"], cwd=repository, input=b"".join(parts), check=True)
    return repository


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return grow(bare(tmp_path_factory.mktemp("old") / "ledger.git"), LENGTH)


def worked() -> float:
    """Seconds that this process and those which it waited for have worked: what others do on this machine meanwhile is not theirs."""
    return sum(os.times()[:4])


def test_years_are_read_at_once(old: Path, tmp_path: Path) -> None:
    """From nothing over HTTP, as a hosted job does it; again with what is on the host; and once more when nothing has changed."""
    with serving(old.parent) as server:
        times = []
        ledgers = [Ledger.over_git(server.url(old.name), SERVICE, state_dir=tmp_path / "host") for _ in range(2)]
        for ledger in (ledgers[0], ledgers[1], ledgers[1]):
            begun = worked()
            assert len(ledger.history()) == LENGTH
            times.append(worked() - begun)
        asked = len(server.seen)
        ledgers[1].tip()
        assert len(server.seen) - asked <= 2, "an unchanged branch is asked for once, and not fetched"
    assert max(times) < SECONDS
    assert times[2] < times[0]


def test_the_next_claim_knows_all_of_it(old: Path, tmp_path: Path) -> None:
    ledger = Ledger.over_git(str(old), SERVICE, state_dir=tmp_path / "host")
    with pytest.raises(Refusal, match=r"approval\.nonce"):
        ledger.claim(request(LENGTH + 1, at=at(LENGTH), nonces=(f"{1:032x}",)))
    assert ledger.look(request(LENGTH + 1, at=at(LENGTH + 20))).epoch == LENGTH // 2


def test_what_is_beyond_the_limit_is_forgotten_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No approval and no decision lives for as long as twenty thousand transitions take."""
    remote = grow(bare(tmp_path / "ledger.git"), 41)
    monkeypatch.setattr(adapter, "MAX_HISTORY", 10)
    ledger = Ledger.over_git(str(remote), SERVICE, state_dir=tmp_path / "host")
    assert len(ledger.history()) == 10
    with pytest.raises(Refusal, match=r"approval\.nonce"):
        ledger.claim(request(50, at=at(60), nonces=(f"{39:032x}",)))
    claim = ledger.claim(request(50, at=at(60)))
    assert ledger.advance(claim, State.FAILED, at=at(61)).epoch == 21
