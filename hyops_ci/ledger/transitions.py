"""The next tip: how a claim, a step of its run and a settlement change the ledger (docs/design/contracts.md 6)."""

from __future__ import annotations

from typing import Any, Final, NotRequired, TypedDict, Unpack

from pydantic import ValidationError

from hyops_ci.contracts.digest import digest
from hyops_ci.contracts.figures import Figures
from hyops_ci.contracts.ledger import Claim, Position, Tip
from hyops_ci.contracts.run import TERMINAL, State, may_follow
from hyops_ci.errors import Exit, Refusal
from hyops_ci.ledger.pending_approvals import approval_in, remaining_answers
from hyops_ci.ledger.rules import DONE, MOVES, ClaimRequest, conflict, incident, is_recent, lock_of
from hyops_ci.ledger.settling import to_settle

_ACTING: Final = frozenset({State.EXECUTING, State.VERIFYING, State.CLEANING_UP})


def first_tip(service: str, nonce: str, home_site: str, at: str) -> Tip:
    """Return the first tip of a ledger: the service runs at its home site, no run has claimed it."""
    return Tip(
        ledger_id=digest({"service": service, "nonce": nonce}),
        service=service,
        position="primary",
        serves=home_site,
        moves=0,
        epoch=0,
        at=at,
    )


def claimed(tip: Tip, request: ClaimRequest, claim_id: str) -> Tip:
    """Return the tip after a claim: epoch one higher, nonces spent, answers to the claimed request removed."""
    claim = Claim(
        **request.terms(),
        claim_id=claim_id,
        epoch=tip.epoch + 1,
        incident=incident(request.service, request.decision_type, tip.moves),
        claimed_at=request.at,
    )
    fresh = {"claim": claim, "epoch": claim.epoch, "state": State.CLAIMED, "mutating": False, "past_no_return": False, "at": request.at}
    cleared = {
        "bundle_sha256": None,
        "figures": None,
        "reason": "",
        "settled_by": "",
        "settlement": None,
        "answers": remaining_answers(tip, request, request.at),
    }
    return _with(tip, {**fresh, **cleared})


class Move(TypedDict, total=False):
    """What is known of a claim's run beside its new state."""

    mutating: bool
    """It is about to change something."""
    past_no_return: bool
    """Clients may have moved."""
    bundle_sha256: str | None
    """Of the evidence that was sealed."""
    figures: Figures | None
    """What the run took: said once, with its end."""
    serves: str
    """The site that serves once the move is done."""
    unseen: bool
    """Nothing shows that clients moved, or that the service answers, but HyOps' own word: the position stays until people settle it."""
    unbegun: bool
    """As far as the caller knows it has changed nothing: refused where the ledger knows that it has begun."""


class SettledSide(TypedDict):
    """Which side serves after a run that was cut off, as people found out."""

    serves: str
    home_site: str
    reason: str
    settled_by: str
    at: str
    epoch: NotRequired[int | None]
    """The epoch that they looked at."""
    settlement: NotRequired[dict[str, Any] | None]
    """The envelope that they signed."""
    adopt: NotRequired[bool]
    """They vouch for the whole ledger: also where nothing was cut off."""


def advanced(tip: Tip, claim: Claim, state: State, *, at: str, **move: Unpack[Move]) -> Tip:
    """Return the tip after the claim's run moved to `state`. Raises Refusal (exit 5) where the claim is no longer the tip's."""
    bundle_sha256, serves, past_no_return = move.get("bundle_sha256"), move.get("serves", ""), move.get("past_no_return", False)
    figures = move.get("figures")
    if tip.claim is None or tip.claim.claim_id != claim.claim_id:
        now = f"epoch {tip.epoch}, run {tip.claim.run_id}" if tip.claim else f"epoch {tip.epoch}, no claim"
        raise conflict(
            "lock.superseded",
            "another run has taken the lock",
            f"{now}; this run has epoch {claim.epoch}",
            "the lock of this run",
            "stop: the other run acts now",
        )
    before = tip.state or State.CLAIMED
    if move.get("unbegun") and tip.mutating:
        raise conflict(
            "lock.transition",
            "the run has begun in the meantime",
            f"epoch {tip.epoch} is {before} since {tip.at}; this would make it {state}",
            "a run that has changed nothing",
            f"none: it may still be acting. Its own end counts, or {to_settle(tip.service)}",
        )
    if state is not before and not _reachable(before, state):
        raise conflict(
            "lock.transition",
            "the ledger holds another end of this run",
            f"epoch {tip.epoch} is {before} since {tip.at}; this would make it {state}",
            "a state that can follow",
            f"keep both bundles; where the truth is unclear: look, then {to_settle(tip.service)}",
        )
    if before in TERMINAL and tip.bundle_sha256 and bundle_sha256 and bundle_sha256 != tip.bundle_sha256:
        raise conflict(
            "lock.transition",
            "the ledger holds another bundle of this run",
            f"{tip.bundle_sha256} in the ledger, {bundle_sha256} now",
            "one bundle for one claim",
            "keep both; the ledger's is the one that was sealed first",
        )
    if figures is not None and (state not in TERMINAL or tip.figures not in (None, figures)):
        raise conflict(
            "lock.transition",
            "the ledger holds other figures of this run" if state in TERMINAL else "figures of a run that has not ended",
            f"epoch {tip.epoch} is {before} since {tip.at}; this would make it {state}",
            "figures said once, with the end of the run",
            "keep both bundles; those that were sealed first count",
        )
    update: dict[str, object] = {
        "state": state,
        "at": at,
        "mutating": tip.mutating or move.get("mutating", False) or past_no_return or state in _ACTING,
        "past_no_return": tip.past_no_return or past_no_return,
        "bundle_sha256": bundle_sha256 or tip.bundle_sha256,
        "figures": figures or tip.figures,
    }
    moved_to = MOVES.get(claim.decision_type)
    if moved_to and state in DONE and before not in DONE and not claim.drill and not move.get("unseen", False):
        update |= {"position": moved_to, "moves": tip.moves + 1, "serves": serves or tip.serves}
    return _with(tip, update)


def settled(tip: Tip, **said: Unpack[SettledSide]) -> Tip:
    """Return the tip after it was settled. Raises Refusal (exit 5) where nothing is to be settled, or another epoch was meant."""
    epoch, at = said.get("epoch"), said["at"]
    if epoch is not None and epoch != tip.epoch:
        raise conflict(
            "lock.settle", "another run has come since", f"epoch {tip.epoch}", f"epoch {epoch}, which was looked at", "look again"
        )
    lock = lock_of(tip, at)  # what claims to come from a later time is no run at work for whom people vouch
    if (lock == "held" and is_recent(tip, at)) if said.get("adopt") else lock != "unknown":
        since = f" since {tip.at}" if tip.claim else ""
        raise conflict(
            "lock.settle",
            "nothing is to be settled",
            f"epoch {tip.epoch}, state {tip.state or 'none'}{since}",
            "a run that was cut off, stopped after clients moved, is not proven, or has begun and is silent for 10 minutes",
            "none; while a run is acting: cancel it first, or wait for its end",
        )
    position: Position = "primary" if said["serves"] == said["home_site"] else "failed_over"
    moved = position != tip.position
    update: dict[str, object] = {
        "position": position,
        "serves": said["serves"],
        "moves": tip.moves + moved,
        "claim": None,
        "state": None,
        "mutating": False,
        "figures": None,
    }
    update |= {"past_no_return": False, "reason": said["reason"][:500], "settled_by": said["settled_by"][:200], "at": at}
    # What somebody wrote by hand and people adopt is not carried on: with it no later tip might fit.
    answers = tuple(each for each in tip.answers if approval_in(each) is not None)
    update |= {"settlement": said.get("settlement"), "answers": answers}
    try:
        return _with(tip, update)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise Refusal(
            "lock.words",
            "a settlement is one line of plain text",
            exit_code=Exit.USAGE,
            found=f"{where}: {error.errors()[0]['msg']}",
            expected="a site, a reason and a name without control characters",
            fix="correct the text",
        ) from None


def _with(tip: Tip, update: dict[str, object]) -> Tip:
    """Return a tip with other values, validated: a tip that cannot be read back would block the service. No signature is carried over."""
    return Tip.model_validate({**dict(tip), "signature": None, **update})


def _reachable(before: State, after: State) -> bool:
    """Return whether `after` can be reached. States between need no push of their own, except EXECUTING."""
    seen, edge = {before}, {before}
    while edge:
        edge = {state for each in edge for state in State if may_follow(each, state)} - seen
        if after in edge:
            return True
        seen |= edge
        edge.discard(State.EXECUTING)
    return False
