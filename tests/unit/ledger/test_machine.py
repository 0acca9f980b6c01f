"""Any order of claims, transitions, settlements and returning runs: what must hold after each of them."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hyops_ci.contracts.base import moment
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.ledger import MAX_ANSWERS, Claim, Tip
from hyops_ci.contracts.run import TERMINAL, State
from hyops_ci.errors import Refusal
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.rules import DONE
from tests.ledger.ledger_setup import ANSWERS, SERVICE, MemoryStore, at, request, signed, subject
from tests.support.examples import examples

TYPES = (DecisionType.FAILOVER, DecisionType.FAILBACK_ONPREM, DecisionType.BURST)
AFTER_CLAIM = sorted(
    {State.SECRETS_READY, State.PREFLIGHT_PASSED, State.EXECUTING, State.VERIFYING, State.INDETERMINATE, State.FAILED, State.CANCELLED}
    | {State.NOT_PROVEN}
    | DONE
)
DECISIONS = st.integers(1, 6)


class LedgerMachine(RuleBasedStateMachine):
    """A ledger in a list, a clock, and every claim that was ever given."""

    @initialize()
    def begin(self) -> None:
        self.ledger = Ledger(MemoryStore(), SERVICE)
        self.ledger.init("onprem", at())
        self.minutes, self.runs = 0.0, 0
        self.given: list[Claim] = []
        self.acted: set[str] = set()
        """Decisions that reached a mutating intent, as this test saw it."""

    @rule(minutes=st.sampled_from([0.5, 4, 11]))
    def time_passes(self, minutes: float) -> None:
        self.minutes += minutes

    @rule(number=DECISIONS, kind=st.sampled_from(TYPES), drill=st.booleans(), fresh=st.booleans(), other_bytes=st.integers(0, 9))
    def claim(self, number: int, kind: DecisionType, drill: bool, fresh: bool, other_bytes: int) -> None:
        self.runs += 1
        before = self.ledger.tip()
        asked = request(
            number,
            decision_id=f"manual-77-{number:04d}-{kind}",
            decision_type=kind,
            drill=drill,
            at=at(self.minutes),
            run_id=f"{self.runs}-1",
            target_site="onprem" if kind is DecisionType.FAILBACK_ONPREM else "gcp",
            nonces=(f"{self.runs if fresh else number:032x}",),
            source_sha256="sha256:" + ("f" if other_bytes == 0 else f"{number}") * 64,
        )
        try:
            claim = self.ledger.claim(asked)
        except Refusal:
            assert self.ledger.tip() == before, "a refusal changes nothing"
            return
        self.given.append(claim)
        assert claim.epoch == before.epoch + 1
        assert claim.decision_id not in self.acted, "what acted once never acts again"
        assert may_be_taken(before, drill, at(self.minutes)), "somebody else has it"
        if not drill and kind is DecisionType.FAILOVER:
            assert before.position == "primary"
        if not drill and kind is DecisionType.FAILBACK_ONPREM:
            assert before.position == "failed_over"

    @precondition(lambda self: self.given)
    @rule(data=st.data(), state=st.sampled_from(AFTER_CLAIM), past=st.booleans(), unseen=st.booleans())
    def a_run_moves_on(self, data: st.DataObject, state: State, past: bool, unseen: bool) -> None:
        claim = data.draw(st.sampled_from(self.given))
        before = self.ledger.tip()
        try:
            after = self.ledger.advance(claim, state, at=at(self.minutes), past_no_return=past, serves="gcp", unseen=unseen)
        except Refusal:
            assert self.ledger.tip() == before
            return
        assert before.claim == claim, "only the holder moves on"
        assert before.state not in TERMINAL or state is before.state
        if state in DONE or state is State.INDETERMINATE:
            assert before.mutating, "EXECUTING is a push of its own"
        moves = (
            not unseen and state in DONE and before.state not in DONE and not claim.drill and claim.decision_type is not DecisionType.BURST
        )
        assert after.moves == before.moves + moves
        assert moves or after.position == before.position
        if after.mutating:
            self.acted.add(claim.decision_id)

    @precondition(lambda self: self.given)
    @rule(data=st.data())
    def a_run_is_alive(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.given))
        before = self.ledger.tip()
        try:
            after = self.ledger.renew(claim, at=at(self.minutes))
        except Refusal:
            assert before.claim != claim
            return
        assert before.claim == claim
        assert after.model_copy(update={"at": before.at}) == before
        assert after == self.ledger.tip()

    @precondition(lambda self: len(self.ledger.tip().answers) < MAX_ANSWERS)
    @rule(number=DECISIONS, who=st.sampled_from(["jonas", "priya"]), lasts=st.sampled_from([5, 60]))
    def somebody_answers(self, number: int, who: str, lasts: int) -> None:
        before = self.ledger.tip()
        about = subject(before.ledger_id, number, nonce=f"a{number:031x}")
        after = self.ledger.answer(signed(about, who, minutes=self.minutes + lasts), subject=about, at=at(self.minutes), **ANSWERS)
        assert after.model_copy(update={"answers": before.answers}) == before, "nothing else changes"
        assert len(after.answers) <= len(before.answers) + 1
        assert len(self.ledger.answers(about)) >= 1

    @rule(serves=st.sampled_from(["onprem", "gcp"]))
    def settle(self, serves: str) -> None:
        before = self.ledger.tip()
        with contextlib.suppress(Refusal):
            after = self.ledger.settle(serves=serves, home_site="onprem", reason="seen", settled_by="maria", at=at(self.minutes))
            assert before.mutating
            assert before.state not in DONE or only_said(before)
            assert after.claim is None
            assert (after.position, after.serves) == ("primary" if serves == "onprem" else "failed_over", serves)
            assert after.moves == before.moves + (after.position != before.position)

    @invariant()
    def what_always_holds(self) -> None:
        if not hasattr(self, "ledger"):
            return
        tips = self.ledger.history()[::-1]
        assert [tip.epoch for tip in tips] == sorted(tip.epoch for tip in tips)
        assert [tip.moves for tip in tips] == sorted(tip.moves for tip in tips)
        assert len({tip.ledger_id for tip in tips}) == 1
        by_epoch: dict[int, set[str]] = {}
        for tip in tips:
            if tip.claim is not None:
                by_epoch.setdefault(tip.claim.epoch, set()).add(tip.claim.claim_id)
        assert all(len(claims) == 1 for claims in by_epoch.values()), "one claim per epoch"
        assert len(by_epoch) == len(self.given)
        nonces = [nonce for claim in self.given for nonce in claim.nonces]
        assert len(nonces) == len(set(nonces)), "an approval is used once"
        sources: dict[str, str] = {}
        for claim in self.given:
            assert sources.setdefault(claim.decision_id, claim.source_sha256) == claim.source_sha256


def may_be_taken(tip: Tip, drill: bool, now: str) -> bool:
    """The contract's own words, told once more and in another way than the rules do."""
    if tip.claim is None:
        return True
    if tip.state in DONE or tip.state is State.NOT_PROVEN:
        past = tip.past_no_return and tip.state is State.NOT_PROVEN
        return (tip.claim.drill and not drill) or not (only_said(tip) or past)
    if tip.claim.drill and not drill:
        return True
    if tip.state in (State.FAILED, State.CANCELLED):
        return not tip.past_no_return
    if tip.state is State.INDETERMINATE or tip.mutating:
        return False
    return moment(now) >= moment(tip.at) + timedelta(minutes=10)


def only_said(tip: Tip) -> bool:
    """Whether HyOps did a real move to its end, and the position is still another."""
    ended = {DecisionType.FAILOVER: "failed_over", DecisionType.FAILBACK_ONPREM: "primary"}
    done = tip.state in DONE or tip.state is State.NOT_PROVEN
    wanted = ended.get(tip.claim.decision_type) if tip.claim is not None and not tip.claim.drill else None
    return done and wanted is not None and wanted != tip.position


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=examples(40), stateful_step_count=30, deadline=None)
