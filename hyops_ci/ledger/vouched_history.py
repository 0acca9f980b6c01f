"""What of a ledger's history somebody vouches for, claim by claim and bundle by bundle (docs/design/contracts.md 6). Pure.

People who adopt a ledger say where the service is. They do not say that what a stranger wrote below it is true.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from hyops_ci.contracts.ledger import Tip
from hyops_ci.ledger import rules
from hyops_ci.ledger.rules import History
from hyops_ci.ledger.store import Head
from hyops_ci.ledger.vouching import Vouchers, signers


def vouched_tips(head: Head, by: Vouchers | None) -> tuple[Tip, ...]:
    """Return the tips that a host vouches for, newest first: those that it signed, and all below down to the next settlement.

    Every tip where no host signs the ledger.
    """
    return tuple(_signed_over(head, by)) if by is not None and by.host_keys else head.tips


def _signed_over(head: Head, by: Vouchers) -> Iterator[Tip]:
    covered = False
    for place, tip in enumerate(head.tips):
        covered = covered or is_signed(head, place, by.host_keys)
        if covered:
            yield tip
        if tip.claim is None and tip.settled_by:
            covered = False


def history(head: Head, by: Vouchers | None) -> History:
    """Return what earlier claims left behind: decisions as far as they are vouched for, nonces of all.

    A decision's id can be guessed, and somebody who may push could spend it beforehand. A nonce cannot, and used twice is worse.
    """
    known, tips = rules.history_of(head.tips), vouched_tips(head, by)
    return known if len(tips) == len(head.tips) else replace(rules.history_of(tips), nonces=known.nonces)


def previous_bundle(head: Head, by: Vouchers | None) -> str | None:
    """Return the digest of the newest bundle whose host signed for it; of the newest at all where no host signs the ledger."""
    for place, tip in enumerate(head.tips):
        older = head.tips[place + 1].bundle_sha256 if place + 1 < len(head.tips) else None
        # What is carried on was named further down.
        if tip.bundle_sha256 not in (None, older) and (by is None or not by.host_keys or is_signed(head, place, by.host_keys)):
            return tip.bundle_sha256
    return None


def is_signed(head: Head, place: int, host_keys: Mapping[str, str]) -> bool:
    """Return whether a host signed this transition."""
    tip = head.tips[place]
    return tip.signature is not None and place + 1 < len(head.tips) and bool(signers(tip, head.commits[place + 1], host_keys))
