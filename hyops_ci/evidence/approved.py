"""Whether the approvals in a bundle carry its claim: of these documents, signed where they say so, and spent by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

from pydantic import ValidationError

from hyops_ci.contracts.approval import APPROVAL_PAYLOAD, Approval, Person, logins_with_one_key, people_of
from hyops_ci.contracts.base import Model
from hyops_ci.contracts.check import Check
from hyops_ci.contracts.ledger import Claim
from hyops_ci.contracts.plan import Plan
from hyops_ci.parsing.documents import json_object, read_document, read_json
from hyops_ci.parsing.strict_json import JsonError
from hyops_ci.signing.dsse import open_envelope

ENVELOPES: Final = "approvals/envelopes.json"
"""The signed answers as they were received; `approvals/<login>.json` are those that counted."""
Contents = Mapping[str, bytes | None]


def cited(plan: Plan, check: Check | None, changed: frozenset[str]) -> dict[str, str | None]:
    """Return the digests that other documents cite, without those of documents from which a secret was removed (`changed`)."""
    known = {"decision_digest": plan.decision_digest, "plan_digest": plan.digest(), "check_digest": check.digest() if check else None}
    return {field: value for field, value in known.items() if f"{field.removesuffix('_digest')}.json" not in changed}


def same(name: str, document: Model | None, known: Mapping[str, str | None]) -> Iterator[str]:
    """Yield digests cited by a document that differ from those of the documents beside it."""
    for field, value in known.items():
        said = getattr(document, field, None)
        if said is not None and said != value:
            yield f"{name}: {field} is not that of the bundle"


def approvals_in(contents: Contents) -> dict[str, Approval | None]:
    """Return the approvals that counted, by path; None for one that cannot be read."""
    found: dict[str, Approval | None] = {}
    for path in sorted(path for path in contents if path.startswith("approvals/") and path != ENVELOPES):
        found[path] = None
        with suppress(JsonError):
            found[path] = read_document(Approval, contents[path] or b"")
    return found


def objections(plan: Plan, claim: Claim | None, contents: Contents, known: Mapping[str, str | None]) -> Iterator[str]:
    """Yield what is wrong with the approvals: of other documents, without the signature they name, too few, or not spent by the claim."""
    envelopes = _signed(contents.get(ENVELOPES), plan)
    found = approvals_in(contents)
    granted = {path: approval for path, approval in found.items() if approval is not None}
    yield from (f"{path} is no Approval" for path in found.keys() - granted.keys())
    for path, approval in granted.items():
        yield from same(path, approval.subject, known)
        yield from _fits(path, approval, plan, claim)
        if approval.channel == "signed" and approval.digest() not in envelopes:
            yield f"{path} says it is signed, and {ENVELOPES} holds no signature of {approval.approver.login}'s key"
    if claim is not None and sorted(claim.approvals) != sorted(approval.digest() for approval in granted.values()):
        yield "the claim cites other approvals than those in the bundle"
    asked = _asked(contents)
    for path, approval in granted.items():
        own = logins_with_one_key(plan.approval.approvers, (approval.approver.login,))
        if any(each.among((*asked, *approval.requesters)) for each in (approval.approver, *(Person(login=login) for login in own))):
            yield f"{path} is the yes of somebody who asked"
    names = {approval.approver.login.lower() for approval in granted.values()}
    keys = {login: key for login, key in plan.approval.approvers.items() if login.lower() in names}
    people = [*people_of(keys), *(names - {login.lower() for login in keys})]
    if plan.approval.required and len(people) < plan.approval.quorum:
        yield f"a claim with {len(people)} of {plan.approval.quorum} approvals"


def _asked(contents: Contents) -> tuple[Person, ...]:
    """Return who asked, as the plan wrote it down; nobody where that cannot be read."""
    found = (json_object(contents.get("origin.json")) or {}).get("requesters")
    people: list[Person] = []
    for each in found if isinstance(found, list) else ():
        with suppress(ValidationError):
            people.append(Person.model_validate(each))
    return tuple(people)


def _fits(path: str, approval: Approval, plan: Plan, claim: Claim | None) -> Iterator[str]:
    subject = approval.subject
    if approval.verdict != "approve":
        yield f"{path} is no yes"
    if (subject.service, subject.decision_type) != (plan.service, plan.decision_type):
        yield f"{path} approves another service or direction"
    if claim is None:
        return
    if subject.min_epoch >= claim.epoch:
        yield f"{path} was given for a later epoch than {claim.epoch}"
    if subject.nonce not in claim.nonces:
        yield f"{path}: its nonce was not spent by the claim"


def _signed(content: bytes | None, plan: Plan) -> set[str]:
    """Return the digests of approvals that an approver of the plan signed in their own name; other envelopes are ignored."""
    found: set[str] = set()
    try:
        envelopes = read_json(content or b"[]")
    except JsonError:
        return found
    for envelope in envelopes if isinstance(envelopes, list) else ():
        with suppress(ValueError):  # JsonError is one
            opened = open_envelope(envelope, APPROVAL_PAYLOAD, plan.approval.approvers.values())
            approval = read_document(Approval, opened.payload)
            if plan.approval.approvers.get(approval.approver.login) in opened.signers:
                found.add(approval.digest())
    return found
