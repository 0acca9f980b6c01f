"""Somebody who may push, beside the runs: at any moment a well-formed tip of theirs stands on top of the branch.

They have no key of a host or an approver, and all that is on the branch: every tip, every signature.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.ledger import MAX_EPOCH, Claim, Tip
from hyops_ci.contracts.run import State
from hyops_ci.ledger.rules import incident
from hyops_ci.ledger.store import Head
from tests.ledger.ledger_setup import SERVICE
from tests.simulation.process import Run, ask_for, time_of
from tests.support.ref_store import grown, name_of

Forgery = Callable[[Head, str], Tip]
"""Makes a tip for the top of this branch, at this time."""


def _changed(tip: Tip, at: str, **changes: Any) -> Tip:
    return tip.model_copy(update={"signature": None, "at": at, **changes})


def _moved(head: Head, at: str) -> Tip:
    away = head.tip.position == "primary"
    return _changed(
        head.tip, at, position="failed_over" if away else "primary", serves="gcp" if away else "onprem", moves=head.tip.moves + 1
    )


def _ended(state: State) -> Forgery:
    """The run of the claim is said to have ended; without a claim there is one that has."""

    def forge(head: Head, at: str) -> Tip:
        tip = head.tip if head.tip.claim is not None else _claimed(head, at)
        good = state is State.COMPLETED
        return _changed(tip, at, state=state, mutating=tip.mutating or good, **(_place(tip) if good else {}))

    return forge


def _place(tip: Tip) -> dict[str, object]:
    back = tip.claim is not None and tip.claim.decision_type is DecisionType.FAILBACK_ONPREM
    return {"position": "primary" if back else "failed_over", "serves": "onprem" if back else "gcp", "moves": tip.moves + 1}


def _claimed(head: Head, at: str) -> Tip:
    """A claim of a run that is none of ours, for the next epoch."""
    terms = ask_for(Run(900, 900, nonce=900), at).terms()
    claim = Claim(
        **terms,
        claim_id=f"claim-x-{head.tip.epoch + 1}",
        epoch=min(head.tip.epoch + 1, MAX_EPOCH),
        incident=incident(SERVICE, DecisionType.FAILOVER, head.tip.moves),
        claimed_at=at,
    )
    fresh: dict[str, Any] = {"mutating": False, "past_no_return": False, "bundle_sha256": None}
    return _changed(head.tip, at, claim=claim, epoch=claim.epoch, state=State.CLAIMED, **fresh)


def _again(head: Head, at: str) -> Tip:
    """The oldest tip with a claim, once more, with whatever signature it has; where there is none, the first."""
    return next((tip for tip in reversed(head.tips) if tip.claim is not None), head.tips[-1])


FORGERIES: Final[dict[str, Forgery]] = {
    "moved": _moved,
    "claimed": _claimed,
    "failed": _ended(State.FAILED),
    "cancelled": _ended(State.CANCELLED),
    "unknown": _ended(State.INDETERMINATE),
    "completed": _ended(State.COMPLETED),
    "not begun": lambda head, at: _changed(head.tip, at, mutating=False, past_no_return=False),
    "settled": lambda head, at: _changed(head.tip, at, claim=None, state=None, mutating=False, settled_by="jonas", reason="seen"),
    "again": _again,
    "alive": lambda head, at: _changed(head.tip, at),
    "alive for ever": lambda head, _: _changed(head.tip, "2999-12-31T00:00:00Z"),
    "last epoch": lambda head, at: _changed(head.tip, at, epoch=MAX_EPOCH),
    "no answers": lambda head, _: _changed(head.tip, head.tip.at, answers=()),
}
"""Every field that decides something is forged by one of them."""


def pushed(head: Head, name: str, now: int) -> Head:
    """Return the branch with the forged tip on top."""
    tip = FORGERIES[name](head, time_of(now))
    return grown(head, name_of(head.commit, tip, f"attack: {name}"), tip)
