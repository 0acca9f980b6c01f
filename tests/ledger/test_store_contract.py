"""What every store must do, whatever it is made of: the rules and the ledger rely on nothing else."""

from __future__ import annotations

import pytest

from hyops_ci.contracts.run import State
from hyops_ci.errors import Refusal
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.rules import Duplicate
from hyops_ci.ledger.store import Head, Store
from hyops_ci.ledger.transitions import claimed, first_tip
from tests.ledger.conftest import Stores
from tests.ledger.ledger_setup import ANSWERS, SERVICE, at, request, signed, subject

FIRST = first_tip(SERVICE, "a" * 32, "onprem", at())


def begun(store: Store) -> Head:
    assert store.append(None, FIRST, "init")
    head = store.read()
    assert head is not None
    return head


def test_no_branch_reads_as_none(stores: Stores) -> None:
    assert stores().read() is None


def test_what_was_appended_is_read_by_others_newest_first(stores: Stores) -> None:
    store = stores()
    first = begun(store)
    second = claimed(FIRST, request(1), "claim-1")
    commit = store.append(first.commit, second, "claim")
    head = stores().read()
    assert head is not None
    assert (head.commit, head.tips, head.commits) == (commit, (second, FIRST), (commit, first.commit))
    assert head.tip == second


def test_a_branch_is_made_once(stores: Stores) -> None:
    begun(stores())
    again = first_tip(SERVICE, "b" * 32, "gcp", at())
    assert stores().append(None, again, "init again") is None
    head = stores().read()
    assert head is not None
    assert head.tips == (FIRST,)


def test_only_the_head_that_was_read_can_be_grown(stores: Stores) -> None:
    first = begun(stores())
    winner, loser = (claimed(FIRST, request(number), f"claim-{number}") for number in (1, 2))
    one, other = stores(), stores()
    assert one.read() == other.read() == first
    assert one.append(first.commit, winner, "first") is not None
    assert other.append(first.commit, loser, "second") is None
    head = stores().read()
    assert head is not None
    assert head.tips == (winner, FIRST)


def test_two_clients_take_turns(stores: Stores) -> None:
    one, other = stores(), stores()
    begun(one)
    for number in range(1, 7):
        store = (one, other)[number % 2]
        head = store.read()
        assert head is not None
        assert store.append(head.commit, claimed(head.tip, request(number), f"claim-{number}"), "turn") is not None
    head = one.read()
    assert head is not None
    assert [tip.epoch for tip in head.tips] == [6, 5, 4, 3, 2, 1, 0]
    assert len(set(head.commits)) == 7


def test_text_of_any_language_comes_back(stores: Stores) -> None:
    store = stores()
    first = begun(store)
    tip = FIRST.model_copy(update={"reason": "Überspannung, 停電, \U0001f50c", "at": at(1)})
    assert store.append(first.commit, tip, "settle: Ü 停電") is not None
    head = stores().read()
    assert head is not None
    assert head.tip.reason == tip.reason


def test_a_night(stores: Stores) -> None:
    """The whole ledger on each store: init, claim, a second run, the recovery, the record again, the way back."""
    ledger = Ledger(stores(), SERVICE)
    with pytest.raises(Refusal, match=r"ledger\.missing"):
        ledger.claim(request(1))
    ledger.init("onprem", at(-60))
    with pytest.raises(Refusal, match=r"ledger\.exists"):
        Ledger(stores(), SERVICE).init("onprem", at(-59))
    claim = ledger.claim(request(1))
    with pytest.raises(Duplicate):
        Ledger(stores(), SERVICE).claim(request(2, at=at(1)))
    ledger.advance(claim, State.EXECUTING, at=at(3), mutating=True)
    sealed = "sha256:" + "9" * 64
    tip = ledger.advance(claim, State.COMPLETED, at=at(27), past_no_return=True, bundle_sha256=sealed, serves="gcp")
    assert (tip.position, tip.serves, tip.bundle_sha256) == ("failed_over", "gcp", sealed)
    with pytest.raises(Duplicate):
        Ledger(stores(), SERVICE).look(request(3, at=at(30)))
    assert [each.state for each in ledger.history()] == [State.COMPLETED, State.EXECUTING, State.CLAIMED, None]
    assert ledger.spent_nonces() == {f"{1:032x}"}


def test_an_answer_comes_while_somebody_acts(stores: Stores) -> None:
    """The holder's pushes and the approvers' meet on one branch: nobody is stopped, and nothing is lost."""
    holder, person, run = (Ledger(stores(), SERVICE) for _ in range(3))
    holder.init("onprem", at(-60))
    claim = holder.claim(request(1))
    about = subject(person.tip().ledger_id, 2)
    first, second = signed(about, "jonas"), signed(about, "priya")
    person.answer(first, subject=about, at=at(1), **ANSWERS)
    holder.advance(claim, State.EXECUTING, at=at(2))
    person.answer(second, subject=about, at=at(3), **ANSWERS)
    person.answer(first, subject=about, at=at(3), **ANSWERS)
    holder.renew(claim, at=at(4))
    assert run.answers(request(2)) == (first, second)
    assert run.answers(request(1)) == ()
    tip = holder.advance(claim, State.FAILED, at=at(5))
    assert (tip.epoch, len(tip.answers), len(holder.history())) == (1, 2, 7)
    run.claim(request(2, at=at(6)))
    assert person.answers(about) == ()
