"""Who may act on a service, as pure rules over the tip (contracts, section 6). The incident decides, not the decision's id.

Incident = service + type + moves: every decision about the same outage has the same one, however new its id.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from hyops_ci.contracts.base import moment
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.digest import digest
from hyops_ci.contracts.ledger import Claim, Position, Tip
from hyops_ci.contracts.run import TERMINAL, State, may_follow
from hyops_ci.errors import Exit, Refusal

PATIENCE: Final = timedelta(minutes=10)
"""An open claim that changed nothing and says nothing for so long is superseded by the next."""
NO_DIGEST: Final = "sha256:" + "0" * 64
DONE: Final = frozenset({State.COMPLETED, State.COMPLETED_WITH_EXCEPTIONS})


class Duplicate(Refusal):
    """Nothing to do: this incident is handled, or was. Exit 0, nothing red."""

    headline = "ALREADY HANDLED"


@dataclass(frozen=True)
class ClaimRequest:
    """What a run asks of the ledger. `approvals`, `nonces` and the later digests are empty when it only looks."""

    service: str
    decision_id: str
    decision_type: DecisionType
    drill: bool
    source_sha256: str
    decision_digest: str
    run_id: str
    at: str
    target_site: str
    home_site: str
    plan_digest: str = NO_DIGEST
    check_digest: str = NO_DIGEST
    approvals: tuple[str, ...] = ()
    nonces: tuple[str, ...] = ()
    run_url: str = ""
    expires_at: str | None = None


@dataclass(frozen=True)
class History:
    """What all earlier claims left behind."""

    nonces: frozenset[str] = frozenset()
    sources: tuple[tuple[str, str], ...] = ()
    """(decision id, source digest) of every claim."""
    spent: frozenset[str] = frozenset()
    """Decision ids whose run reached a mutating intent: never claimed again."""


def first_tip(service: str, nonce: str, home_site: str, at: str) -> Tip:
    """The tip of a new ledger: the service lives at home, nothing has happened."""
    return Tip(
        ledger_id=digest({"service": service, "nonce": nonce}),
        service=service,
        position="primary",
        serves=home_site,
        moves=0,
        epoch=0,
        at=at,
    )


def incident(service: str, decision_type: DecisionType, moves: int) -> str:
    """The incident key."""
    return f"{service}:{decision_type}:{moves}"


def may_claim(tip: Tip, request: ClaimRequest, history: History) -> None:
    """Raise Duplicate or Refusal unless this request may claim now."""
    _not_spent(request, history)
    if tip.claim is not None:
        _open_claim(tip, tip.claim, request)
    _position(tip, request)
    if request.decision_id in history.spent:
        raise _refuse(
            "lock.spent",
            "this decision has already acted once",
            f"{request.decision_id} reached a mutating step before",
            "a new decision",
            "decide again, looking at what is true now",
        )


def _not_spent(request: ClaimRequest, history: History) -> None:
    for decision_id, source in history.sources:
        if decision_id == request.decision_id and source != request.source_sha256:
            raise _refuse(
                "lock.conflict",
                "two different decisions carry one id",
                f"{decision_id}: {source} before, {request.source_sha256} now",
                "one id, one decision",
                "ALARM: find out who wrote the second one",
            )
    if again := sorted(history.nonces & set(request.nonces)):
        raise Refusal(
            "approval.nonce",
            "this approval was used before",
            exit_code=Exit.APPROVAL,
            found=f"nonce {again[0]}",
            expected="an approval of this run's own request",
            fix="approve again: hyops-ci approve --request <file of this run>",
        )


def _open_claim(tip: Tip, claim: Claim, request: ClaimRequest) -> None:
    """What an earlier claim means for this request."""
    state = tip.state or State.CLAIMED
    asked = incident(request.service, request.decision_type, tip.moves)
    run = claim.run_url or claim.run_id
    if state in DONE or (state in TERMINAL and not tip.past_no_return and state is not State.INDETERMINATE):
        return
    if claim.drill and not request.drill:
        return  # a real run takes the lock from a drill, whatever the drill is doing
    if state is State.INDETERMINATE or state in TERMINAL:
        raise _unknown(tip, claim, f"ended {state} at {tip.at}")
    if tip.mutating and _silent(tip, request.at):
        raise _unknown(tip, claim, f"begun, {state} since {tip.at}, no result")
    if not tip.mutating and _silent(tip, request.at):
        return
    if claim.incident == asked and not request.drill:
        raise Duplicate(
            "lock.duplicate",
            "same incident under a new id" if claim.decision_id != request.decision_id else "this decision is being handled",
            exit_code=Exit.DONE,
            found=f"{request.decision_type} {request.service}, epoch {tip.epoch}; run {claim.run_id} is in {state} since {tip.at}",
            expected="one run per incident; an emit-only service repeats itself every 600 s",
            fix=f"none. Follow run {run}",
        )
    raise _refuse(
        "lock.held",
        "another run acts on this service",
        f"epoch {tip.epoch}, run {claim.run_id} ({claim.decision_type}) in {state} since {tip.at}",
        "a free lock",
        f"wait for run {run} to end",
    )


def _position(tip: Tip, request: ClaimRequest) -> None:
    wanted: dict[DecisionType, Position] = {DecisionType.FAILOVER: "primary", DecisionType.FAILBACK_ONPREM: "failed_over"}
    needed = wanted.get(request.decision_type)
    if needed is None or request.drill or tip.position == needed:
        return
    handled = tip.claim is not None and tip.claim.decision_type is request.decision_type and tip.state in DONE
    where = f"{request.service} serves from {tip.serves or 'unknown'}, position {tip.position}, epoch {tip.epoch}"
    if handled or request.target_site == tip.serves:
        by = f" since run {tip.claim.run_id}" if tip.claim else ""
        raise Duplicate(
            "lock.duplicate",
            "the service is already there",
            exit_code=Exit.DONE,
            found=f"{where}{by}",
            expected=f"position {needed}",
            fix="none",
        )
    raise _refuse(
        "lock.position",
        f"a {request.decision_type} does not fit where the service is",
        where,
        f"position {needed}",
        "decide for the move that fits",
    )


def claimed(tip: Tip, request: ClaimRequest, claim_id: str) -> Tip:
    """The tip after a claim: epoch one higher, nonces spent."""
    claim = Claim(
        claim_id=claim_id,
        decision_id=request.decision_id,
        decision_type=request.decision_type,
        drill=request.drill,
        source_sha256=request.source_sha256,
        decision_digest=request.decision_digest,
        plan_digest=request.plan_digest,
        check_digest=request.check_digest,
        approvals=request.approvals,
        nonces=request.nonces,
        epoch=tip.epoch + 1,
        incident=incident(request.service, request.decision_type, tip.moves),
        run_id=request.run_id,
        run_url=request.run_url,
        claimed_at=request.at,
        expires_at=request.expires_at,
    )
    fresh = {"claim": claim, "epoch": claim.epoch, "state": State.CLAIMED, "mutating": False, "past_no_return": False, "at": request.at}
    return tip.model_copy(update={**fresh, "bundle_sha256": None, "reason": "", "settled_by": ""})


def advanced(
    tip: Tip,
    claim: Claim,
    state: State,
    *,
    at: str,
    mutating: bool = False,
    past_no_return: bool = False,
    bundle_sha256: str | None = None,
    serves: str = "",
) -> Tip:
    """The tip after the claim's run moved to `state`. Raises Refusal (exit 5) where the claim is no longer the tip's."""
    if tip.claim is None or tip.claim.claim_id != claim.claim_id:
        now = f"epoch {tip.epoch}, run {tip.claim.run_id}" if tip.claim else f"epoch {tip.epoch}, no claim"
        raise _refuse(
            "lock.superseded",
            "another run has taken the lock",
            f"{now}; this run has epoch {claim.epoch}",
            "the lock of this run",
            "stop: the other run acts now",
        )
    before = tip.state or State.CLAIMED
    if state is not before and not _reachable(before, state):
        raise ValueError(f"a claim does not go from {before} to {state}")
    update: dict[str, object] = {
        "state": state,
        "at": at,
        "mutating": tip.mutating or mutating,
        "past_no_return": tip.past_no_return or past_no_return,
        "bundle_sha256": bundle_sha256 or tip.bundle_sha256,
    }
    if (
        state in DONE
        and before not in DONE
        and not claim.drill
        and claim.decision_type in (DecisionType.FAILOVER, DecisionType.FAILBACK_ONPREM)
    ):
        update |= {"position": "failed_over" if claim.decision_type is DecisionType.FAILOVER else "primary", "moves": tip.moves + 1}
        update |= {"serves": serves or tip.serves}
    return tip.model_copy(update=update)


def settled(tip: Tip, *, serves: str, home_site: str, reason: str, settled_by: str, at: str) -> Tip:
    """The tip after a person said which side serves. Raises Refusal (exit 5) where nothing is to be settled."""
    unknown = tip.claim is not None and (
        tip.state is State.INDETERMINATE or (tip.past_no_return and tip.state not in DONE) or (tip.mutating and tip.state not in TERMINAL)
    )
    if not unknown or tip.claim is None:
        raise _refuse(
            "lock.settle", "nothing is to be settled", f"epoch {tip.epoch}, state {tip.state or 'none'}", "a run that was cut off", "none"
        )
    position: Position = "primary" if serves == home_site else "failed_over"
    moved = position != tip.position
    update = {"position": position, "serves": serves, "moves": tip.moves + moved, "claim": None, "state": None, "mutating": False}
    return tip.model_copy(update={**update, "past_no_return": False, "reason": reason[:500], "settled_by": settled_by[:200], "at": at})


def _reachable(before: State, after: State) -> bool:
    """Whether the table leads from one to the other, steps between not being pushed."""
    seen, edge = {before}, {before}
    while edge:
        edge = {state for each in edge for state in State if may_follow(each, state)} - seen
        if after in edge:
            return True
        seen |= edge
    return False


def _silent(tip: Tip, at: str) -> bool:
    return _when(at) - _when(tip.at) >= PATIENCE


def _when(text: str) -> datetime:
    return moment(text)


def _unknown(tip: Tip, claim: Claim, found: str) -> Refusal:
    return _refuse(
        "lock.unknown",
        "an earlier run was cut off and nobody has said what is true",
        f"epoch {tip.epoch}, run {claim.run_id}, {found}",
        "a person's word on which side serves",
        "look (two commands of the UNKNOWN text), then action=settle, approved",
    )


def _refuse(gate: str, reason: str, found: str, expected: str, fix: str) -> Refusal:
    return Refusal(gate, reason, exit_code=Exit.CONFLICT, found=found, expected=expected, fix=fix, docs="ledger.md")


def history_of(tips: Collection[Tip]) -> History:
    """What all tips of a branch say of spent nonces and decisions."""
    claims = [tip.claim for tip in tips if tip.claim is not None]
    return History(
        nonces=frozenset(nonce for claim in claims for nonce in claim.nonces),
        sources=tuple(dict.fromkeys((claim.decision_id, claim.source_sha256) for claim in claims)),
        spent=frozenset(tip.claim.decision_id for tip in tips if tip.claim is not None and tip.mutating and not tip.claim.drill),
    )
