"""Whether one tip may follow another: derived from the transitions themselves, which are made again and compared. Pure."""

from __future__ import annotations

from enum import StrEnum

from pydantic import ValidationError

from hyops_ci.contracts.base import moment
from hyops_ci.contracts.ledger import Claim, Tip
from hyops_ci.contracts.run import State
from hyops_ci.errors import Refusal
from hyops_ci.ledger import rules, transitions
from hyops_ci.ledger.pending_approvals import approval_in
from hyops_ci.ledger.rules import ClaimRequest, History

_ANY_SITE = "any"
"""A claim is judged without the sites of its request: they are only shown."""


class Step(StrEnum):
    """What a transition did."""

    ANSWERS = "answers"
    CLAIM = "claim"
    RUN = "run"
    """The claim's run moved on, ended, or said that it is alive."""
    SETTLEMENT = "settlement"


def is_first(tip: Tip) -> bool:
    """Return whether `ledger init` makes such a tip: no claim was ever there, nothing has moved."""
    first = transitions.first_tip(tip.service, "", tip.serves, tip.at)
    return tip.unsigned() == first.model_copy(update={"ledger_id": tip.ledger_id})


def follows(older: Tip, newer: Tip) -> Step | None:
    """Return which transition made `newer` of `older`; None where none of them could.

    Two things lie outside of two tips: that no nonce is spent twice, and that time does not run ahead (`vouching`).
    """
    newer = newer.unsigned()
    if newer.answers != older.answers and _but_answers(newer) == _but_answers(older):
        return Step.ANSWERS if all(approval_in(each) is not None for each in newer.answers) else None
    step = Step.SETTLEMENT if newer.claim is None else Step.CLAIM if newer.claim != older.claim else Step.RUN
    backwards = moment(newer.at) < moment(older.at)
    # Who adopts a ledger may correct a time that lies ahead: the people signed for it.
    if (newer.ledger_id, newer.service) != (older.ledger_id, older.service) or (backwards and step is not Step.SETTLEMENT):
        return None
    try:
        return step if _made_again(step, older, newer) == newer else None
    except (Refusal, ValidationError):
        return None


def later(at: str, than: str) -> str:
    """Return the later of two times: the clocks of two hosts differ, and a ledger's time never goes back."""
    return at if moment(at) >= moment(than) else than


def _made_again(step: Step, older: Tip, newer: Tip) -> Tip:
    """Return the tip that this transition makes of `older`. Raises Refusal where the rules forbid it, ValidationError."""
    if step is Step.CLAIM and newer.claim is not None:
        return _claimed(older, newer, newer.claim)
    if step is Step.RUN and newer.claim is not None:
        return transitions.advanced(
            older,
            newer.claim,
            newer.state or State.CLAIMED,
            at=newer.at,
            mutating=newer.mutating,
            past_no_return=newer.past_no_return,
            bundle_sha256=newer.bundle_sha256,
            figures=newer.figures,
            serves=newer.serves,
            unseen=newer.position == older.position,
        )
    return transitions.settled(
        older,
        serves=newer.serves,
        home_site=newer.serves if newer.position == "primary" else "",
        reason=newer.reason,
        settled_by=newer.settled_by,
        at=newer.at,
        settlement=newer.settlement,
        adopt=newer.settlement is not None,
    )


def _claimed(older: Tip, newer: Tip, claim: Claim) -> Tip:
    request = ClaimRequest(**claim.terms(), service=newer.service, at=newer.at, target_site=_ANY_SITE, home_site=_ANY_SITE)
    rules.may_claim(older, request, History())
    return transitions.claimed(older, request, claim.claim_id)


def _but_answers(tip: Tip) -> Tip:
    return tip.model_copy(update={"answers": (), "signature": None})
