from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.approvals.context import ApprovalContext
from hyops_ci.approvals.judge import count_approvals, judge_approvals
from hyops_ci.contracts.approval import APPROVAL_PAYLOAD, Approval, Person
from hyops_ci.contracts.digest import canonical
from hyops_ci.contracts.manifest import STATEMENT_PAYLOAD
from hyops_ci.contracts.plan import ApprovalDemand
from hyops_ci.errors import Exit, Refusal
from hyops_ci.signing.dsse import public_of, sign
from tests.unit.evidence import sample_run

PLAN = sample_run.plan()
CHECK = sample_run.check(PLAN)
SUBJECT = sample_run.subject(PLAN, CHECK)
NOW = datetime.fromisoformat("2026-11-23T03:09:19+00:00")
MARIA = Person(login="maria", id=11)
KEYS = {"jonas": sample_run.JONAS, "priya": sample_run.PRIYA, "maria": sample_run.Ed25519PrivateKey.from_private_bytes(bytes([3]) * 32)}
CASES = Path(__file__).parents[2] / "cases" / "approvals"


def cases(folder: str) -> list[Any]:
    paths = sorted((CASES / folder).glob("*.json"))
    assert paths
    return [pytest.param(json.loads(path.read_text()), id=path.stem) for path in paths]


def envelope(given: dict[str, Any]) -> object:
    """An answer of a case file: fields that differ from jonas's yes, `signed_by` and `subject` besides."""
    if "raw" in given:
        return given["raw"]
    given = dict(given)
    keys = [KEYS[name] for name in given.pop("signed_by", ["jonas"])]
    subject = sample_run.subject(PLAN, CHECK, **given.pop("subject", {}))
    return sample_run.signed(sample_run.approval(subject, given.pop("login", "jonas"), **given), *keys)


def judged(case: dict[str, Any]) -> tuple[Approval, ...]:
    demand = sample_run.plan(approval=PLAN.approval.document() | case.get("demand", {})).approval
    return judge_approvals(
        [envelope(each) for each in case["answers"]],
        ApprovalContext(
            demand,
            sample_run.subject(PLAN, CHECK, **case.get("expected", {})),
            requesters=(MARIA,),
            now=datetime.fromisoformat(case.get("now", "2026-11-23T03:09:19Z")),
            spent_nonces=case.get("spent", []),
            requested_at=datetime.fromisoformat("2026-11-23T03:05:02Z") if case.get("pinned", True) else None,
        ),
    )


def context(*requesters: Person, demand: ApprovalDemand = PLAN.approval, **known: Any) -> ApprovalContext:
    return ApprovalContext(demand, SUBJECT, requesters, NOW, **known)


@pytest.mark.parametrize("case", cases("accept"))
def test_accepted(case: dict[str, Any]) -> None:
    assert [approval.approver.login for approval in judged(case)] == case["granted"]


@pytest.mark.parametrize("case", cases("refuse"))
def test_refused(case: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as refused:
        judged(case)
    refusal = refused.value
    assert refusal.gate == case["gate"]
    assert refusal.exit_code is Exit.APPROVAL
    assert case["says"] in "\n".join(refusal.lines())


def test_self_approval_reads_like_the_texts() -> None:
    case = {"answers": [{"login": "maria", "signed_by": ["maria"]}], "demand": {"approvers": {n: public_of(k) for n, k in KEYS.items()}}}
    with pytest.raises(Refusal) as refused:
        judged(case)
    assert refused.value.lines()[:3] == [
        "REFUSED approval.self (exit 6): asked and approved by the same person",
        "  found    asked maria, approved maria (seen 03:09:02Z)",
        "  expected jonas or priya",
    ]


def test_a_signature_for_another_kind_is_none() -> None:
    payload = canonical(sample_run.approval(SUBJECT).document())
    other = sign(payload, STATEMENT_PAYLOAD, [sample_run.JONAS])
    for forged in (other, other | {"payloadType": APPROVAL_PAYLOAD}):
        with pytest.raises(Refusal) as refused:
            judge_approvals([forged], context(MARIA))
        assert refused.value.gate in ("approval.envelope", "approval.unsigned")


def test_a_key_outside_its_window_does_not_count() -> None:
    key = public_of(sample_run.JONAS)
    answers = [sample_run.signed(sample_run.approval(SUBJECT))]
    day = timedelta(days=1)
    for window in ((NOW + day, None), (None, NOW - day), (None, NOW)):
        with pytest.raises(Refusal, match=r"approval\.time"):
            judge_approvals(answers, context(validity={key: window}))
    assert judge_approvals(answers, context(validity={key: (NOW - day, NOW + day)}))


def test_one_key_under_two_logins_is_one_person() -> None:
    key = public_of(sample_run.JONAS)
    demand = PLAN.approval.model_copy(update={"quorum": 2, "approvers": {"jonas": key, "jo": key}})
    answers = [sample_run.signed(sample_run.approval(SUBJECT, login), sample_run.JONAS) for login in ("jonas", "jo")]
    with pytest.raises(Refusal, match=r"approval\.quorum") as refused:
        judge_approvals(answers, context(MARIA, demand=demand))
    assert refused.value.reason == "1 of 2 approvals"
    with pytest.raises(Refusal, match=r"approval\.self"):
        judge_approvals(answers[1:], context(Person(login="Jonas"), demand=demand.model_copy(update={"quorum": 1})))


def review(login: str, number: int) -> Approval:
    return sample_run.approval(SUBJECT, login, channel="environment", approver={"login": login, "id": number})


@pytest.mark.parametrize("first", [review("jonas", 21), review("Jonas", 21), sample_run.approval(SUBJECT, "jonas")])
@pytest.mark.parametrize("second", [review("jo", 22), review("JO", 22), review("jo-renamed", 22)])
def test_one_key_under_two_logins_is_one_person_on_any_channel(first: Approval, second: Approval) -> None:
    """GitHub says who reviewed, in its own spelling; the config that both logins are one person's."""
    key = public_of(sample_run.JONAS)
    demand = PLAN.approval.model_copy(update={"quorum": 2, "approvers": {"jonas": key, "jo": key, "priya": public_of(sample_run.PRIYA)}})
    known = context(MARIA, demand=demand, approvers={21: "jonas", 22: "jo", 23: "priya"})
    with pytest.raises(Refusal, match=r"approval\.quorum"):
        count_approvals([first, second], known)
    assert len(count_approvals([first, second, review("Priya", 23)], known)) == 2
    alone = known.demand.model_copy(update={"quorum": 1})
    for asked in (Person(login="jonas"), Person(login="JONAS", id=21), Person(login="jonas-renamed", id=21)):
        with pytest.raises(Refusal, match=r"approval\.self"):
            count_approvals([second], context(asked, demand=alone, approvers=known.approvers))


def test_the_host_knows_a_second_login_that_the_config_leaves_out() -> None:
    key = public_of(sample_run.JONAS)
    demand = PLAN.approval.model_copy(update={"quorum": 2, "approvers": {"jonas": key, "priya": public_of(sample_run.PRIYA)}})
    known = context(MARIA, demand=demand, approvers={21: "jonas", 22: "jo"}, host_keys={"jonas": key, "jo": key})
    with pytest.raises(Refusal, match=r"approval\.quorum"):
        count_approvals([sample_run.approval(SUBJECT, "jonas"), review("jo", 22)], known)


def test_a_review_on_github_is_weighed_alike() -> None:
    review = sample_run.approval(SUBJECT, "sam", channel="environment", approver={"login": "sam", "id": 12})
    assert count_approvals([review], context(MARIA)) == (review,)
    for login, number in (("Maria", 0), ("maria-renamed", 11)):
        own = sample_run.approval(SUBJECT, login, channel="environment", approver={"login": login, "id": number})
        with pytest.raises(Refusal, match=r"approval\.self"):
            count_approvals([own], context(MARIA))


LOGINS = [f"person-{n}" for n in range(4)]
PRIVATE = {login: sample_run.Ed25519PrivateKey.from_private_bytes(bytes([n + 10]) * 32) for n, login in enumerate(LOGINS)}


@given(
    votes=st.lists(st.tuples(st.sampled_from(LOGINS), st.sampled_from(["approve", "approve", "approve", "deny"])), max_size=8),
    quorum=st.integers(1, 4),
    requester=st.sampled_from(LOGINS),
    known=st.sets(st.sampled_from(LOGINS)),
)
def test_quorum_counts_people(votes: list[tuple[str, str]], quorum: int, requester: str, known: set[str]) -> None:
    approvers = {login: public_of(PRIVATE[login]) for login in known}
    demand = PLAN.approval.model_copy(update={"quorum": quorum, "approvers": approvers})
    asked = [{"login": requester, "id": 0}]
    answers = [
        sample_run.signed(sample_run.approval(SUBJECT, login, verdict=verdict, requesters=asked), PRIVATE[login])
        for login, verdict in votes
    ]
    denied = any(login in known and verdict == "deny" for login, verdict in votes)
    people = {login for login, verdict in votes if verdict == "approve" and login in known} - {requester}
    if not denied and len(people) >= quorum:
        found = judge_approvals(answers, context(Person(login=requester), demand=demand))
        assert {approval.approver.login for approval in found} == people
        return
    with pytest.raises(Refusal) as refused:
        judge_approvals(answers, context(Person(login=requester), demand=demand))
    assert (refused.value.gate == "approval.denied") == denied


@given(data=st.recursive(st.none() | st.booleans() | st.text() | st.integers(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_nothing_but_a_refusal_comes_of_garbage(data: object) -> None:
    mutations: list[Callable[[dict[str, Any]], object]] = [
        lambda whole: data,
        lambda whole: whole | {"signatures": data},
        lambda whole: whole | {"signatures": [data]},
        lambda whole: whole | {"payload": data},
        lambda whole: whole | {"payloadType": data},
    ]
    for mutation in mutations:
        with pytest.raises(Refusal):
            judge_approvals([mutation(sample_run.signed(sample_run.approval(SUBJECT)))], context())
