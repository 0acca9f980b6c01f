"""A person's yes, or no, to exactly one decision, plan and check (docs/design/contracts.md 5)."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field

from hyops_ci.contracts.base import Clean, Count, Digest, Document, Duration, Model, Name, ServiceId, Short, Text, Utc
from hyops_ci.contracts.check import Check
from hyops_ci.contracts.config import Login
from hyops_ci.contracts.decision import Decision, DecisionType
from hyops_ci.contracts.ledger import Position
from hyops_ci.contracts.plan import Plan

APPROVAL_PAYLOAD = "application/vnd.hybridops.approval.v1+json"
"""DSSE payload type; one per kind of signed document, so that no signature can be read as another kind."""
SETTLEMENT_PAYLOAD = "application/vnd.hybridops.settlement.v1+json"

Nonce = Annotated[str, Text(r"^[0-9a-f]{32}$")]


class Subject(Model):
    """What exactly is approved. The nonce is spent by the claim."""

    repository_id: Count
    """0 for a run without GitHub."""
    ledger_id: Digest
    min_epoch: Count
    nonce: Nonce
    decision_digest: Digest
    plan_digest: Digest
    check_digest: Digest
    service: ServiceId
    decision_type: DecisionType
    accepted_risks: Annotated[tuple[Name, ...], Field(max_length=20)] = ()


class Person(Model):
    """Who, by login and by the numeric id that survives a rename."""

    login: Login
    id: Count = 0

    @property
    def bot(self) -> bool:
        """Whether it is an App: GitHub gives only those this ending."""
        return self.login.endswith("[bot]")

    def among(self, people: Iterable[Self]) -> bool:
        """Return whether one of `people` may be this one: by id, or by login in any case, which is how GitHub compares them.

        A login that another account took over counts as its first owner, too: where that cannot be decided, both are the same person.
        """
        return any(self.login.lower() == each.login.lower() or (self.id and self.id == each.id) for each in people)


def people_of(approvers: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
    """Return the logins of each person among `approvers` (login -> key): logins in another case, or with one key, are one person's."""
    people: list[list[str]] = []
    for login, key in sorted(approvers.items()):
        same = [each for each in people if any(known.lower() == login.lower() or approvers[known] == key for known in each)]
        people = [each for each in people if each not in same] + [sorted([login, *(known for each in same for known in each)])]
    return tuple(sorted(tuple(each) for each in people))


def logins_with_one_key(approvers: Mapping[str, str], logins: Iterable[str]) -> set[str]:
    """Return the logins of everybody among `approvers` (login -> key) who has one of these logins, in any case."""
    asked = {login.lower() for login in logins}
    return {login for person in people_of(approvers) if asked & {each.lower() for each in person} for login in person}


class Approval(Document):
    """One answer of one person."""

    kind: Literal["Approval"] = "Approval"
    subject: Subject
    verdict: Literal["approve", "deny"]
    approver: Person
    requesters: tuple[Person, ...]
    requested_at: Utc
    observed_at: Utc
    expires_at: Utc
    channel: Literal["environment", "signed"]
    comment: Clean = ""
    key_id: Short | None = None
    """Of the signing key, on the signed channel."""


class ApprovalRequest(Document):
    """What a person is asked, whole: what they will sign, and the documents that it names, to be read before."""

    kind: Literal["ApprovalRequest"] = "ApprovalRequest"
    subject: Subject
    requesters: tuple[Person, ...]
    requested_at: Utc
    lifetime: Duration
    decision: Decision
    plan: Plan
    check: Check


class Settlement(Document):
    """What is true after a run that was cut off, stated by the people who looked."""

    kind: Literal["Settlement"] = "Settlement"
    service: ServiceId
    ledger_id: Digest
    epoch: Count
    """Of the claim that is settled; a later one needs a settlement of its own."""
    serves: Name
    reason: Annotated[Clean, Field(min_length=1, max_length=500)]
    at: Utc
    parent: Short | None = None
    """The commit that they looked at: with it, the settlement vouches for all that this commit has grown from."""
    position: Position | None = None
