"""Every transition that a ledger makes is one that may follow; a tip that was written by hand is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise

import pytest

from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.digest import canonical
from hyops_ci.contracts.figures import Figures
from hyops_ci.contracts.ledger import MAX_EPOCH, Tip
from hyops_ci.contracts.run import State
from hyops_ci.errors import Refusal
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.rules import incident
from hyops_ci.ledger.succession import Step, follows, is_first, later
from tests.ledger.ledger_setup import ANSWERS, SERVICE, MemoryStore, at, request, signed, subject
from tests.unit.contracts.documents import CASES

S = State


@pytest.fixture
def ledger() -> Ledger:
    made = Ledger(MemoryStore(), SERVICE)
    made.init("onprem", at())
    return made


def steps(ledger: Ledger) -> list[Step | None]:
    return [follows(older, newer) for older, newer in pairwise(ledger.history()[::-1])]


def test_a_recovery_from_the_first_tip_to_its_end(ledger: Ledger) -> None:
    about = subject(ledger.tip().ledger_id)
    ledger.answer(signed(about), subject=about, at=at(0.1), **ANSWERS)
    claim = ledger.claim(request(1, at=at(1)))
    for state in (S.EXECUTING, S.VERIFYING, S.COMPLETED):
        ledger.advance(claim, state, at=at(2), serves="gcp", bundle_sha256="sha256:" + "b" * 64 if state is S.COMPLETED else None)
    assert is_first(ledger.history()[-1])
    assert steps(ledger) == [Step.ANSWERS, Step.CLAIM, Step.RUN, Step.RUN, Step.RUN]


def test_a_run_that_was_cut_off_and_settled(ledger: Ledger) -> None:
    claim = ledger.claim(request(1, at=at(1)))
    ledger.advance(claim, S.EXECUTING, at=at(2))
    ledger.renew(claim, at=at(5))
    ledger.settle(serves="gcp", home_site="onprem", reason="seen", settled_by="jonas", at=at(20))
    ledger.claim(request(2, at=at(21), decision_type=DecisionType.FAILBACK_ONPREM, target_site="onprem"))
    assert steps(ledger) == [Step.CLAIM, Step.RUN, Step.RUN, Step.SETTLEMENT, Step.CLAIM]


def test_a_clock_that_is_behind_makes_no_ledger_go_back(ledger: Ledger) -> None:
    claim = ledger.claim(request(1, at=at(-3)))
    assert ledger.advance(claim, S.EXECUTING, at=at(-2)).at == at()
    assert steps(ledger) == [Step.CLAIM, Step.RUN]
    assert later(at(), at(1)) == later(at(1), at()) == at(1)


def executing(ledger: Ledger) -> tuple[Tip, Tip]:
    """The claim and the tip in which its run executes."""
    claim = ledger.claim(request(1, at=at(1)))
    ledger.advance(claim, S.EXECUTING, at=at(2))
    return ledger.history()[1], ledger.history()[0]


FORGED: dict[str, Callable[[Tip], Tip]] = {
    "another service": lambda tip: tip.model_copy(update={"service": "web/prod"}),
    "another ledger": lambda tip: tip.model_copy(update={"ledger_id": "sha256:" + "9" * 64}),
    "time goes back": lambda tip: tip.model_copy(update={"at": at(-1)}),
    "an epoch without a claim": lambda tip: tip.model_copy(update={"epoch": MAX_EPOCH}),
    "moves without a move": lambda tip: tip.model_copy(update={"moves": 1}),
    "a position without a move": lambda tip: tip.model_copy(update={"position": "failed_over", "serves": "gcp"}),
    "another site": lambda tip: tip.model_copy(update={"serves": "gcp"}),
    "another run": lambda tip: tip.model_copy(update={"claim": tip.claim and tip.claim.model_copy(update={"run_id": "9-1"})}),
    "no claim": lambda tip: tip.model_copy(update={"claim": None, "state": None, "mutating": False}),
    "begun and not begun": lambda tip: tip.model_copy(update={"mutating": False}),
    "a state that cannot follow": lambda tip: tip.model_copy(update={"state": S.PLANNED}),
    "completed from the claim on": lambda tip: tip.model_copy(
        update={"state": S.COMPLETED, "position": "failed_over", "serves": "gcp", "moves": 1}
    ),
    "a reason": lambda tip: tip.model_copy(update={"reason": "so it is"}),
    "settled by its own word": lambda tip: tip.model_copy(update={"settled_by": "jonas"}),
    "another claim while it acts": lambda tip: tip.model_copy(
        update={
            "epoch": 2,
            "claim": tip.claim and tip.claim.model_copy(update={"epoch": 2, "claim_id": "claim-2", "claimed_at": tip.at}),
            "state": S.CLAIMED,
            "mutating": False,
        }
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_tip_that_nothing_could_have_made(ledger: Ledger, name: str) -> None:
    older, newer = executing(ledger)
    assert follows(older, newer) is Step.RUN
    assert follows(older, FORGED[name](newer)) is None


@pytest.mark.parametrize(
    "change",
    [{"epoch": 3}, {"claimed_at": at(9)}, {"incident": incident(SERVICE, DecisionType.FAILOVER, 7)}],
    ids=["epoch", "time", "incident"],
)
def test_a_claim_that_the_rules_would_make_differently(ledger: Ledger, change: dict[str, object]) -> None:
    first = ledger.tip()
    ledger.claim(request(1, at=at(1)))
    tip = ledger.tip()
    assert follows(first, tip) is Step.CLAIM
    assert tip.claim is not None
    forged = tip.model_copy(update={"claim": tip.claim.model_copy(update=change), **({"epoch": 3} if "epoch" in change else {})})
    assert follows(first, forged) is None


def test_only_envelopes_of_an_approval_are_answers(ledger: Ledger) -> None:
    before, about = ledger.tip(), subject(ledger.tip().ledger_id)
    ledger.answer(signed(about), subject=about, at=at(), **ANSWERS)
    [answer] = ledger.tip().answers
    assert follows(before, ledger.tip()) is Step.ANSWERS
    assert follows(before, before.model_copy(update={"answers": (answer.model_copy(update={"payload": "e30="}),)})) is None


@pytest.mark.parametrize(
    "change",
    [{"position": "failed_over"}, {"moves": 1}, {"epoch": 1}, {"reason": "new"}, {"settled_by": "x"}],
    ids=lambda each: next(iter(each)),
)
def test_a_first_tip_holds_nothing_that_has_happened(ledger: Ledger, change: dict[str, object]) -> None:
    assert is_first(ledger.tip())
    assert not is_first(ledger.tip().model_copy(update=change))


# ---------------------------------------------------------------------------------------------------- what a run took

TOOK = Figures(verdict="met", request_to_proven=1270, hyops_only=1001, rto=1800)


def test_a_run_says_with_its_end_what_it_took(ledger: Ledger) -> None:
    claim = ledger.claim(request(1, at=at(1)))
    ledger.advance(claim, S.EXECUTING, at=at(2))
    ended = ledger.advance(claim, S.COMPLETED, at=at(3), serves="gcp", figures=TOOK)
    assert ended.figures == TOOK
    assert ledger.advance(claim, S.COMPLETED, at=at(4), bundle_sha256="sha256:" + "b" * 64, figures=TOOK).figures == TOOK
    assert ledger.claim(request(2, at=at(5), decision_type=DecisionType.FAILBACK_ONPREM, target_site="onprem")).epoch == 2
    assert ledger.tip().figures is None
    assert steps(ledger) == [Step.CLAIM, Step.RUN, Step.RUN, Step.RUN, Step.CLAIM]


def test_figures_are_said_once_and_of_a_run_that_has_ended(ledger: Ledger) -> None:
    claim = ledger.claim(request(1, at=at(1)))
    with pytest.raises(Refusal) as early:
        ledger.advance(claim, S.EXECUTING, at=at(2), figures=TOOK)
    ledger.advance(claim, S.EXECUTING, at=at(2))
    ledger.advance(claim, S.COMPLETED, at=at(3), figures=TOOK)
    with pytest.raises(Refusal) as other:
        ledger.advance(claim, S.COMPLETED, at=at(4), figures=TOOK.model_copy(update={"request_to_proven": 1}))
    assert {early.value.gate, other.value.gate} == {"lock.transition"}
    assert ledger.tip().figures == TOOK


def test_a_tip_of_an_older_release_keeps_its_digest() -> None:
    """Its bytes hold no figures, so that what a host signed of it then is what it is now."""
    text = (CASES / "contracts" / "accept" / "ledger-tip" / "claimed.json").read_bytes()
    tip = Tip.model_validate_json(text)
    assert canonical(tip.document()) == canonical(
        {"answers": [], "past_no_return": False, "reason": "", "settled_by": "", **json.loads(text)}
    )
    assert tip.digest() == "sha256:e0b1315500bc66ea8fea8b5a524bbf585dcb003271ef013aa55e0ba06ae3465c"
