"""Which claims and bundles of a history count: those that a host vouches for."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.contracts.ledger import MAX_ANSWERS, Answer, Tip
from hyops_ci.contracts.run import State
from hyops_ci.errors import Refusal
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.store import Head
from hyops_ci.ledger.vouched_history import history, previous_bundle, vouched_tips
from hyops_ci.ledger.vouching import MAX_UNSIGNED, Vouchers
from hyops_ci.signing.dsse import sign
from tests.ledger.ledger_setup import SERVICE, MemoryStore, at, request, signed, subject
from tests.support.host_key import people_settle
from tests.unit.ledger.test_vouching import HOST, JONAS, OTHER, ledger_on, vouchers

STEPS = ("signed run", "unsigned run", "adoption")


def grow(store: MemoryStore, number: int, step: str) -> None:
    """One more run that failed, signed or not; or the word of the approvers for all of it."""
    ledger = Ledger(store, SERVICE)
    if step == "adoption":
        said: dict[str, Any] = {"serves": "onprem", "home_site": "onprem", "reason": "looked", "settled_by": "jonas"}
        people_settle(ledger, JONAS, adopt=True, at=at(number), **said)
        return
    if step == "signed run":
        ledger.sign = lambda payload, kind: sign(payload, kind, [HOST])
    claim = ledger.claim(request(number, at=at(number)))
    ledger.advance(claim, State.EXECUTING, at=at(number))
    ledger.advance(claim, State.FAILED, at=at(number), bundle_sha256=bundle(number))


def bundle(number: int) -> str:
    return f"sha256:{number:064x}"


def head_of(store: MemoryStore) -> Head:
    head = store.read()
    assert head is not None
    return head


def grown(steps: list[str]) -> Head:
    store = MemoryStore()
    Ledger(store, SERVICE).init("onprem", at())
    for number, step in enumerate(steps, 1):
        grow(store, number, step)
    return head_of(store)


def runs(tips: tuple[Tip, ...]) -> set[str]:
    return {tip.claim.run_id for tip in tips if tip.claim is not None}


@given(st.lists(st.sampled_from(STEPS), max_size=6))
def test_what_a_host_signed_over_counts_and_nothing_else(steps: list[str]) -> None:
    head, by = grown(steps), vouchers()
    expected, over = set[str](), False
    for number, step in reversed([*enumerate(steps, 1)]):
        over = step == "signed run" or (over and step != "adoption")
        expected |= {request(number).run_id} if over and step != "adoption" else set()
    assert runs(vouched_tips(head, by)) == expected
    assert history(head, by).nonces == head.spent_nonces(), "no approval is used twice, whoever used it first"
    newest = next((number for number, step in reversed([*enumerate(steps, 1)]) if step == "signed run"), None)
    assert previous_bundle(head, by) == (bundle(newest) if newest else None)


@pytest.mark.parametrize("by", [None, vouchers(host_keys={})], ids=["nobody asked", "no host signs"])
def test_where_no_host_signs_everything_counts(by: Vouchers | None) -> None:
    head = grown(["unsigned run", "adoption", "unsigned run"])
    assert vouched_tips(head, by) == head.tips
    assert previous_bundle(head, by) == bundle(3)


def test_a_signature_that_was_moved_vouches_for_nothing() -> None:
    head = grown(["unsigned run", "signed run"])
    assert runs(vouched_tips(replace(head, commits=tuple("x" * 40 for _ in head.commits)), vouchers())) == set()


def answers(tip: Tip) -> Tip:
    """Twenty answers that nobody's key of the config signed."""
    answer = Answer.model_validate_json(json.dumps(signed(subject(tip.ledger_id), key=OTHER)))
    one = answer.signatures[0]
    many = tuple(
        answer.model_copy(update={"signatures": (one.model_copy(update={"keyid": f"{number}"}),)}) for number in range(MAX_ANSWERS)
    )
    return tip.model_copy(update={"signature": None, "answers": many})


def test_as_many_unsigned_steps_as_may_be_are_judged_and_no_more() -> None:
    store = MemoryStore()
    Ledger(store, SERVICE).init("onprem", at())
    grow(store, 1, "signed run")
    commit, tip = store.chain[-1]
    full, none = answers(tip), tip.model_copy(update={"signature": None})
    for turn in range(MAX_UNSIGNED):
        commit = store.append(commit, none if turn % 2 else full, "by hand") or ""
    assert ledger_on(store).vouched().unsigned == MAX_UNSIGNED
    store.append(commit, full, "by hand")
    with pytest.raises(Refusal, match=r"ledger\.unvouched") as caught:
        ledger_on(store).vouched()
    assert f"more than {MAX_UNSIGNED} transitions" in caught.value.found
    assert "--adopt" in caught.value.fix
