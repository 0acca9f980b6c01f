"""Replay the transitions of a bundle, and compare its documents with one another (docs/design/contracts.md 7)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias, TypeVar

from hyops_ci.contracts.base import Model
from hyops_ci.contracts.check import Check
from hyops_ci.contracts.digest import digest
from hyops_ci.contracts.ledger import Claim
from hyops_ci.contracts.manifest import Manifest
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import STAND_IN, TERMINAL, Event, Result, State, may_follow
from hyops_ci.evidence.approved import Contents, cited, objections, same
from hyops_ci.evidence.recorder import EVENTS, GENESIS, STAGES, PartReader
from hyops_ci.evidence.scrubbing import REDACTIONS, changed_at_sealing
from hyops_ci.evidence.story import absent, disagreeing, misreported
from hyops_ci.evidence.told import Story
from hyops_ci.parsing.documents import json_object, read_document
from hyops_ci.parsing.strict_json import JsonError

Facts: TypeAlias = dict[str, str]
M = TypeVar("M", bound=Model)


class Documents(NamedTuple):
    """The documents of a bundle that could be read."""

    plan: Plan | None
    check: Check | None
    claim: Claim | None
    result: Result | None
    changed: frozenset[str]
    """Files from which a secret was removed at sealing."""


def replay(manifest: Manifest, contents: Contents, parts: Mapping[str, PartReader], facts: Facts) -> Iterator[str]:
    """Yield every contradiction between the documents, one line each. Adds labelled facts to `facts`.

    `parts` are the events of every stage (`readers`), which were read while the bundle was.
    """
    broken = list(_events(manifest, contents, parts))
    yield from broken
    plan, bad_plan = _read(contents, "plan.json", Plan)
    check, bad_check = _read(contents, "check.json", Check)
    claim, bad_claim = _read(contents, "claim.json", Claim)
    result, bad_result = _read(contents, "result.json", Result)
    yield from filter(None, (bad_result, bad_plan, bad_check, bad_claim))
    documents = Documents(plan, check, claim, result, changed_at_sealing(contents.get(REDACTIONS)))
    yield from _result(manifest, contents, documents.result, facts)
    yield from _documents(manifest, contents, documents, facts)
    if result is None or broken:
        return
    story = _story(manifest, contents, documents, result, parts)
    yield from _approved(story, facts)
    yield from absent(story)
    yield from misreported(story)
    yield from disagreeing(story)


def _story(manifest: Manifest, contents: Contents, documents: Documents, result: Result, parts: Mapping[str, PartReader]) -> Story:
    firsts = [part.first for part in parts.values() if part.first is not None]
    events = {event.seq: event for event in (*firsts, *(event for part in parts.values() for event in part.events))}
    return Story(
        manifest=manifest,
        contents=contents,
        events=[events[seq] for seq in sorted(events)],
        begun=firsts[0].at if firsts else result.started_at,
        changed=documents.changed,
        plan=documents.plan,
        check=documents.check,
        claim=documents.claim,
        result=result,
    )


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


def _result(manifest: Manifest, contents: Contents, result: Result | None, facts: Facts) -> Iterator[str]:
    if result is None:
        if "result.json" not in contents:
            yield "no result.json"
        return
    facts["headline"] = result.headline
    if result.stand_in:
        facts["stand-in"] = STAND_IN
    if (result.run_id, result.service, result.outcome) != (manifest.run_id, manifest.service, manifest.outcome):
        said, sealed = f"{result.run_id} {result.outcome}", f"{manifest.run_id} {manifest.outcome}"
        yield f"result.json is that of {said}, the manifest that of {sealed}"


def _documents(manifest: Manifest, contents: Contents, documents: Documents, facts: Facts) -> Iterator[str]:
    plan, check, claim, result, changed = documents
    decision = json_object(contents.get("decision.json"))
    if changed:
        facts["redacted"] = f"at sealing, so that digests of these are not compared: {', '.join(sorted(changed))}"
    if plan is None:
        if check or claim:
            yield "a check or a claim without a plan"
        return
    if "decision.json" in contents and "decision.json" not in changed and (decision is None or _digest(decision) != plan.decision_digest):
        yield "decision.json is not the decision that was planned"
    known = cited(plan, check, changed)
    facts["plan"] = plan.digest()
    files = {entry.path: entry.sha256 for entry in manifest.files if entry.path not in changed}
    for source in plan.sources:
        if files.get(source.file, source.sha256) != source.sha256:
            yield f"{source.file} is not what the plan was made of"
    if check is not None and check.plan_digest != known.get("plan_digest", check.plan_digest):
        yield "check.json looked at another plan"
    for name, document in (("claim.json", claim), ("result.json", result)):
        yield from same(name, document, known)


def _approved(story: Story, facts: Facts) -> Iterator[str]:
    """Yield what is wrong with the approvals, wherever execute was shown some."""
    plan, claim = story.plan, story.claim
    if plan is None or (claim is None and not story.entered(State.APPROVED, "execute")):
        return
    if f"parts/execute/{EVENTS}" not in story.contents:
        # The ledger's word on a runner that fell silent: what it was shown went down with it.
        facts["approved"] = "not in this bundle: the part of execute is missing"
        return
    yield from objections(plan, claim, story.contents, cited(plan, story.check, story.changed))
    facts["approved"] = ", ".join(f"{each.approver.login} ({each.channel})" for each in story.approvals) or "by nobody"


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
