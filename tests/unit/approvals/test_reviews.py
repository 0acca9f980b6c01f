"""From a run's review history to a yes, alone and together with signatures.

reviews:     records of the history: state approved, people by login (their numbers are below), at dr-prod
signed:      answers by key, as in the cases of approvals
demand:      over the plan's; the base takes reviews only, quorum 1
requesters, approvers (number -> login), apps, spent, now, attempt, gate_passed (true)
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.approvals.context import ApprovalContext
from hyops_ci.approvals.judge import judge_approvals
from hyops_ci.approvals.requesters import refuse_unknown_machines, requesters_of_run
from hyops_ci.approvals.reviews import approvals_of, let_through, nonce_of
from hyops_ci.contracts.approval import Approval, ApprovalRequest, Person
from hyops_ci.contracts.github_facts import ReviewFact, RunFact
from hyops_ci.errors import Exit, Refusal
from hyops_ci.signing.dsse import public_of
from tests.unit.evidence import sample_run

CASES = Path(__file__).parents[2] / "cases" / "reviews"
PLAN = sample_run.plan()
CHECK = sample_run.check(PLAN)
SUBJECT = sample_run.subject(PLAN, CHECK)
ASKED_AT = "2026-11-23T03:05:02Z"
NUMBERS = {"jonas": 1001, "priya": 1002, "maria": 1003, "escalate[bot]": 9001, "github-actions[bot]": 41898282}
KEYS = {"jonas": sample_run.JONAS, "priya": sample_run.PRIYA}


def cases(folder: str) -> list[Any]:
    paths = sorted((CASES / folder).glob("*.yml"))
    assert paths
    return [pytest.param(yaml.safe_load(path.read_bytes()), id=path.stem) for path in paths]


def person(said: Any) -> Person:
    return Person(**said) if isinstance(said, dict) else Person(login=said, id=NUMBERS.get(said, 0))


def review(said: dict[str, Any]) -> ReviewFact:
    who = person(said.get("person", "jonas"))
    return ReviewFact(
        state=said.get("state", "approved"),
        person=who,
        bot=said.get("bot", who.bot),
        comment=said.get("comment", ""),
        environments=tuple(said.get("at", ["dr-prod"])),
    )


def judged(case: dict[str, Any]) -> tuple[Approval, ...]:
    demand = sample_run.plan(approval=PLAN.approval.document() | {"channels": ["environment"]} | case.get("demand", {})).approval
    requesters = [person(each) for each in case.get("requesters", ["maria"])]
    moved, now = sample_run.subject(PLAN, CHECK, **case.get("asked", {})), datetime.fromisoformat(case.get("now", "2026-11-23T03:09:19Z"))
    asked = ApprovalRequest(
        subject=moved,
        requesters=tuple(requesters),
        requested_at=ASKED_AT,
        lifetime=demand.lifetime,
        decision=sample_run.decision(),
        plan=PLAN.model_copy(update={"approval": demand}),
        check=CHECK,
    )
    reviews = approvals_of(
        [review(each) for each in case.get("reviews", [])], asked, run_id=212, attempt=case.get("attempt", 1), observed_at=now
    )
    asking = [each.document() for each in requesters]
    signed = [sample_run.signed(sample_run.approval(SUBJECT, each, requesters=asking), KEYS[each]) for each in case.get("signed", [])]
    context = ApprovalContext(
        demand,
        sample_run.subject(PLAN, CHECK, **case.get("expected", {})),
        requesters=tuple(requesters),
        now=now,
        spent_nonces=[nonce_of(212, "dr-prod", person(each)) for each in case.get("spent", [])],
        requested_at=datetime.fromisoformat(ASKED_AT),
        approvers=case.get("approvers"),
        apps=case.get("apps"),
        gate_passed=case.get("gate_passed", True),
    )
    return judge_approvals(signed, context, reviews=reviews)


@pytest.mark.parametrize("case", cases("accept"))
def test_accepted(case: dict[str, Any]) -> None:
    assert [f"{each.approver.login} {each.channel}" for each in judged(case)] == case["granted"]


@pytest.mark.parametrize("case", cases("refuse"))
def test_refused(case: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as refused:
        judged(case)
    refusal = refused.value
    assert refusal.gate == case["gate"]
    assert refusal.exit_code is Exit.APPROVAL
    assert case["says"] in "\n".join(refusal.lines())
    assert refusal.expected
    assert refusal.fix


def test_an_approval_made_of_a_review() -> None:
    [made] = judged({"reviews": [{"person": "jonas", "comment": "go\x1b[2J\nnow"}]})
    assert made.subject == SUBJECT.model_copy(update={"nonce": nonce_of(212, "DR-Prod", person("jonas"))})
    assert (made.approver, made.channel, made.verdict, made.key_id) == (person("jonas"), "environment", "approve", None)
    assert (made.requested_at, made.observed_at, made.expires_at) == (ASKED_AT, "2026-11-23T03:09:19Z", "2026-11-23T04:05:02Z")
    assert made.comment == "go\\u001b[2J\\u000anow"
    assert made.requesters == (person("maria"),)


def test_a_review_is_one_value_for_one_person_at_one_gate_of_one_run() -> None:
    jonas = Person(login="jonas", id=1001)
    same = {nonce_of(212, gate, who) for gate in ("dr-prod", "DR-PROD") for who in (jonas, Person(login="renamed", id=1001))}
    others = {nonce_of(213, "dr-prod", jonas), nonce_of(212, "dr-drill", jonas), nonce_of(212, "dr-prod", Person(login="jonas", id=7))}
    assert len(same) == 1
    assert len(same | others) == 4
    assert all(len(each) == 32 and set(each) <= set("0123456789abcdef") for each in same | others)


def test_nobody_lets_their_own_request_pass_under_another_name() -> None:
    """Two logins with one key are one person's; GitHub's spelling is its own."""
    key = public_of(KEYS["jonas"])
    said = [review({"state": "approved", "person": "priya", "at": ["dr-bootstrap"]})]
    asked = [Person(login="jonas", id=NUMBERS["jonas"])]
    assert let_through(said, "dr-bootstrap", asked, 1, {"jonas": key}) == ("priya",)
    for approvers in ({"jonas": key, "priya": key}, {"Jonas": key, "PRIYA": key}):
        assert let_through(said, "dr-bootstrap", asked, 1, approvers) == ()


def run_fact(actor: str, triggering: str = "", event: str = "workflow_dispatch", **changes: Any) -> RunFact:
    fields: dict[str, Any] = {
        "run_id": 212,
        "attempt": 1,
        "event": event,
        "status": "in_progress",
        "path": ".github/workflows/dr.yml",
        "sha": "3f2a" * 10,
        "actor": person(actor),
        "triggering_actor": person(triggering or actor),
        "created_at": ASKED_AT,
        "started_at": ASKED_AT,
        "url": "https://github.com/acme/shop/actions/runs/212",
        "repository_id": 4711,
        "repository": "acme/shop",
    }
    return RunFact(**fields | changes)


def test_who_asked() -> None:
    assert requesters_of_run(run_fact("maria")) == (person("maria"),)
    assert requesters_of_run(run_fact("maria", "jonas")) == (person("maria"), person("jonas"))
    assert requesters_of_run(run_fact("maria"), issuer="github:Maria") == (person("maria"),)
    assert requesters_of_run(run_fact("maria"), issuer="github:priya") == (person("maria"), Person(login="priya"))
    assert requesters_of_run(run_fact("maria"), issuer="decision-service") == (person("maria"),)
    assert requesters_of_run(run_fact("maria"), issuer="github:../../x y") == (person("maria"),)
    reused = run_fact("maria", triggering_actor=Person(login="maria", id=66))
    assert [each.id for each in requesters_of_run(reused)] == [1003, 66], "a login that another account took over is both"


def test_a_schedule_has_no_requester() -> None:
    assert requesters_of_run(run_fact("maria", event="schedule")) == ()
    assert requesters_of_run(run_fact("maria", event="schedule"), issuer="github:priya") == (Person(login="priya"),)


def test_whoever_started_the_run_before_asked_too() -> None:
    source = run_fact("maria", "priya", event="push")
    assert requesters_of_run(run_fact("escalate[bot]"), sources=[source]) == (person("escalate[bot]"), person("maria"), person("priya"))


def test_a_machine_shows_it_whatever_it_is_called() -> None:
    odd = run_fact("maria").model_copy(update={"actor": Person(login="helper", id=9001), "actor_is_bot": True})
    assert requesters_of_run(odd)[0] == Person(login="helper[bot]", id=9001)


def test_machines_that_may_ask() -> None:
    refuse_unknown_machines([person("maria"), person("escalate[bot]")], {9001})
    refuse_unknown_machines([person("escalate[bot]")], None)
    for asked, apps in [("escalate[bot]", ()), ("github-actions[bot]", {41898282}), ("github-actions[bot]", None)]:
        with pytest.raises(Refusal, match=r"approval\.requester"):
            refuse_unknown_machines([person(asked)], apps)
    with pytest.raises(Refusal, match=r"approval\.requester"):
        refuse_unknown_machines([Person(login="escalate[bot]", id=9002)], {9001})


PEOPLE = ("jonas", "priya", "maria")
REVIEWS = st.lists(
    st.builds(
        dict,
        state=st.sampled_from(["approved", "approved", "rejected", "pending"]),
        person=st.sampled_from([*PEOPLE, "escalate[bot]"]),
        at=st.lists(st.sampled_from(["dr-prod", "DR-PROD", "dr-drill", "dr-prod "]), max_size=2),
    ),
    max_size=5,
)


@given(
    reviews=REVIEWS,
    signed=st.lists(st.sampled_from(sorted(KEYS)), max_size=3),
    channels=st.sampled_from([["environment"], ["signed"], ["environment", "signed"]]),
    quorum=st.integers(1, 3),
    requester=st.sampled_from(PEOPLE),
    known=st.none() | st.sets(st.sampled_from(PEOPLE)),
)
def test_people_are_counted_once_and_never_the_requester(
    reviews: list[dict[str, Any]], signed: list[str], channels: list[str], quorum: int, requester: str, known: set[str] | None
) -> None:
    case = {
        "reviews": reviews,
        "signed": signed,
        "demand": {"channels": channels, "quorum": quorum},
        "requesters": [requester],
        "approvers": None if known is None else {NUMBERS[login]: login for login in known},
    }
    here = [each for each in reviews if any(name.lower() == "dr-prod" for name in each["at"])]
    denied = any(each["state"] == "rejected" for each in here)
    allowed = set(PEOPLE) if known is None else known
    by_review = {each["person"] for each in here if each["state"] == "approved"} & allowed if "environment" in channels else set()
    by_key = set(signed) if "signed" in channels else set()
    people = (by_review | by_key) - {requester}
    if len(people) >= quorum and not denied:
        assert {each.approver.login for each in judged(case)} == people
        return
    with pytest.raises(Refusal) as refused:
        judged(case)
    assert (refused.value.gate == "approval.denied") == denied
    assert refused.value.exit_code is Exit.APPROVAL
