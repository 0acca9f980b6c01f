"""Whose approvals in a bundle count: people, not names, and nobody who asked."""

from __future__ import annotations

import json

import pytest

from hyops_ci.evidence.approved import objections
from tests.unit.evidence import sample_run

KEYS = sample_run.plan().approval.approvers


def told(approvers: dict[str, str], **changes: object) -> str:
    """What is wrong with a yes of each of these approvers, of whom the plan wants two."""
    demand = sample_run.plan().approval.document() | {"quorum": 2, "approvers": approvers}
    plan = sample_run.plan(approval=demand)
    subject = sample_run.subject(plan, sample_run.check(plan))
    given = {f"approvals/{login}.json": sample_run.approval(subject, login, **changes).document() for login in approvers}
    return "\n".join(objections(plan, None, {path: json.dumps(each).encode() for path, each in given.items()}, {}))


@pytest.mark.parametrize("login", ["jonas-2", "JONAS"])
def test_two_names_of_one_key_are_one_person(login: str) -> None:
    assert "a claim with 1 of 2 approvals" in told({"jonas": KEYS["jonas"], login: KEYS["jonas"]})


def test_two_people_are_two() -> None:
    said = told(dict(KEYS))
    assert "a claim with" not in said
    assert "who asked" not in said


def test_a_review_by_a_name_that_the_plan_has_no_key_of_counts() -> None:
    plan = sample_run.plan()
    subject = sample_run.subject(plan, sample_run.check(plan))
    review = sample_run.approval(subject, "rosa", channel="environment").document()
    assert list(objections(plan, None, {"approvals/rosa.json": json.dumps(review).encode()}, {})) == []


@pytest.mark.parametrize("requester", [{"login": "Jonas", "id": 0}, {"login": "priya", "id": 12}])
def test_a_yes_of_somebody_who_asked_is_none(requester: dict[str, object]) -> None:
    assert f"approvals/{str(requester['login']).lower()}.json is the yes of somebody who asked" in told(dict(KEYS), requesters=[requester])
