"""What must hold, written from docs/design/contracts.md 6 and not from the code under test.

An effect is HyOps started for real. Two of one incident are one too many, unless the first ended by itself, failed or cancelled before
clients moved, and was known to; or a person settled it. A forged end is a good end, an ALREADY HANDLED or a stopped HyOps that only
somebody without a key wrote to the ledger. A holder is a run that has entered EXECUTING and has not ended, or whose HyOps is
still at work. Two at once are one too many, unless one is a drill that a real run claimed over and that has not asked the ledger since.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from hyops_ci.contracts.base import moment
from hyops_ci.contracts.ledger import Claim, Tip
from hyops_ci.contracts.run import TRANSITIONS, State
from hyops_ci.ledger.store import Head

PATIENCE: Final = 600
"""Seconds of silence after which a claim counts as cut off."""
GOOD: Final = frozenset({State.COMPLETED, State.COMPLETED_WITH_EXCEPTIONS})
BY_ITSELF: Final = frozenset({State.FAILED, State.CANCELLED})
EFFECTS, HOLDERS, FORGED, BROKEN = "double_effects", "double_holders", "forged_ends", "broken"


@dataclass(frozen=True)
class Violation:
    """One violated invariant."""

    kind: str
    text: str


@dataclass(frozen=True)
class HyOps:
    """One start of HyOps, and what is true of it, known or not."""

    run: int
    decision: str
    incident: str
    drill: bool
    going: bool = True
    moved: bool = False
    """Whether clients moved."""
    ended: State | None = None
    """How it ended, None where it was killed or goes on."""
    known: bool = False
    """Its run knew of that end."""
    forgiven: bool = False
    """A person has settled it."""
    cancelled: bool = False
    deaf: bool = False
    """A drill that is asking the ledger, and whose claim is gone."""


def over(tip: Tip) -> bool:
    """Whether the tip's claim binds no other run: none, done, or stopped before clients moved."""
    stopped = tip.state is not None and tip.state not in TRANSITIONS and tip.state is not State.INDETERMINATE
    return tip.claim is None or tip.state in GOOD or (stopped and not tip.past_no_return)


def unsettled(tip: Tip, now: str) -> bool:
    """Whether only a person's word ends the tip's claim."""
    if over(tip):
        return False
    return (tip.state is not None and tip.state not in TRANSITIONS) or (tip.mutating and _age(tip, now) >= PATIENCE)


def pushed(head: Head, tip: Tip) -> Iterator[Violation]:
    """What is wrong with `tip` as the next one after `head`."""
    old = head.tip
    if (tip.ledger_id, tip.service) != (old.ledger_id, old.service):
        yield Violation(BROKEN, "another ledger")
    if tip.answers != old.answers and tip.model_copy(update={"answers": old.answers}) == old:
        return  # a person's answer to somebody, which disturbs nobody
    if tip.claim is None:
        if not (tip.settled_by and unsettled(old, tip.at) and tip.epoch == old.epoch):
            yield Violation(BROKEN, f"settled what was not to be settled: {_words(old)}")
    elif old.claim is not None and tip.claim.claim_id == old.claim.claim_id:
        yield from _same_claim(old, tip, tip.claim)
    else:
        yield from _new_claim(head, tip, tip.claim)


def _same_claim(old: Tip, tip: Tip, claim: Claim) -> Iterator[Violation]:
    before, after = old.state or State.CLAIMED, tip.state or State.CLAIMED
    if tip.claim != old.claim or tip.epoch != old.epoch:
        yield Violation(BROKEN, "a claim was changed")
    if after is not before and after not in _after(before):
        yield Violation(BROKEN, f"{before} became {after}")
    if old.mutating > tip.mutating or old.past_no_return > tip.past_no_return:
        yield Violation(BROKEN, "what had begun is said not to have begun")
    finished = after in GOOD and before not in GOOD and not claim.drill
    if tip.moves - old.moves != finished:
        yield Violation(BROKEN, f"{after}: {tip.moves - old.moves} moves")


def _new_claim(head: Head, tip: Tip, claim: Claim) -> Iterator[Violation]:
    old, wanted = head.tip, "primary" if claim.decision_type == "failover" else "failed_over"
    if (tip.epoch, claim.epoch, tip.state, tip.mutating) != (old.epoch + 1, old.epoch + 1, State.CLAIMED, False):
        yield Violation(BROKEN, "no fresh claim")
    if claim.incident != f"{old.service}:{claim.decision_type}:{old.moves}" or (tip.moves, tip.position) != (old.moves, old.position):
        yield Violation(BROKEN, "another incident than the one it claims")
    if not claim.drill and old.position != wanted:
        yield Violation(EFFECTS, f"{claim.decision_type} claimed at {old.position}")
    drill_gives_way = old.claim is not None and old.claim.drill and not claim.drill
    if not (over(old) or drill_gives_way or (not old.mutating and old.state in TRANSITIONS and _age(old, tip.at) >= PATIENCE)):
        yield Violation(HOLDERS, f"claimed over {_words(old)}")
    others = [each.claim for each in head.tips if each.claim is not None]
    if spent := set(claim.nonces) & {nonce for each in others for nonce in each.nonces}:
        yield Violation(BROKEN, f"nonce used twice: {sorted(spent)}")
    if any(each.claim is not None and each.mutating and each.claim.decision_id == claim.decision_id for each in head.tips):
        yield Violation(EFFECTS, f"{claim.decision_id} was spent, and claimed again")
    if any(each.decision_id == claim.decision_id and each.source_sha256 != claim.source_sha256 for each in others):
        yield Violation(BROKEN, f"two decisions are called {claim.decision_id}")


def started(new: HyOps, serves: str, others: Iterable[HyOps]) -> Iterator[Violation]:
    """What is wrong with this start, given where clients truly are and what was started before."""
    _, kind, _ = new.incident.split(":")
    if not new.drill and serves != ("onprem" if kind == "failover" else "gcp"):
        yield Violation(EFFECTS, f"run {new.run}: a {kind}, and clients are at {serves} already")
    for old in others:
        if old.decision == new.decision:
            yield Violation(EFFECTS, f"runs {old.run} and {new.run}: {old.decision} acted twice")
        elif not (old.drill or new.drill) and old.incident == new.incident and not _free(old):
            yield Violation(EFFECTS, f"runs {old.run} and {new.run}: two effects for {old.incident}")


def _free(old: HyOps) -> bool:
    """Whether an incident may be acted on again after this one."""
    return old.forgiven or (old.known and not old.moved and old.ended in BY_ITSELF)


def sealed(run: int, state: State, hyops: Iterable[HyOps], handled: bool) -> Iterator[Violation]:
    """What is wrong with the end that a run sealed. `handled`: another run has claimed, or clients are where it would bring them."""
    if state in GOOD and not any(each.ended is State.COMPLETED for each in hyops):
        yield Violation(FORGED, f"run {run} ends {state}, and its HyOps did not")
    if state is State.DUPLICATE and not handled:
        yield Violation(FORGED, f"run {run} ends {state}, and no run has acted")


def together(holders: Iterable[tuple[int, bool]], overtaken: frozenset[int], deaf: frozenset[int]) -> Iterator[Violation]:
    """What is wrong with these holders, each (run, drill), at one moment.

    `overtaken` drills had their claim taken by a real run; `deaf` ones have asked the ledger since and go on.
    """
    now = list(holders)
    for number, (one, drill) in enumerate(now):
        for other, other_drill in now[number + 1 :]:
            excused = drill != other_drill and (one if drill else other) in overtaken - deaf
            if not excused:
                yield Violation(HOLDERS, f"runs {one} and {other} act at once")


def _after(state: State) -> frozenset[State]:
    """States that can follow, at once or later. EXECUTING has a push of its own: nothing passes through it unsaid."""
    found: set[State] = set()
    edge = set(TRANSITIONS.get(state, ()))
    while edge:
        found |= edge
        edge = {after for each in edge - {State.EXECUTING} for after in TRANSITIONS.get(each, ())} - found
    return frozenset(found)


def _age(tip: Tip, now: str) -> float:
    return (moment(now) - moment(tip.at)).total_seconds()


def _words(tip: Tip) -> str:
    run = tip.claim.run_id if tip.claim else "nobody"
    return f"{run} in {tip.state}, mutating={tip.mutating}, past_no_return={tip.past_no_return}, since {tip.at}"
