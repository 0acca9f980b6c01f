"""Who may act on a service, as pure rules over the tip (docs/design/contracts.md 6). The incident decides, not the decision's id.

Incident = service + type + moves: every decision about the same outage has the same one, however new its id.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Final, Literal

from hyops_ci.contracts.base import Digest, Name, ServiceId, Utc, moment, whole_second
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.ledger import MAX_EPOCH, Claim, ClaimTerms, Position, Tip
from hyops_ci.contracts.run import TERMINAL, State
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Refusal
from hyops_ci.ledger.settling import to_settle

PATIENCE: Final = timedelta(minutes=10)
"""An open claim that changed nothing and says nothing for so long is superseded by the next."""
NO_DIGEST: Final = "sha256:" + "0" * 64
Lock = Literal["free", "held", "unknown"]
"""Of a service: nobody acts on it, a run does, or one was cut off and a person must settle which site serves."""
DONE: Final = frozenset({State.COMPLETED, State.COMPLETED_WITH_EXCEPTIONS})
UNKNOWN: Final = frozenset({State.INDETERMINATE, State.NOT_CLEANED})
"""Ends after which only a person's word frees the lock, or the next drill of a service where a drill ended so."""
MOVES: Final[dict[DecisionType, Position]] = {DecisionType.FAILOVER: "failed_over", DecisionType.FAILBACK_ONPREM: "primary"}
"""Where a completed real move puts the service. A burst moves nothing."""


class Duplicate(Refusal):
    """Nothing to do: this incident is handled, or was. Exit 0, nothing red."""

    headline = "ALREADY HANDLED"


class ClaimRequest(ClaimTerms):
    """A run's request for a claim. Approvals, nonces and the later digests are empty when it only asks whether it could have one."""

    plan_digest: Digest = NO_DIGEST
    check_digest: Digest = NO_DIGEST
    service: ServiceId
    at: Utc
    target_site: Name
    home_site: Name


@dataclass(frozen=True)
class History:
    """What all earlier claims left behind."""

    nonces: frozenset[str] = frozenset()
    sources: tuple[tuple[str, str], ...] = ()
    """(decision id, source digest) of every claim."""
    spent: frozenset[str] = frozenset()
    """Decision ids whose run reached a mutating intent: never claimed again."""


def incident(service: str, decision_type: DecisionType, moves: int) -> str:
    """Return the incident key: service, kind of decision, and how often the service has moved."""
    return f"{service}:{decision_type}:{moves}"


def may_claim(tip: Tip, request: ClaimRequest, history: History) -> None:
    """Raise Duplicate or Refusal unless this request may claim now."""
    _can_be_counted(tip)
    _not_spent(request, history)
    if tip.claim is not None:
        _open_claim(tip, tip.claim, request)
    _position(tip, request)
    if request.decision_id in history.spent:
        raise conflict(
            "lock.spent",
            "this decision has already acted once",
            f"{request.decision_id} reached a mutating step before",
            "a new decision",
            "decide again, from what is true now",
        )


def is_mine(tip: Tip, request: ClaimRequest) -> bool:
    """Return whether the tip holds this request's own claim and its run has changed nothing: a crashed run gets its claim back."""
    claim = tip.claim
    if claim is None or tip.mutating or (tip.state or State.CLAIMED) in TERMINAL:
        return False
    return {**claim.terms(), "run_url": ""} == {**request.terms(), "run_url": ""}


def is_unseen(tip: Tip) -> bool:
    """Return whether HyOps says that it moved the service, and nobody has seen it: a person says which side serves."""
    claim, ended = tip.claim, tip.state in DONE or tip.state is State.NOT_PROVEN
    return ended and claim is not None and not claim.drill and MOVES.get(claim.decision_type, tip.position) != tip.position


def has_arrived(tip: Tip, decision_type: DecisionType) -> bool:
    """Return whether a service is where such a move puts it, as a run proved or people settled, and no run is open on it."""
    return tip.position == MOVES.get(decision_type) and (tip.claim is None or tip.state in TERMINAL) and not waits_for_settlement(tip)


def waits_for_settlement(tip: Tip) -> bool:
    """Return whether the run of this tip has ended, and only a person's word frees the lock."""
    if tip.claim is None or tip.state not in TERMINAL:
        return False
    return is_unseen(tip) or tip.state in UNKNOWN or (tip.past_no_return and tip.state not in DONE)


def _can_be_counted(tip: Tip) -> None:
    """Refuse before an effect what the end of a run could not be counted after."""
    if max(tip.epoch, tip.moves) >= MAX_EPOCH:
        raise conflict(
            "lock.counters",
            "the ledger cannot count on",
            f"epoch {tip.epoch}, moves {tip.moves}",
            f"fewer than {MAX_EPOCH}: no service is recovered so often",
            "ALARM: find out who wrote it, and restore the branch to the commit before",
        )


def _not_spent(request: ClaimRequest, history: History) -> None:
    for decision_id, source in history.sources:
        if decision_id == request.decision_id and source != request.source_sha256:
            raise conflict(
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
    state, lock = tip.state or State.CLAIMED, lock_of(tip, request.at)
    asked = incident(request.service, request.decision_type, tip.moves)
    run = claim.run_url or claim.run_id
    if lock == "free" or (claim.drill and not request.drill):
        return  # a real run takes the lock from a drill, whatever the drill is doing
    if claim.drill and state in UNKNOWN:
        return  # a drill begins by removing what an earlier drill left
    since = whole_second(tip.at)
    if state in DONE and claim.incident == asked and not request.drill:
        raise Duplicate(
            "lock.duplicate",
            "this outage was handled, as HyOps says, and nobody has seen which side serves",
            exit_code=Exit.DONE,
            found=f"{request.decision_type} {request.service}, epoch {tip.epoch}; run {claim.run_id} ended {state} at {since}",
            expected="one run per incident",
            fix=f"look which side serves, then {to_settle(request.service)}",
        )
    if lock == "unknown":
        found = f"ended {state} at {since}" if state in TERMINAL else f"begun, {state} since {since}, no result"
        raise _unknown(tip, claim, found)
    if claim.incident == asked and not request.drill:
        raise Duplicate(
            "lock.duplicate",
            "same incident under a new id" if claim.decision_id != request.decision_id else "this decision is being handled",
            exit_code=Exit.DONE,
            found=f"{request.decision_type} {request.service}, epoch {tip.epoch}; run {claim.run_id} is in {state} since {since}",
            expected="one run per incident; an emit-only service repeats itself every 600 s",
            fix=f"none. Follow run {run}",
        )
    raise conflict(
        "lock.held",
        "another run acts on this service",
        f"epoch {tip.epoch}, run {claim.run_id} ({claim.decision_type}) in {state} since {since}",
        "a free lock",
        f"wait for run {run} to end",
    )


def _position(tip: Tip, request: ClaimRequest) -> None:
    wanted: dict[DecisionType, Position] = {DecisionType.FAILOVER: "primary", DecisionType.FAILBACK_ONPREM: "failed_over"}
    needed = wanted.get(request.decision_type)
    if needed is None or request.drill or tip.position == needed:
        return
    where = f"{request.service} serves from {tip.serves or 'unknown'}, position {tip.position}, epoch {tip.epoch}"
    if request.target_site == tip.serves:
        by = f" since run {tip.claim.run_id}" if tip.claim and not tip.claim.drill and tip.state in DONE else ""
        raise Duplicate(
            "lock.duplicate",
            "the service is already there",
            exit_code=Exit.DONE,
            found=f"{where}{by}",
            expected=f"position {needed}",
            fix="none",
        )
    raise conflict(
        "lock.position",
        f"a {request.decision_type} does not fit where the service is",
        where,
        f"position {needed}",
        "decide for the move that fits",
    )


def lock_of(tip: Tip, at: str) -> Lock:
    """Return who holds the lock at that time. An open claim that went silent before it changed anything stops at its next push."""
    if tip.claim is None:
        return "free"
    if (tip.state or State.CLAIMED) in TERMINAL:
        return "unknown" if waits_for_settlement(tip) else "free"
    if moment(at) - moment(tip.at) >= PATIENCE:
        return "unknown" if tip.mutating else "free"
    return "held"


def last_ended(history: Iterable[Tip], *, drill: bool) -> Tip | None:
    """Return the first tip of a history whose run, or drill, has ended."""
    return next((each for each in history if each.claim is not None and each.claim.drill is drill and each.state in TERMINAL), None)


def is_recent(tip: Tip, at: str) -> bool:
    """Return whether the tip is from within `PATIENCE` of `at`."""
    return abs(moment(at) - moment(tip.at)) < PATIENCE


def _unknown(tip: Tip, claim: Claim, found: str) -> Refusal:
    return conflict(
        "lock.unknown",
        "nobody has said yet what an earlier run left",
        f"epoch {tip.epoch}, run {claim.run_id}, {found}",
        "a person who settles which site serves",
        f"look which side serves, as the report of run {claim.run_id} says, then {to_settle(tip.service)}",
    )


def conflict(gate: str, reason: str, found: str, expected: str, fix: str) -> Refusal:
    """Return a refusal of the ledger: exit 5, one page of docs."""
    return Refusal(gate, reason, exit_code=Exit.CONFLICT, found=found, expected=expected, fix=fix, docs="ledger.md")


def history_of(tips: Collection[Tip]) -> History:
    """Return the spent nonces and decisions of all tips of a branch."""
    claims = [tip.claim for tip in tips if tip.claim is not None]
    return History(
        nonces=frozenset(nonce for claim in claims for nonce in claim.nonces),
        sources=tuple(dict.fromkeys((claim.decision_id, claim.source_sha256) for claim in claims)),
        spent=frozenset(tip.claim.decision_id for tip in tips if tip.claim is not None and tip.mutating),
    )
