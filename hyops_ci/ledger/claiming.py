"""Whether a request may claim, by the rules and by who vouches for what they are applied to (docs/design/contracts.md 6). Pure."""

from __future__ import annotations

from hyops_ci.errors import Refusal
from hyops_ci.ledger import rules, vouched_history
from hyops_ci.ledger.host_word import unsigned_end
from hyops_ci.ledger.rules import ClaimRequest, Duplicate
from hyops_ci.ledger.store import Head
from hyops_ci.ledger.vouching import Vouched, Vouchers, unsigned_lock


def may_claim(head: Head, request: ClaimRequest, by: Vouchers | None, vouched: Vouched | None) -> None:
    """Raise Duplicate or Refusal unless this request may claim.

    Nothing is a duplicate of what nobody vouches for, and of an unknown end it is said where no host signed it.
    """
    try:
        rules.may_claim(head.tip, request, vouched_history.history(head, by))
    except Duplicate as known:
        if vouched is not None and vouched.by == "rules":
            raise unsigned_lock(request.service, known, vouched) from None
        raise
    except Refusal as refusal:
        end = unsigned_end(head, by)
        if refusal.gate != "lock.unknown" or not end:
            raise
        refusal.found += f"; {end}, so HyOps may be at work"
        raise
