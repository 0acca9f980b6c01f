"""Answers that wait on a branch: what gets in, who is shown them, and what they cannot do."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from hyops_ci.approvals.context import ApprovalContext
from hyops_ci.approvals.judge import judge_approvals
from hyops_ci.contracts.approval import Person
from hyops_ci.contracts.base import moment
from hyops_ci.contracts.ledger import MAX_ANSWER, Answer, Tip
from hyops_ci.contracts.plan import ApprovalDemand
from hyops_ci.contracts.run import State
from hyops_ci.errors import Exit, Refusal
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.pending_approvals import read_answer
from tests.ledger.ledger_setup import ANSWERS, SERVICE, MemoryStore, at, request, signed, subject

GOOD = signed(subject("sha256:" + "1" * 64))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def ledger() -> Ledger:
    made = Ledger(MemoryStore(), SERVICE)
    made.init("onprem", at(-60))
    return made


def give(ledger: Ledger, number: int = 1, who: str = "jonas", **said: Any) -> dict[str, Any]:
    about = subject(ledger.tip().ledger_id, number)
    envelope = signed(about, who, **said)
    ledger.answer(envelope, subject=about, at=at(), **ANSWERS)
    return envelope


def test_what_was_given_is_what_the_run_is_handed(ledger: Ledger) -> None:
    """Byte for byte: a signature is over exact bytes."""
    first, second, other = give(ledger), give(ledger, who="priya", verdict="deny"), give(ledger, number=2)
    assert ledger.answers(request(1)) == (first, second)
    assert ledger.answers(subject(ledger.tip().ledger_id, 2)) == (other,)
    assert ledger.answers(request(3)) == ()
    ledger.claim(request(1))
    assert (ledger.answers(request(1)), ledger.answers(request(2))) == ((), (other,))


def test_what_waits_is_judged_like_what_is_handed_in(ledger: Ledger) -> None:
    """The ledger vouches for nobody: a stranger's signature gets onto the branch, and no further."""
    keys = {name: signed(subject("sha256:" + "1" * 64), name)["signatures"][0]["keyid"] for name in ("jonas", "priya")}
    demand = ApprovalDemand(
        gate="dr-prod",
        check_gate="dr-check",
        reviewers=1,
        approvers={"jonas": keys["jonas"]},
        channels=("signed",),
        quorum=1,
        lifetime="PT2H",
    )
    about = subject(ledger.tip().ledger_id)
    forged = signed(about, "priya", approver=Person(login="jonas"))
    ledger.answer(forged, subject=about, at=at(), **ANSWERS)
    known = ApprovalContext(demand, about, (Person(login="maria"),), moment(at()) + timedelta(minutes=1))
    with pytest.raises(Refusal, match=r"approval\.unsigned"):
        judge_approvals(ledger.answers(about), known)
    give(ledger)
    (approval,) = judge_approvals(ledger.answers(about), known)
    assert approval.approver.login == "jonas"


def test_a_lost_response_is_one_answer() -> None:
    """Pushed, not heard of, pushed again: one."""
    store = MemoryStore()
    ledger = Ledger(store, SERVICE)
    ledger.init("onprem", at(-60))
    give(ledger)
    length = len(store.chain)
    assert len(ledger.answer(ledger.answers(request(1))[0], subject=subject(ledger.tip().ledger_id), at=at(1), **ANSWERS).answers) == 1
    assert len(store.chain) == length, "no commit for nothing"


def test_the_holder_goes_on_between_answers(ledger: Ledger) -> None:
    claim = ledger.claim(request(1))
    for number, state in enumerate((State.SECRETS_READY, State.PREFLIGHT_PASSED, State.EXECUTING, State.VERIFYING, State.COMPLETED), 2):
        give(ledger, number)
        assert ledger.advance(claim, state, at=at(number), serves="gcp").state is state
    tip = ledger.renew(claim, at=at(20))
    assert (tip.claim, len(tip.answers), tip.position) == (claim, 5, "failed_over")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"payloadType": "application/vnd.hybridops.settlement.v1+json"}, "payloadType"),
        ({"signatures": []}, "signatures"),
        ({"signatures": [{"keyid": "x"}]}, "/signatures/0/sig"),
        ({"signatures": [{"sig": "AA=="}] * 17}, "signatures"),
        ({"signatures": [{"sig": "AB=="}]}, "/signatures/0/sig"),
        ({"signatures": "AAAA"}, "signatures"),
        ({"payload": "e30="}, "Field required"),
        ({"payload": "bm8ganNvbg=="}, "not JSON"),
        ({"payload": "A"}, "payload"),
        ({"payload": "é"}, "payload"),
        ({"payload": 1.5}, "payload"),
        ({"payload": float("nan")}, "JSON cannot hold"),
        ({"and": "more"}, "and"),
        ({"signatures": [{"sig": "A" * 4000}] * 5}, "bytes"),
    ],
)
def test_what_is_no_answer_does_not_get_in(change: dict[str, Any], found: str, ledger: Ledger) -> None:
    about = subject(ledger.tip().ledger_id)
    with pytest.raises(Refusal) as refused:
        ledger.answer(signed(about) | change, subject=about, at=at(), **ANSWERS)
    assert (refused.value.gate, refused.value.exit_code) == ("ledger.answer", Exit.APPROVAL)
    assert found in refused.value.found
    assert refused.value.fix
    assert ledger.tip().answers == ()


@given(value=JSON)
def test_nothing_else_is_an_answer(value: Any) -> None:
    for envelope in (value, GOOD | {"payload": value}, GOOD | {"signatures": value}, GOOD | {"signatures": [value]}):
        with pytest.raises(Refusal, match=r"ledger\.answer"):
            read_answer(envelope)


def test_a_very_deep_one_is_refused_like_any_other() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(Refusal, match=r"ledger\.answer"):
        read_answer({"payload": deep})


def test_what_was_put_there_by_hand_blocks_nobody(ledger: Ledger) -> None:
    """Well-formed, but no approval inside: it is shown to nobody, and swept by the next answer or claim."""
    store = MemoryStore()
    junk = Answer.model_validate_json(json.dumps(GOOD | {"payload": base64.b64encode(b'{"kind":"Approval"}').decode()}))
    tip = Tip.model_validate({**dict(ledger.tip()), "answers": (junk,)})
    store.append(None, tip, "by hand")
    other = Ledger(store, SERVICE)
    assert other.answers(request(1)) == ()
    envelope = give(other)
    assert [each.document() for each in other.tip().answers] == [envelope]
    store.append(store.chain[-1][0], tip, "by hand again")
    assert other.claim(request(1)).epoch == 1
    assert other.tip().answers == ()


def test_an_answer_is_as_long_as_it_may_be() -> None:
    """What is accepted fits twenty times into one file that is read in one piece."""
    for length in range(11_000, 12_200, 300):
        envelope = signed(subject("sha256:" + "1" * 64), comment="x" * length)
        try:
            read = read_answer(envelope)
        except Refusal:
            continue
        assert len(json.dumps(read.answer.document(), separators=(",", ":"))) <= MAX_ANSWER
