"""Replay the transitions of a bundle, and compare its documents with one another (docs/design/contracts.md 7)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, TypeAlias, TypeVar

from hyops_ci.contracts.approval import APPROVAL_PAYLOAD, Approval
from hyops_ci.contracts.base import Model
from hyops_ci.contracts.check import Check
from hyops_ci.contracts.digest import digest
from hyops_ci.contracts.ledger import Claim
from hyops_ci.contracts.manifest import Manifest
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import STAND_IN, TERMINAL, Event, Result, State, may_follow
from hyops_ci.evidence.recorder import EVENTS, GENESIS, STAGES, PartReader
from hyops_ci.evidence.scrubbing import REDACTIONS, changed_at_sealing
from hyops_ci.parsing.documents import json_object, read_document, read_json
from hyops_ci.parsing.strict_json import JsonError
from hyops_ci.signing.dsse import open_envelope

ENVELOPES: Final = "approvals/envelopes.json"
"""The signed answers as they were received; `approvals/<login>.json` are those that counted."""
Facts: TypeAlias = dict[str, str]
Contents: TypeAlias = Mapping[str, bytes | None]
M = TypeVar("M", bound=Model)


def replay(manifest: Manifest, contents: Contents, parts: Mapping[str, PartReader], facts: Facts) -> Iterator[str]:
    """Yield every contradiction between the documents, one line each. Adds labelled facts to `facts`.

    `parts` are the events of every stage (`readers`), which were read while the bundle was.
    """
    yield from _events(manifest, contents, parts)
    yield from _result(manifest, contents, facts)
    yield from _documents(manifest, contents, facts)


def readers() -> dict[str, PartReader]:
    """Return who reads the events of each stage, by path, in the order of the stages."""
    return {part.path: part for part in map(PartReader, STAGES)}


def _events(manifest: Manifest, contents: Contents, parts: Mapping[str, PartReader]) -> Iterator[str]:
    for path in contents:
        if path.endswith("/" + EVENTS) and path.startswith("parts/") and path not in parts:
            yield f"{path} belongs to no stage"
    last: Event | None = None
    for part in parts.values():
        if problem := part.follows(last):
            yield problem
            return
        last = part.last or last
    if manifest.last_event != (last.hash if last is not None else GENESIS):
        yield "the events do not end where the manifest says"
    yield from _moves(manifest, [event for part in parts.values() for event in part.events])


def _moves(manifest: Manifest, events: list[Event]) -> Iterator[str]:
    """Yield transitions that the table does not allow, and an end that the manifest does not have."""
    state: State | None = None
    for event in events:
        if event.kind != "transition":
            continue
        after = State(event.name) if event.name in State.__members__ else None
        if after is None or not (after is State.RECEIVED if state is None else may_follow(state, after)):
            yield f"event {event.seq}: a run does not go from {state or 'nowhere'} to {event.name}"
            return
        state = after
    if state is not manifest.outcome:
        yield f"the events end in {state or 'no state'}, the manifest says {manifest.outcome}"
    elif state not in TERMINAL:
        yield f"{state} is no end of a run"


def _result(manifest: Manifest, contents: Contents, facts: Facts) -> Iterator[str]:
    result, problem = _read(contents, "result.json", Result)
    if result is None:
        yield problem or "no result.json"
        return
    facts["headline"] = result.headline
    if result.stand_in:
        facts["stand-in"] = STAND_IN
    if (result.run_id, result.service, result.outcome) != (manifest.run_id, manifest.service, manifest.outcome):
        said, sealed = f"{result.run_id} {result.outcome}", f"{manifest.run_id} {manifest.outcome}"
        yield f"result.json is that of {said}, the manifest that of {sealed}"


def _documents(manifest: Manifest, contents: Contents, facts: Facts) -> Iterator[str]:
    plan, bad_plan = _read(contents, "plan.json", Plan)
    check, bad_check = _read(contents, "check.json", Check)
    claim, bad_claim = _read(contents, "claim.json", Claim)
    result, _ = _read(contents, "result.json", Result)
    yield from (bad for bad in (bad_plan, bad_check, bad_claim) if bad)
    decision = json_object(contents.get("decision.json"))
    if plan is None:
        if check or claim:
            yield "a check or a claim without a plan"
        return
    changed = changed_at_sealing(contents.get(REDACTIONS))
    if changed:
        facts["redacted"] = f"at sealing, so that digests of these are not compared: {', '.join(sorted(changed))}"
    if "decision.json" in contents and "decision.json" not in changed and (decision is None or _digest(decision) != plan.decision_digest):
        yield "decision.json is not the decision that was planned"
    known = {"decision_digest": plan.decision_digest, "plan_digest": plan.digest(), "check_digest": check.digest() if check else None}
    known = {field: value for field, value in known.items() if f"{field.removesuffix('_digest')}.json" not in changed}
    facts["plan"] = plan.digest()
    yield from _sources(manifest, plan, contents)
    if check is not None and check.plan_digest != known.get("plan_digest", check.plan_digest):
        yield "check.json looked at another plan"
    for name, document in (("claim.json", claim), ("result.json", result)):
        yield from _same(name, document, known)
    if claim is not None and f"parts/execute/{EVENTS}" in contents:
        yield from _approvals(plan, claim, contents, known, facts)
    elif claim is not None:  # the ledger's word on a runner that fell silent: what it was shown went down with it
        facts["approved"] = "not in this bundle: the part of execute is missing"


def _same(name: str, document: Model | None, known: Mapping[str, str | None]) -> Iterator[str]:
    """Yield digests cited by a document that differ from those of the documents beside it."""
    for field, value in known.items():
        said = getattr(document, field, None)
        if said is not None and said != value:
            yield f"{name}: {field} is not that of the bundle"


def _approvals(plan: Plan, claim: Claim, contents: Contents, known: Mapping[str, str | None], facts: Facts) -> Iterator[str]:
    """Yield what is wrong with the approvals of a claim: of other documents, without the signature they name, or not spent by it."""
    envelopes = _signed(contents.get(ENVELOPES), plan)
    granted: list[Approval] = []
    for path in sorted(path for path in contents if path.startswith("approvals/") and path != ENVELOPES):
        approval, bad = _read(contents, path, Approval)
        if approval is None:
            yield bad
            continue
        granted.append(approval)
        yield from _same(path, approval.subject, known)
        yield from _fits(path, approval, plan, claim)
        if approval.channel == "signed" and approval.digest() not in envelopes:
            yield f"{path} says it is signed, and {ENVELOPES} holds no signature of {approval.approver.login}'s key"
    if sorted(claim.approvals) != sorted(approval.digest() for approval in granted):
        yield "the claim cites other approvals than those in the bundle"
    people = {approval.approver.login.lower() for approval in granted}
    if plan.approval.required and len(people) < plan.approval.quorum:
        yield f"a claim with {len(people)} of {plan.approval.quorum} approvals"
    facts["approved"] = ", ".join(f"{each.approver.login} ({each.channel})" for each in granted) or "by nobody"


def _fits(path: str, approval: Approval, plan: Plan, claim: Claim) -> Iterator[str]:
    subject = approval.subject
    if approval.verdict != "approve":
        yield f"{path} is no yes"
    if (subject.service, subject.decision_type) != (plan.service, plan.decision_type):
        yield f"{path} approves another service or direction"
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


def _sources(manifest: Manifest, plan: Plan, contents: Contents) -> Iterator[str]:
    """Yield sources (config, overlay, map) that differ from the plan's, except those from which a secret was removed."""
    changed = changed_at_sealing(contents.get(REDACTIONS))
    files = {entry.path: entry.sha256 for entry in manifest.files if entry.path not in changed}
    for source in plan.sources:
        if files.get(source.file, source.sha256) != source.sha256:
            yield f"{source.file} is not what the plan was made of"


def _digest(document: dict[str, Any]) -> str:
    try:
        return digest(document)
    except (ValueError, RecursionError):
        return "not digestible"


def _read(contents: Contents, name: str, model: type[M]) -> tuple[M | None, str]:
    if name not in contents:
        return None, ""
    try:
        return read_document(model, contents[name] or b""), ""
    except JsonError as error:
        return None, f"{name} is no {model.__name__}: {error}"
