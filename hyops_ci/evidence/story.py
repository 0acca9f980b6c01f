"""Whether a bundle tells one story: what each state that was entered leaves behind is there, and the result says what the documents say.

Anybody can seal a bundle again where nobody signed it. It then is one consistent story, or it is INVALID (docs/design/contracts.md 7).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError

from hyops_ci.contracts.cleanup import CLEANUP, Cleanup
from hyops_ci.contracts.ledger import Claim
from hyops_ci.contracts.run import ENDINGS, RefusalRecord, State
from hyops_ci.evidence.conclusions import (
    DEPLOY,
    RECOVERED,
    UNREFUSED,
    VERIFIED,
    alarms_in,
    deviations_of,
    deviations_told,
    exit_code_of,
    gaps_besides,
    good_headline,
    is_seen,
    is_stand_in,
    proven_by,
    refusal_of_deploy,
)
from hyops_ci.evidence.objectives import objectives
from hyops_ci.evidence.recorder import INTAKE
from hyops_ci.evidence.told import Story
from hyops_ci.parsing.documents import json_object, read_document
from hyops_ci.parsing.strict_json import JsonError

S = State
ALWAYS: Final = ("result.json", "objectives.json", "environment.json")
TAKEN_IN: Final = ("job.json", "origin.json", "decision.raw", "decision.json")
"""What plan has written once it has read a decision."""
LEFT_BY: Final[dict[State, tuple[str, tuple[str, ...]]]] = {
    S.RECORDED: ("plan", TAKEN_IN),
    S.PLANNED: ("plan", (*TAKEN_IN, "gates.json", "plan.json")),
    S.CHECKED: ("check", ("gates-check.json", "runner.json", "check.json", "request.json")),
    S.CLAIMED: ("execute", ("claim.json",)),
    S.SECRETS_READY: ("execute", ("secrets.json",)),
    S.NOT_PROVEN: ("execute", ("steps.jsonl", "probes.json")),
    S.CLEANING_UP: ("execute", (CLEANUP,)),
    S.NOT_CLEANED: ("execute", (CLEANUP,)),
    S.SETTLED: ("execute", ("settlement.json",)),
    S.COMPLETED: ("execute", ("steps.jsonl", "probes.json")),
    S.COMPLETED_WITH_EXCEPTIONS: ("execute", ("steps.jsonl", "probes.json")),
}
"""State -> the stage that enters it, and what it has written by then. Where `conclude` walks on by the ledger's word, nothing is."""


def absent(story: Story) -> Iterator[str]:
    """Yield what is missing although an event says that it was written."""
    needed = dict.fromkeys(ALWAYS, "every bundle holds it")
    for state, (stage, names) in LEFT_BY.items():
        if story.entered(state, stage):
            needed |= dict.fromkeys(names, f"{stage} entered {state}")
    if any(event.kind == "note" and event.name == INTAKE for event in story.events):
        needed |= dict.fromkeys(TAKEN_IN, "a decision was read")
    if story.deploy is not None:
        needed["steps.jsonl"] = f"{DEPLOY} has a result"
    for source in story.plan.sources if story.plan is not None else ():
        needed[source.file] = "the plan was made of it"
    if story.result.deviations:
        needed["deviations.json"] = "the result has deviations"
    needed |= dict.fromkeys(story.left(), "an event says that it was written")
    for name, why in needed.items():
        if name not in story.contents:
            yield f"{name} is missing: {why}"


def misreported(story: Story) -> Iterator[str]:
    """Yield what the result says otherwise than the documents that it is drawn from."""
    for field, value in _facts(story).items():
        if getattr(story.result, field) != value:
            yield f"result.json: {field} is not what the documents say"
    yield from _headline(story)
    yield from _refusal(story)
    yield from _end(story)
    yield from _figures(story)


def disagreeing(story: Story) -> Iterator[str]:
    """Yield facts that two documents, or a document and an event, tell differently."""
    plan, check, claim = story.plan, story.check, story.claim
    told = [(event.name, event.data) for event in story.events if event.kind == "transition"]
    told += [(event.name, event.data) for event in story.events if event.kind == "note"]
    facts = {
        (S.PLANNED, "plan_digest"): plan.digest() if plan is not None and "plan.json" not in story.changed else None,
        (S.CHECKED, "check_digest"): check.digest() if check is not None and "check.json" not in story.changed else None,
        (S.CLAIMED, "claim_id"): claim.claim_id if claim is not None else None,
        (S.CLAIMED, "epoch"): claim.epoch if claim is not None else None,
        (INTAKE, "source_sha256"): story.sha256("decision.raw"),
    }
    for (name, field), value in facts.items():
        if value is not None and any(data.get(field, value) != value for event, data in told if event == name):
            yield f"the event {name} has another {field} than the documents"
    for name, digest in story.left().items():
        if story.sha256(name) not in (None, digest):
            yield f"{name} is not what its stage wrote"
    if claim is not None:
        yield from _claim(story, claim)
    runner = json_object(story.contents.get("runner.json"))
    if check is not None and runner is not None and "runner.json" not in story.changed and runner != check.runner.document():
        yield "runner.json is not the runner of the check"
    yield from _request(story)
    names = [data["names"] for name, data in told if name == S.SECRETS_READY and "names" in data]
    kept = json_object(story.contents.get("secrets.json"))
    if names and kept is not None and not story.texts_changed("secrets.json"):
        read = kept.get("secrets")
        if names[-1] != [each.get("key") for each in read if isinstance(each, dict)] if isinstance(read, list) else True:
            yield "secrets.json has other names than the events"


def _request(story: Story) -> Iterator[str]:
    """Yield that the request which was shown asks about something else."""
    plan, check = story.plan, story.check
    subject = (json_object(story.contents.get("request.json")) or {}).get("subject")
    if plan is None or check is None or not isinstance(subject, dict) or story.changed & {"plan.json", "check.json", "request.json"}:
        return
    if (subject.get("plan_digest"), subject.get("check_digest")) != (plan.digest(), check.digest()):
        yield "request.json asks about another plan or check"


def _claim(story: Story, claim: Claim) -> Iterator[str]:
    """Yield what the claim says of another run, decision or plan."""
    run = story.manifest.run_id
    own = claim.run_id == run if run.startswith("local-") else claim.run_id.partition("-")[0] == run.partition("-")[0]
    if not own:
        yield f"claim.json is that of run {claim.run_id}"
    if (raw := story.sha256("decision.raw")) is not None and claim.source_sha256 != raw:
        yield "claim.json was taken for another decision.raw"
    plan = story.plan
    if plan is not None and (claim.decision_id, claim.decision_type, claim.drill) != (
        plan.decision_id,
        plan.decision_type,
        bool(plan.exercise),
    ):
        yield "claim.json was taken for another decision"


def _facts(story: Story) -> dict[str, object]:
    """Return the fields of the result that follow from the documents alone."""
    plan, check, claim, result = story.plan, story.check, story.claim, story.result
    decision = json_object(story.contents.get("decision.json")) or {}
    facts: dict[str, object] = {
        "exit_code": exit_code_of(result.outcome, result.refusal),
        "decision_id": plan.decision_id if plan is not None else decision.get("decision_id", ""),
        "service": plan.service if plan is not None else decision.get("service"),
        "plan_digest": plan.digest() if plan is not None else None,
        "check_digest": check.digest() if check is not None else None,
        "claim_id": claim.claim_id if claim is not None else "",
        "epoch": claim.epoch if claim is not None else None,
        "started_at": story.begun,
        "stand_in": is_stand_in(check),
    }
    for name, field in (("plan.json", "plan_digest"), ("check.json", "check_digest")):
        if name in story.changed:
            del facts[field]
    if not story.texts_changed("check.json"):
        acted = (*deviations_told(story.events), *alarms_in(story.events))
        facts["deviations"] = deviations_of(check, acted, claimed=claim is not None)
    if not story.texts_changed("probes.json"):
        facts["proven"] = proven_by(story.probes)
    return facts


def _headline(story: Story) -> Iterator[str]:
    result, drill = story.result, story.plan is not None and bool(story.plan.exercise)
    word = "DRILL PASSED" if drill and result.outcome in RECOVERED else ENDINGS[result.outcome].headline
    if not result.headline.startswith(word.partition(",")[0].partition(":")[0]):
        yield f"result.json: the headline is none of {result.outcome}"
    if f"{result.service} serves from" in result.headline and not (story.plan is not None and is_seen(story.plan, result.proven)):
        yield "result.json: the headline says that the service serves, and nothing but HyOps' word shows it"
    if result.outcome in RECOVERED and not story.texts_changed():
        yield from _good_headline(story, good_headline(drill, len(result.deviations)))


def _good_headline(story: Story, begins: str) -> Iterator[str]:
    """Yield how the first line that people read of a good end is another than its run's: its deviations, and the site."""
    result, plan = story.result, story.plan
    if not result.headline.startswith(f"{begins}  "):
        yield f"result.json: the headline does not begin with {begins}"
    named = re.search(rf"{re.escape(result.service or '')} (?:serves from|is at|came up at) (\S+)", result.headline)
    if plan is not None and named is not None and named[1] != plan.target_site:
        yield f"result.json: the headline names {named[1]}, the plan {plan.target_site}"


def _refusal(story: Story) -> Iterator[str]:
    """Yield a refusal that no event tells of, and an end that names none."""
    refusal, deploy = story.result.refusal, story.deploy
    if refusal is None:
        if story.result.outcome not in UNREFUSED:
            yield f"result.json: {story.result.outcome}, and no refusal that led to it"
        return
    told = [_record(event.data) for event in story.events if event.kind == "refusal"]
    told += [refusal_of_deploy(story.result.outcome, deploy, story.plan)] if deploy is not None else []
    if refusal not in told and not story.texts_changed():
        yield "result.json: the refusal is none that the events tell of"


def _end(story: Story) -> Iterator[str]:
    """Yield what a good end must not pass over in silence, and what no other end claims."""
    result, failed = story.result, proven_by(story.probes, proven=False)
    if result.outcome is S.SETTLED:
        yield from _settlement(story)
    yield from _cleanup(story)
    if result.outcome not in VERIFIED:
        if result.not_proven:
            yield "result.json: only a run that was verified lists what is not proven"
        return
    if not story.entered(result.outcome, "execute"):
        yield f"{result.outcome} is no word of execute: a good end is only ever its own"
        return
    if story.texts_changed("probes.json", "check.json"):
        return
    yield from _gaps(story, failed)
    if (result.outcome is S.NOT_PROVEN) is not bool(failed):
        yield f"{result.outcome}, with {len(failed)} failed probes"
    if result.outcome in RECOVERED and (result.outcome is S.COMPLETED_WITH_EXCEPTIONS) is not bool(result.deviations):
        yield f"{result.outcome}, with {len(result.deviations)} deviations"
    if "deviations.json" in story.contents and story.json("deviations.json") != list(result.deviations):
        yield "deviations.json has others than the result"


def _gaps(story: Story, failed: tuple[str, ...]) -> Iterator[str]:
    """Yield what a run that was verified leaves out of what is not proven: a probe that failed, what nobody confirmed or measured."""
    said = story.result.not_proven
    if set(failed) - set(said):
        yield "result.json: not_proven lacks a probe that failed"
    if "decision.json" in story.changed:
        return
    for gap in gaps_besides(json_object(story.contents.get("decision.json")) or {}, story.probes):
        if not any(line.startswith(f"{gap} (") for line in said):
            yield f"result.json: not_proven lacks {gap}"


def _cleanup(story: Story) -> Iterator[str]:
    """Yield a drill that ends as if it had removed what it made, and did not, or the other way round."""
    plan, outcome = story.plan, story.result.outcome
    if plan is None or not plan.destroys or not story.entered(outcome, "execute") or CLEANUP in story.changed:
        return
    try:
        kept = read_document(Cleanup, story.contents[CLEANUP] or b"") if CLEANUP in story.contents else None
    except JsonError as error:
        yield f"{CLEANUP} is no record of a clean-up: {error}"
        return
    if outcome in VERIFIED and (kept is None or not kept.clean):
        yield f"{outcome}, and {CLEANUP} does not say that nothing is left"
    if outcome is S.NOT_CLEANED and kept is not None and kept.clean:
        yield f"{outcome}, and {CLEANUP} says that nothing is left"


def _settlement(story: Story) -> Iterator[str]:
    """Yield what a settlement says otherwise than what was approved."""
    about, said = story.plan.settles if story.plan is not None else None, json_object(story.contents.get("settlement.json")) or {}
    if not story.entered(S.SETTLED, "execute"):
        yield f"{S.SETTLED} is no word of execute: a good end is only ever its own"
    if about is None or (said.get("claim_id"), said.get("epoch"), said.get("serves")) != (about.claim_id, about.epoch, about.serves):
        yield "settlement.json is not what the plan settles"


def _figures(story: Story) -> Iterator[str]:
    """Yield figures of a recovery that do not follow from its events: seconds, and whether the objective was met; not their words."""
    kept = json_object(story.contents.get("objectives.json"))
    if kept is None or story.result.outcome not in RECOVERED or "objectives.json" in story.changed:
        return
    objective = story.plan.objective if story.plan is not None else None
    try:
        made = objectives(story.events, story.result, objective, story.approvals, probes=story.probes)
    except ValueError:
        yield "probes.json names a time of the newest data that is none"
        return
    figures = kept.get("figures")
    said = {name: each.get("seconds") for name, each in figures.items() if isinstance(each, dict)} if isinstance(figures, dict) else {}
    met = {name: judged.get("met") if isinstance(judged := kept.get(name), dict) else None for name in ("rto", "rpo")}
    drawn = {name: each["seconds"] for name, each in made["figures"].items()}
    if (said, met) != (drawn, {name: made[name]["met"] for name in met}):
        yield "objectives.json has other figures than the events"


def _record(data: Mapping[str, Any]) -> RefusalRecord | None:
    try:
        return RefusalRecord.model_validate(data)
    except ValidationError:
        return None
