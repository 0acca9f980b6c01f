"""The last word of a host about its run, and what stands against it: an end that no host signed (docs/design/contracts.md 6). Pure.

A job without a key may say that a run which had begun is unknown, and so may whoever can push. The run may be at work all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

from hyops_ci.contracts.ledger import Claim, Tip
from hyops_ci.contracts.run import TERMINAL, State
from hyops_ci.dataclass import dataclass
from hyops_ci.ledger import transitions
from hyops_ci.ledger.refusals import ended, working
from hyops_ci.ledger.rules import is_recent
from hyops_ci.ledger.store import Head
from hyops_ci.ledger.vouched_history import is_signed
from hyops_ci.ledger.vouching import Vouchers


@dataclass(frozen=True)
class HostWord:
    """The newest claim's tip that a host signed, and whether it says that its run is at work."""

    tip: Tip
    at_work: bool


def host_word(head: Head, host_keys: Mapping[str, str]) -> HostWord | None:
    """Return the newest word of a host; None where no host signed any."""
    for place, tip in enumerate(head.tips):
        if tip.claim is not None and is_signed(head, place, host_keys):
            older = head.tips[place + 1]
            # An end that changed nothing is none of its own: beside what somebody else wrote, it says that it is alive.
            alive = tip.unsigned() == older.model_copy(update={"signature": None, "at": tip.at})
            return HostWord(tip, tip.state not in TERMINAL or alive)
    return None


def unsigned_end(head: Head, by: Vouchers | None) -> str:
    """Return which end no host signed, though hosts sign this ledger; empty where the newest claim has none such."""
    tip = head.tip
    if by is None or not by.host_keys or tip.claim is None or tip.state not in TERMINAL:
        return ""
    word = host_word(head, by.host_keys)
    if word is not None and word.tip.claim == tip.claim and not word.at_work:
        return ""
    return f"{tip.state}, the end of run {tip.claim.run_id} in the ledger, is signed by no host"


def renewed(head: Head, claim: Claim, at: str, host_keys: Mapping[str, str], *, over: bool) -> Tip | None:
    """Return the tip by which a run says that it is alive, also beside an end that no host signed; None where its end is its own (`over`).

    Raises Refusal (exit 5): `lock.superseded` where another run holds the lock, `lock.ended` for an end that a host signed, or where no
    host signs (`host_keys` is empty).
    """
    state = head.tip.state or State.CLAIMED
    tip = transitions.advanced(head.tip, claim, state, at=at)
    if state in TERMINAL and over:
        return None
    if state in TERMINAL and not ((word := host_word(head, host_keys)) and word.at_work):
        raise ended(head.tip)
    return tip


def settled(head: Head, host_keys: Mapping[str, str], **said: Unpack[transitions.SettledSide]) -> Tip:
    """Return the tip after a settlement.

    Raises Refusal as `transitions.settled`, and `lock.settle` while the newest word of a host says that it is at work.
    """
    tip, word = transitions.settled(head.tip, **said), host_word(head, host_keys)
    if word is not None and word.at_work and is_recent(word.tip, said["at"]):
        raise working(word.tip, head.tip)
    return tip
