"""Whose word a ledger counts on: a host's signature, the approvers' settlement, the first tip, and nothing that anybody may push."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hyops_ci.contracts.base import moment
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.figures import Figures
from hyops_ci.contracts.ledger import MAX_ANSWER, MAX_EPOCH, Answer, Signature, Tip
from hyops_ci.contracts.run import State
from hyops_ci.errors import Refusal
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.rules import Duplicate
from hyops_ci.ledger.transitions import claimed
from hyops_ci.ledger.vouching import Vouched, Vouchers, sign_transition, signers
from hyops_ci.signing.dsse import public_of, sign
from tests.ledger.ledger_setup import ANSWERS, SERVICE, MemoryStore, at, request, signed, subject
from tests.support.host_key import people_settle

S = State
HOST, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))
JONAS, PRIYA = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (3, 4))
PEOPLE = {"jonas": public_of(JONAS), "priya": public_of(PRIYA)}


def vouchers(minutes: float = 30, **changes: Any) -> Vouchers:
    known: dict[str, Any] = {"host_keys": {"gcp": public_of(HOST)}, "approvers": PEOPLE, "home_site": "onprem"}
    return Vouchers(lambda: moment(at(minutes)), **{**known, **changes})


def ledger_on(store: MemoryStore, key: Ed25519PrivateKey | None = HOST, **changes: Any) -> Ledger:
    """The ledger as a host with this key sees and writes it; without keys of hosts in the config where there is no key."""
    ledger = Ledger(store, SERVICE)
    ledger.vouchers = vouchers(**({"host_keys": {}} if key is None and "host_keys" not in changes else {}) | changes)
    if key is not None:
        ledger.sign = lambda payload, kind: sign(payload, kind, [key])
    return ledger


@pytest.fixture
def store() -> MemoryStore:
    made = MemoryStore()
    Ledger(made, SERVICE).init("onprem", at())
    return made


def push(store: MemoryStore, **changes: Any) -> None:
    """What somebody with a push writes on top, in this release's own spelling."""
    commit, tip = store.chain[-1]
    assert store.append(commit, Tip.model_validate({**dict(tip), "signature": None, **changes}), "by hand") is not None


def refused(ledger: Ledger, gate: str = "ledger.unvouched") -> Refusal:
    with pytest.raises(Refusal) as caught:
        ledger.tip()
    assert (caught.value.gate, caught.value.exit_code) == (gate, 5)
    return caught.value


def executing(ledger: Ledger, minutes: float = 1) -> None:
    claim = ledger.claim(request(1, at=at(minutes)))
    ledger.advance(claim, S.EXECUTING, at=at(minutes))


# ------------------------------------------------------------------------------------------------- what is vouched for


def test_a_ledger_that_was_made_and_nothing_else(store: MemoryStore) -> None:
    assert ledger_on(store).vouched() == Vouched(store.chain[0][0], "first")


def test_a_run_that_its_host_signs(store: MemoryStore) -> None:
    executing(ledger_on(store))
    assert ledger_on(store).vouched() == Vouched(store.chain[-1][0], "host", ("gcp",))
    assert "signed by gcp" in ledger_on(store).vouched().line


def test_answers_need_no_key_of_a_host(store: MemoryStore) -> None:
    executing(ledger_on(store))
    about = subject(store.chain[0][1].ledger_id, 2)
    Ledger(store, SERVICE).answer(signed(about), subject=about, at=at(2), **ANSWERS)
    found = ledger_on(store).vouched()
    assert (found.by, found.unsigned) == ("host", 1)


@pytest.mark.parametrize("state", [S.FAILED, S.CANCELLED])
def test_a_run_that_has_changed_nothing_is_ended_without_a_key(store: MemoryStore, state: State) -> None:
    claim = ledger_on(store).claim(request(1, at=at(1)))
    Ledger(store, SERVICE).advance(claim, state, at=at(2))
    assert ledger_on(store).vouched().unsigned == 1
    assert ledger_on(store).claim(request(2, at=at(3))).epoch == 2


def test_a_run_that_has_begun_is_called_unknown_without_a_key(store: MemoryStore) -> None:
    executing(ledger_on(store))
    claim = store.chain[-1][1].claim
    assert claim is not None
    Ledger(store, SERVICE).advance(claim, S.INDETERMINATE, at=at(2))
    with pytest.raises(Refusal) as caught:
        ledger_on(store).claim(request(2, at=at(30)))
    assert caught.value.gate == "lock.unknown"


def test_nobody_without_a_key_says_what_a_run_took(store: MemoryStore) -> None:
    executing(ledger_on(store))
    claim = store.chain[-1][1].claim
    assert claim is not None
    Ledger(store, SERVICE).advance(claim, S.INDETERMINATE, at=at(2), figures=Figures(verdict="met", request_to_proven=1))
    refused(ledger_on(store))


def test_people_settle_without_a_key_of_a_host(store: MemoryStore) -> None:
    executing(ledger_on(store))
    people_settle(Ledger(store, SERVICE), JONAS, serves="gcp", home_site="onprem", reason="seen", settled_by="jonas", at=at(20))
    assert ledger_on(store).vouched() == Vouched(store.chain[-1][0], "approvers", ("jonas",))
    ledger_on(store).claim(request(2, at=at(21), decision_type=DecisionType.FAILBACK_ONPREM, target_site="onprem"))


# --------------------------------------------------------------------------------------------------- what anybody pushes

FORGED: dict[str, Callable[[MemoryStore], object]] = {
    "a position": lambda store: push(store, position="failed_over", serves="gcp", moves=1),
    "a position with an epoch": lambda store: push(store, position="failed_over", serves="gcp", moves=1, epoch=1_000_000_000),
    "a claim of its own": lambda store: Ledger(store, SERVICE).claim(request(9, at=at(2))),
    "a time that lies ahead": lambda store: push(store, at="2999-12-31T00:00:00Z"),
    "a settlement that nobody signed": lambda store: push(store, settled_by="jonas", reason="seen"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_tip_that_anybody_could_have_pushed(store: MemoryStore, name: str) -> None:
    ledger = ledger_on(store)
    FORGED[name](store)
    found = refused(ledger)
    assert found.fix.startswith("ALARM")
    with pytest.raises(Refusal) as caught:
        ledger.look(request(3, at=at(3)))
    assert not isinstance(caught.value, Duplicate)


ENDS: dict[str, dict[str, Any]] = {
    "failed": {"state": S.FAILED},
    "completed": {"state": S.COMPLETED, "position": "failed_over", "serves": "gcp", "moves": 1},
    "past the point of no return": {"state": S.INDETERMINATE, "past_no_return": True},
    "alive for ever": {"at": at(29)},
}


@pytest.mark.parametrize("name", ENDS)
def test_an_end_of_a_run_at_work_that_is_not_its_own(store: MemoryStore, name: str) -> None:
    ledger = ledger_on(store)
    executing(ledger)
    push(store, **({"at": at(3)} | ENDS[name]))
    refused(ledger_on(store))
    claim = store.chain[-1][1].claim
    assert claim is not None
    with pytest.raises(Refusal) as caught:
        ledger.renew(claim, at=at(4))
    assert caught.value.gate == "ledger.unvouched", "an alarm, and never the word that stops HyOps"


def test_another_claim_over_a_run_at_work(store: MemoryStore) -> None:
    ledger = ledger_on(store)
    executing(ledger)
    mine = store.chain[-1][1].claim
    assert mine is not None
    theirs = mine.model_copy(update={"epoch": 2, "claim_id": "claim-x", "run_id": "6-1", "claimed_at": at(2)})
    push(store, claim=theirs, epoch=2, state=S.CLAIMED, mutating=False, at=at(2))
    with pytest.raises(Refusal) as caught:
        ledger.renew(mine, at=at(4))
    assert caught.value.gate == "ledger.unvouched"


def test_a_vouched_claim_supersedes(store: MemoryStore) -> None:
    ledger = ledger_on(store)
    mine = ledger.claim(request(1, at=at(1), drill=True))
    ledger_on(store).claim(request(2, at=at(2)))
    with pytest.raises(Refusal) as caught:
        ledger.renew(mine, at=at(3))
    assert caught.value.gate == "lock.superseded"


def test_a_signature_is_of_one_tip_at_one_place(store: MemoryStore) -> None:
    executing(ledger_on(store))
    commit, tip = store.chain[-1]
    parent = store.chain[-2][0]
    keys = {"gcp": public_of(HOST)}
    assert signers(tip, parent, keys) == ("gcp",)
    assert signers(tip, commit, keys) == ()
    assert signers(tip.model_copy(update={"reason": "other"}), parent, keys) == ()
    assert signers(tip, parent, {"gcp": public_of(OTHER)}) == ()
    assert signers(sign_transition(tip, parent, lambda payload, kind: sign(payload, kind, [OTHER])), parent, keys) == ()
    # The same signature, once more on top: a run that is done is not done again.
    store.append(commit, tip, "again")
    refused(ledger_on(store))


def test_a_key_that_the_config_does_not_know(store: MemoryStore) -> None:
    executing(ledger_on(store, OTHER, host_keys={"gcp": public_of(OTHER)}))
    assert "signed by none of gcp" in refused(ledger_on(store)).found


def test_an_approvers_answer_stays_until_it_is_used(store: MemoryStore) -> None:
    """A no that somebody took off the branch would let the others' yes go on alone."""
    about = subject(store.chain[0][1].ledger_id)
    Ledger(store, SERVICE).answer(
        signed(about, "jonas", "deny", key=JONAS), subject=about, at=at(1), approvers=PEOPLE.values(), lifetime=7200
    )
    assert ledger_on(store).vouched().unsigned == 1
    push(store, answers=())
    refused(ledger_on(store))
    assert ledger_on(store, minutes=90).vouched().unsigned == 2, "it has expired by then"


@pytest.mark.parametrize("keys", [(), (OTHER,), (JONAS,)], ids=["unsigned", "a stranger's", "one of two"])
def test_a_settlement_without_its_quorum(store: MemoryStore, keys: tuple[Ed25519PrivateKey, ...]) -> None:
    for hosts in ({"gcp": public_of(HOST)}, {}):
        fresh = MemoryStore()
        Ledger(fresh, SERVICE).init("onprem", at())
        executing(ledger_on(fresh, HOST if hosts else None))
        said: dict[str, Any] = {"serves": "gcp", "home_site": "onprem", "reason": "seen", "settled_by": "jonas", "at": at(20)}
        people_settle(Ledger(fresh, SERVICE), *keys, **said) if keys else Ledger(fresh, SERVICE).settle(**said)
        refused(ledger_on(fresh, HOST if hosts else None, quorum=2 if keys == (JONAS,) else 1), "ledger.settlement")


def test_a_settlement_that_was_moved_to_another_place(store: MemoryStore) -> None:
    """Signed for what they looked at: it does not settle what came after."""
    executing(ledger_on(store))
    before = store.chain[-1]
    people_settle(Ledger(store, SERVICE), JONAS, serves="gcp", home_site="onprem", reason="seen", settled_by="jonas", at=at(20))
    settled = store.chain.pop()[1]
    assert store.chain[-1] == before
    push(store, answers=())  # another parent
    store.append(store.chain[-1][0], settled, "settle")
    refused(ledger_on(store), "ledger.settlement")


# ----------------------------------------------------------------------------------------------- a ledger from before


def test_a_ledger_that_was_written_without_keys_is_adopted_once(store: MemoryStore) -> None:
    old = Ledger(store, SERVICE)
    claim = old.claim(request(1, at=at(1)))
    for state in (S.EXECUTING, S.VERIFYING, S.COMPLETED):
        old.advance(claim, state, at=at(2), serves="gcp")
    refused(ledger_on(store))
    people_settle(old, JONAS, adopt=True, serves="gcp", home_site="onprem", reason="from before", settled_by="jonas", at=at(20))
    tip = ledger_on(store).tip()
    assert (tip.position, tip.serves, tip.moves, tip.claim) == ("failed_over", "gcp", 1, None)
    assert request(1).nonces[0] in ledger_on(store).spent_nonces(), "what was spent stays spent"
    ledger_on(store).claim(request(2, at=at(21), decision_type=DecisionType.FAILBACK_ONPREM, target_site="onprem"))


def test_a_forged_time_is_corrected_by_who_adopts(store: MemoryStore) -> None:
    Ledger(store, SERVICE).claim(request(9, at="2999-12-31T00:00:00Z"))
    refused(ledger_on(store))
    adopted(store)
    assert ledger_on(store).claim(request(2, at=at(21))).epoch == 2


def adopted(store: MemoryStore) -> None:
    people_settle(
        Ledger(store, SERVICE), JONAS, adopt=True, serves="onprem", home_site="onprem", reason="forged", settled_by="jonas", at=at(20)
    )


def test_answers_that_leave_no_room_for_a_run_are_refused_and_adopted_away(store: MemoryStore) -> None:
    """Each is one of at most 16 KiB by the rules: a tip of larger ones would be read, and nothing could be written on top of it."""
    answer = Answer.model_validate_json(json.dumps(signed(subject(store.chain[0][1].ledger_id, 2))))
    padded = answer.model_copy(update={"signatures": tuple(Signature(sig="A" * MAX_ANSWER) for _ in range(2))})
    push(store, answers=(padded,))
    refused(ledger_on(store))
    adopted(store)
    assert ledger_on(store).tip().answers == ()


@pytest.mark.parametrize("counter", ["epoch", "moves"])
def test_counters_at_their_end_are_refused_before_anyone_is_asked(store: MemoryStore, counter: str) -> None:
    """People may adopt what somebody wrote. A run that could not count on from there would fail at its claim, or after its effect."""
    push(store, **{counter: MAX_EPOCH})
    refused(ledger_on(store))
    adopted(store)
    for ask in (ledger_on(store).look, ledger_on(store).claim):
        with pytest.raises(Refusal) as caught:
            ask(request(1, at=at(21)))
        assert (caught.value.gate, caught.value.exit_code) == ("lock.counters", 5)


def test_an_answer_that_is_asked_for_twice_is_counted_once(store: MemoryStore) -> None:
    ledger = ledger_on(store)
    executing(ledger)
    push(store, state=S.INDETERMINATE)
    assert [ledger.vouched().unsigned, ledger.vouched().unsigned, ledger.vouched().unsigned] == [1, 1, 1]


def test_no_run_at_work_is_adopted_away(store: MemoryStore) -> None:
    executing(ledger_on(store), 19)
    with pytest.raises(Refusal) as caught:
        people_settle(
            Ledger(store, SERVICE), JONAS, adopt=True, serves="gcp", home_site="onprem", reason="x", settled_by="jonas", at=at(20)
        )
    assert caught.value.gate == "lock.settle"


def test_a_ledger_that_was_made_elsewhere_than_at_home(store: MemoryStore) -> None:
    assert "its home is gcp" in refused(ledger_on(store, home_site="gcp")).found


# ------------------------------------------------------------------------------------------------------- without keys


def test_without_keys_the_rules_are_read_from_the_first_tip_on(store: MemoryStore) -> None:
    ledger = ledger_on(store, None)
    assert ledger.vouched().by == "first"
    executing(ledger)
    found = ledger_on(store, None).vouched()
    assert (found.by, found.commit) == ("rules", store.chain[0][0])
    assert "NOBODY" in found.line


@pytest.mark.parametrize("name", [name for name in FORGED if name != "a claim of its own"])
def test_without_keys_what_breaks_the_rules_is_refused(store: MemoryStore, name: str) -> None:
    FORGED[name](store)
    refused(ledger_on(store, None))


def test_without_keys_nothing_is_called_handled(store: MemoryStore) -> None:
    executing(ledger_on(store, None))
    with pytest.raises(Refusal) as caught:
        ledger_on(store, None).look(request(2, at=at(2)))
    assert (caught.value.gate, caught.value.exit_code) == ("lock.unsigned", 5)
    assert "run 1001-1" in caught.value.found


def test_what_a_host_signed_is_called_handled(store: MemoryStore) -> None:
    executing(ledger_on(store))
    with pytest.raises(Duplicate):
        ledger_on(store).look(request(2, at=at(2)))


def test_without_keys_an_approval_is_used_once(store: MemoryStore) -> None:
    ledger = ledger_on(store, None)
    ledger.advance(ledger.claim(request(1, at=at(1))), S.FAILED, at=at(2))
    theirs = Ledger(store, SERVICE)
    twice = request(2, at=at(3), nonces=request(1).nonces)
    commit, tip = store.chain[-1]
    assert store.append(commit, claimed(tip, twice, "claim-2"), "by hand")
    assert theirs.tip().epoch == 2
    assert "used twice" in refused(ledger_on(store, None)).found
