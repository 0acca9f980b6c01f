"""Attack: a yes that nobody gave, or that whoever asked gave themselves (docs/design/contracts.md 5)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hyops_ci.approvals.request import answer
from hyops_ci.contracts.approval import APPROVAL_PAYLOAD, SETTLEMENT_PAYLOAD, Approval, Person
from hyops_ci.contracts.digest import canonical
from hyops_ci.signing.dsse import sign
from hyops_ci.stages.context import RunContext
from tests.security.incident import Incident, assert_recovered, assert_refused

Envelope = dict[str, Any]
Forgery = Callable[[Incident], list[Envelope]]


def yes(incident: Incident, login: str = "jonas", **changes: Any) -> Approval:
    """What `login`'s own tool would sign, with changes."""
    request = incident.request
    fields = answer(
        request.model_copy(update={"requesters": ()}), "approve", Person(login=login), incident.keys[login], now=incident.site.clock.now()
    )
    document = json.loads(base64.b64decode(fields["payload"])) | {"requesters": [each.document() for each in request.requesters]}
    return Approval.model_validate_json(json.dumps(document | changes))


def by(incident: Incident, approval: Approval, *keys: str, kind: str = APPROVAL_PAYLOAD) -> Envelope:
    return sign(canonical(approval.document()), kind, [incident.keys[key] for key in keys])


def unknown_key(incident: Incident) -> list[Envelope]:
    return [by(incident, yes(incident), "mallory")]


def key_of_another_approver(incident: Incident) -> list[Envelope]:
    """priya is an approver; she cannot speak for jonas."""
    return [by(incident, yes(incident, "jonas"), "priya")]


def name_in_another_case(incident: Incident) -> list[Envelope]:
    return [by(incident, yes(incident, "jonas", approver={"login": "Priya"}), "jonas")]


def edited_payload(incident: Incident) -> list[Envelope]:
    envelope = incident.signed("jonas", "deny")
    payload = base64.b64decode(envelope["payload"]).replace(b'"deny"', b'"approve"')
    return [envelope | {"payload": base64.b64encode(payload).decode()}]


def borrowed_signature(incident: Incident) -> list[Envelope]:
    """The signature of another document of the same person, under a key id that fits."""
    other = by(incident, yes(incident, comment="another"), "jonas")
    return [by(incident, yes(incident), "jonas") | {"signatures": other["signatures"]}]


def key_id_only(incident: Incident) -> list[Envelope]:
    envelope = by(incident, yes(incident), "mallory")
    envelope["signatures"][0]["keyid"] = incident.request.plan.approval.approvers["jonas"]
    return [envelope]


def no_signature(incident: Incident) -> list[Envelope]:
    return [by(incident, yes(incident), "jonas") | {"signatures": []}]


def another_kind(incident: Incident) -> list[Envelope]:
    """A settlement's signature is none of an approval."""
    return [by(incident, yes(incident), "jonas", kind=SETTLEMENT_PAYLOAD)]


def kind_exchanged(incident: Incident) -> list[Envelope]:
    return [by(incident, yes(incident), "jonas", kind=SETTLEMENT_PAYLOAD) | {"payloadType": APPROVAL_PAYLOAD}]


def unknown_fields(incident: Incident) -> list[Envelope]:
    document = yes(incident).document() | {"also": "this"}
    return [sign(canonical(document), APPROVAL_PAYLOAD, [incident.keys["jonas"]])]


def as_a_review(incident: Incident) -> list[Envelope]:
    """A signature that passes itself off as GitHub's own record."""
    return [by(incident, yes(incident, channel="environment"), "jonas")]


def own_signature(incident: Incident) -> list[Envelope]:
    return [by(incident, yes(incident, "maria", requesters=[]), "maria")]


def own_under_another_id(incident: Incident) -> list[Envelope]:
    return [by(incident, yes(incident, "maria", requesters=[], approver={"login": "maria", "id": 1666}), "maria")]


def another_login_under_the_requesters_id(incident: Incident) -> list[Envelope]:
    return [by(incident, yes(incident, "jonas", requesters=[], approver={"login": "jonas", "id": 1001}), "jonas")]


def deny_of_nobody(incident: Incident) -> list[Envelope]:
    """A stranger's no is no no, and still no yes."""
    return [by(incident, yes(incident, verdict="deny"), "mallory")]


def no_envelope(_: Incident) -> list[Envelope]:
    return [{"payloadType": APPROVAL_PAYLOAD, "payload": "%%%", "signatures": []}]


FORGERIES: dict[Forgery, tuple[str, str]] = {
    unknown_key: ("approval.unsigned", "no approver's key"),
    key_of_another_approver: ("approval.unsigned", "speaks for jonas, whose key did not sign it"),
    name_in_another_case: ("approval.unsigned", "speaks for Priya"),
    edited_payload: ("approval.unsigned", "no approver's key"),
    borrowed_signature: ("approval.unsigned", "no approver's key"),
    key_id_only: ("approval.unsigned", "no approver's key"),
    no_signature: ("approval.unsigned", "signed by nobody"),
    another_kind: ("approval.envelope", "no envelope of"),
    kind_exchanged: ("approval.unsigned", "no approver's key"),
    unknown_fields: ("approval.envelope", "do not fit"),
    as_a_review: ("approval.unsigned", "speaks for jonas"),
    own_signature: ("approval.self", "asked maria, approved maria"),
    own_under_another_id: ("approval.self", "asked maria, approved maria"),
    another_login_under_the_requesters_id: ("approval.self", "approved jonas"),
    deny_of_nobody: ("approval.unsigned", "no approver's key"),
    no_envelope: ("approval.envelope", "number 1"),
}


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.__name__)
def test_a_forged_or_self_made_signature(at_the_gate: Incident, forgery: Forgery) -> None:
    gate, found = FORGERIES[forgery]
    assert_refused(at_the_gate, at_the_gate.execute(*forgery(at_the_gate)), gate, 6, found)


# ------------------------------------------------------------------------------------------------------- reviews


def test_whoever_asked_reviews(at_the_gate: Incident) -> None:
    at_the_gate.review("maria")
    assert_refused(at_the_gate, at_the_gate.execute(), "approval.self", 6, "asked maria, approved maria")


def test_a_review_by_an_account_that_the_host_does_not_list(at_the_gate: Incident) -> None:
    """The requester's second account, which an administrator made a reviewer."""
    at_the_gate.review("mallory")
    assert_refused(at_the_gate, at_the_gate.execute(), "approval.stranger", 6, "mallory (user id 1666)")


def test_an_account_that_took_over_an_approvers_name(at_the_gate: Incident) -> None:
    """jonas renamed his account; somebody registered the name that became free."""
    account = at_the_gate.fake.account("jonas")
    at_the_gate.review("jonas")
    account.id, known = 1777, account.id
    try:
        assert_refused(at_the_gate, at_the_gate.execute(), "approval.stranger", 6, "jonas (user id 1777)")
    finally:
        account.id = known


def test_a_machine_reviews(at_the_gate: Incident) -> None:
    at_the_gate.fake.add_user("dr-bot[bot]", number=555, kind="Bot")
    at_the_gate.review("dr-bot[bot]")
    assert_refused(at_the_gate, at_the_gate.execute(), "approval.stranger", 6, "a machine cannot approve")


def test_a_no_outweighs_a_yes_of_somebody_else(at_the_gate: Incident) -> None:
    at_the_gate.review("priya")
    assert_refused(at_the_gate, at_the_gate.execute(at_the_gate.signed("jonas", "deny")), "approval.denied", 6, "jonas said no")


def test_an_administrator_bypasses_the_gate(incident: Incident) -> None:
    incident.approvers(channels=("environment",))
    incident.reach_gate()
    assert_refused(incident, incident.execute(), "approval.bypass", 6, "no review of dr-lab")


# -------------------------------------------------------------------------------------------------------- quorum


def two(incident: Incident) -> RunContext:
    """The world of execute in which two people are needed, as by break-glass."""
    return replace(incident.world("execute"), min_quorum=2)


def twice(incident: Incident) -> list[Envelope]:
    return [by(incident, yes(incident), "jonas"), by(incident, yes(incident, comment="again"), "jonas")]


def one_envelope_two_keys_of_one_name(incident: Incident) -> list[Envelope]:
    return [by(incident, yes(incident), "jonas", "mallory")]


def one_key_two_names(incident: Incident) -> list[Envelope]:
    return [by(incident, yes(incident), "jonas"), by(incident, yes(incident, "priya"), "jonas")]


def both_keys_one_name(incident: Incident) -> list[Envelope]:
    """priya lends jonas her key: what both sign is still said by jonas alone."""
    return [by(incident, yes(incident), "jonas", "priya")]


def same_number(incident: Incident) -> list[Envelope]:
    return [
        by(incident, yes(incident, approver={"login": "jonas", "id": 1002}), "jonas"),
        by(incident, yes(incident, "priya", approver={"login": "priya", "id": 1002}), "priya"),
    ]


@pytest.mark.parametrize(
    "forgery", [twice, one_envelope_two_keys_of_one_name, one_key_two_names, both_keys_one_name, same_number], ids=lambda f: f.__name__
)
def test_one_person_counts_once(at_the_gate: Incident, forgery: Forgery) -> None:
    ended = at_the_gate.execute(*forgery(at_the_gate), world=two(at_the_gate))
    assert_refused(at_the_gate, ended, "approval.quorum", 6, "1 of 2")


def test_a_review_and_a_signature_of_one_person_are_one(at_the_gate: Incident) -> None:
    at_the_gate.review("jonas")
    ended = at_the_gate.execute(at_the_gate.signed("jonas"), world=two(at_the_gate))
    assert_refused(at_the_gate, ended, "approval.quorum", 6, "1 of 2: jonas")


def test_two_names_with_one_key_are_one_person(incident: Incident) -> None:
    """There is a third, so that the quorum could be reached: without one nobody is asked."""
    incident.keys["priya"] = incident.keys["jonas"]
    incident.approvers("jonas", "priya", "mallory", quorum=2)
    incident.reach_gate()
    ended = incident.execute(by(incident, yes(incident), "jonas"), by(incident, yes(incident, "priya"), "jonas"))
    assert_refused(incident, ended, "approval.quorum", 6, "1 of 2")


def test_two_names_with_one_key_are_one_person_where_one_of_them_reviews(incident: Incident) -> None:
    incident.keys["priya"] = incident.keys["jonas"]
    incident.approvers("jonas", "priya", "mallory", quorum=2, channels=("environment", "signed"))
    incident.reach_gate()
    incident.review("priya")
    assert_refused(incident, incident.execute(incident.signed("jonas")), "approval.quorum", 6, "1 of 2")


def test_a_quorum_of_two_names_with_one_key(incident: Incident) -> None:
    incident.keys["priya"] = incident.keys["jonas"]
    incident.approvers("jonas", "priya", quorum=2)
    assert_refused(incident, incident.plan(), "approval.gate", 4, "jonas may approve, quorum 2")


def test_whoever_asked_signs_under_a_second_name(incident: Incident) -> None:
    """maria's key stands in the config twice: under her name, and under one that did not ask."""
    incident.keys["priya"] = incident.keys["maria"]
    incident.approvers("maria", "priya", "jonas")
    incident.pinned = True
    incident.reach_gate()
    assert_refused(incident, incident.execute(incident.signed("priya")), "approval.self", 6, "asked maria, approved priya")


def test_whoever_asked_reviews_under_a_second_name(incident: Incident) -> None:
    """And config and host spell that name otherwise than GitHub does."""
    incident.keys["priya"] = incident.keys["maria"]
    incident.approvers("maria", "priya", "jonas", channels=("environment", "signed"))

    def spell(config: dict[str, Any]) -> None:
        people = config["approvals"]["approvers"]
        people["Priya"] = people.pop("priya")

    incident.configure(spell)
    incident.trust["approvers"] = [each | {"login": each["login"].replace("priya", "Priya")} for each in incident.trust["approvers"]]
    incident.pinned = True
    incident.reach_gate()
    incident.review("priya")
    assert_refused(incident, incident.execute(), "approval.self", 6, "asked maria, approved priya")


# --------------------------------------------------------------------------------------------------------- twins


def test_two_people_are_two(at_the_gate: Incident) -> None:
    """The twin of them all, and the last one: it takes the lock of this incident."""
    at_the_gate.review("priya")
    envelope = at_the_gate.signed("jonas")
    ended = at_the_gate.execute(envelope, world=two(at_the_gate))
    assert_recovered(at_the_gate, ended)
