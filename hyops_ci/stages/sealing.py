"""Seal a run: one result and one bundle, whatever happened (docs/design/architecture.md 3)."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from hyops_ci.config.settings import evidence_signer, host_key_path
from hyops_ci.contracts.base import moment, stamp
from hyops_ci.contracts.check import Check
from hyops_ci.contracts.decision import Decision
from hyops_ci.contracts.ledger import Claim
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import Result, State
from hyops_ci.errors import Refusal
from hyops_ci.evidence.bundle import BUNDLE, Sealed, Signer, seal
from hyops_ci.evidence.conclusions import (
    DATA_LOSS,
    OLD_SIDE,
    RECOVERED,
    VERIFIED,
    alarms_in,
    deploy_in,
    deviations_of,
    deviations_told,
    exit_code_of,
    gaps_besides,
    is_seen,
    is_stand_in,
    proven_by,
    refusal_of_deploy,
)
from hyops_ci.evidence.figures import RunWords, figures_of
from hyops_ci.evidence.objectives import UNASKED, objectives
from hyops_ci.evidence.recorder import read_chain
from hyops_ci.evidence.verify import verify
from hyops_ci.ledger.rules import MOVES, UNKNOWN
from hyops_ci.report.headline import HeadlineContext, headline
from hyops_ci.report.removal import left_words, production_words, removed_words
from hyops_ci.signing.dsse import load_host_key
from hyops_ci.signing.dsse import sign as sign_envelope
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.execution_state import ExecutionState
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.next_steps import Left, next_of
from hyops_ci.stages.planned_run import written_config
from hyops_ci.stages.runner import StageEnd
from hyops_ci.text import span


def seal_run(folder: RunDir, context: RunContext, end: StageEnd, execution: ExecutionState) -> Sealed:
    """Write the result of the run, and seal its folder into `<folder>/../evidence.tar`.

    What was sealed is verified before anybody relies on it: `problems` says what is wrong.
    """
    result = result_of(folder, context, end, execution)
    objective = execution.plan.objective if execution.plan else None
    measured = objectives(read_chain(folder.root), result, objective, execution.approvals, probes=probes_in(folder))
    folder.write_json("objectives.json", measured)
    if execution.plan is not None and execution.plan.settles is None:
        check = folder.read_model("check.json", Check) if folder.has("check.json") else None
        clean = execution.redactor.text if execution.redactor is not None else str
        words = RunWords(
            approvers=[each.approver.login for each in execution.approvals if each.verdict == "approve"],
            deviations=[clean(each) for each in result.deviations],
            cleaned=execution.cleanup.clean if execution.cleanup is not None else None,
        )
        execution.figures = figures_of(measured, execution.plan, check, words)
    if result.deviations:
        folder.write_json("deviations.json", list(result.deviations))
    sign, unsigned_why = signer_of(folder)
    folder.write_json("environment.json", environment_of(context) | {"signed": sign is not None, "unsigned_why": unsigned_why})
    if execution.redactor is not None:
        told = execution.redactor
        counts = {"counts": dict(told.counts), "too_short_to_hide": told.too_short, "words_of_the_plan": told.in_public}
        folder.write_json("redactions.json", counts)
    scrub = execution.redactor.bytes if execution.redactor is not None else None
    to, previous = bundle_path(folder), execution.previous_bundle
    sealed = seal(folder.root, result, to=to, clock=context.clock, previous_bundle=previous, scrub=scrub, sign=sign)
    return replace(sealed, problems=verify(sealed.path).problems)


def signer_of(folder: RunDir) -> tuple[Signer | None, str]:
    """Return the signer of the bundle, by the config; else why it is not signed. A key that cannot be used never prevents sealing."""
    config = written_config(folder)
    if config is None:
        return None, "no config was read"
    if (signer := evidence_signer(config)) != "host-key":
        return None, "no signer is configured (evidence.signer)" if signer == "none" else f"evidence.signer {signer}: only host-key signs"
    try:
        key = load_host_key(Path(host_key_path(config)))
    except Refusal as error:
        return None, f"the host's key cannot be used: {error.found}"
    return lambda payload, payload_type: sign_envelope(payload, payload_type, [key]), ""


def bundle_path(folder: RunDir) -> Path:
    """Return the path of the bundle of a run folder: beside it."""
    return folder.root.parent / BUNDLE


def result_of(folder: RunDir, context: RunContext, end: StageEnd, execution: ExecutionState) -> Result:
    """Return `result.json`: one document for people, outputs and the verifier, who draws it again from the documents of the folder.

    So what an earlier process of this run left there counts, too, where this one did not get that far.
    """
    events = list(read_chain(folder.root))
    decision = folder.read_model("decision.json", Decision) if folder.has("decision.json") else None
    check = folder.read_model("check.json", Check) if folder.has("check.json") else None
    claimed = any(event.kind == "transition" and event.name == State.CLAIMED for event in events)
    earlier = folder.read_model("claim.json", Claim) if claimed and folder.has("claim.json") else None
    claim, outcome = execution.claim or earlier, execution.outcome
    touched = execution.cleanup.touched() if execution.cleanup is not None else ()
    deployed = (*outcome.deviations, *touched) if outcome else deviations_told(events)
    deviations = deviations_of(check, (*deployed, *alarms_in(events)), claimed=claim is not None)
    probed = probes_in(folder)
    refusal = end.refusal or (refusal_of_deploy(end.state, deploy_in(events), execution.plan) if outcome else None)
    names = headline_context(folder, context, end, execution, len(deviations))
    now = stamp(context.clock.now())
    return Result(
        run_id=context.job.run_id,
        outcome=end.state,
        exit_code=exit_code_of(end.state, refusal),
        headline=headline(end.state, names, refusal),
        decision_id=decision.decision_id if decision else "",
        service=decision.service if decision else None,
        plan_digest=execution.plan.digest() if execution.plan else None,
        check_digest=check.digest() if check else None,
        claim_id=claim.claim_id if claim else "",
        epoch=claim.epoch if claim else None,
        started_at=events[0].at if events else now,
        ended_at=now,
        refusal=refusal,
        deviations=deviations,
        proven=execution.verification.proofs() if execution.verification else proven_by(probed),
        not_proven=not_proven_of(decision, execution) if end.state in VERIFIED else (),
        next=next_of(end.state, execution.plan, left_of(end.state, execution)),
        stand_in=is_stand_in(check),
    )


def probes_in(folder: RunDir) -> list[dict[str, Any]]:
    """Return what the probes saw, as far as they were asked."""
    found: list[dict[str, Any]] = folder.read_json("probes.json") if folder.has("probes.json") else []
    return found


def not_proven_of(decision: Decision | None, execution: ExecutionState) -> tuple[str, ...]:
    """Return what was not proven. To leave it out would read as proof."""
    results = execution.verification.results if execution.verification else ()
    whys = {
        OLD_SIDE: f"not confirmed by {decision.issuer.removeprefix('github:') if decision is not None else 'anybody'}",
        DATA_LOSS: next((each.newest_why for each in results if each.newest_why), UNASKED),
    }
    besides = gaps_besides(decision.document() if decision is not None else {}, [each.document() for each in results])
    gaps = execution.verification.gaps() if execution.verification else ("the service answers (verification did not run)",)
    return (*gaps, *(f"{gap} ({whys[gap]})" for gap in besides))


def left_of(state: State, execution: ExecutionState) -> Left:
    """Return what the run left: a real move that nobody has seen keeps the lock, as a commit step does whose run did not end well."""
    plan, past = execution.plan, execution.past_no_return
    moves = plan is not None and not plan.exercise and plan.decision_type in MOVES
    unseen = moves and (state is State.NOT_PROVEN or (state in RECOVERED and bool(unseen_why(execution))))
    kept = unseen or state in UNKNOWN or (past and state not in RECOVERED)
    return Left(kept, past, execution.at_work, execution.last_word)


def unseen_why(execution: ExecutionState) -> str:
    """Return why nothing but HyOps' word says that the service serves from its new site; empty where something does."""
    if execution.plan is None or is_seen(execution.plan, execution.proofs):
        return ""
    missing = [] if execution.proofs else ["no probe has seen it"]
    return " and ".join(missing + ([] if execution.plan.point_of_no_return else ["no step moves clients"]))


def headline_context(folder: RunDir, context: RunContext, end: StageEnd, execution: ExecutionState, deviations: int) -> HeadlineContext:
    """Return what the headline names."""
    plan, now = execution.plan, context.clock.now()
    reached = execution.outcome.reached if execution.outcome else None
    step = ""
    if plan is not None and reached is not None and not execution.done:
        ids = [each.id for each in plan.steps]
        step = f"{ids.index(reached.id) + 1}/{len(ids)} {reached.id}"
        step += f" {reached.status} after {_took(folder, reached.id)}" if end.state is State.FAILED and reached.status else ""
    return HeadlineContext(
        service=plan.service if plan else "",
        source_site=plan.source_site if plan else "",
        target_site=plan.target_site if plan else "",
        at=_until(end) or f"{now:%H:%M:%SZ}",
        by=_by(end),
        step=step,
        past_no_return=execution.past_no_return,
        kept=left_of(end.state, execution).kept,
        unseen=unseen_why(execution) if end.state in RECOVERED else "",
        done=execution.done,
        deviations=deviations,
        exercise=plan.exercise or "" if plan else "",
        removed=removed_words(execution.cleanup),
        left=left_words(execution.cleanup),
        restored=_restored(folder, plan, now) if execution.cleanup is not None else "",
        production=production_words(execution.cleanup),
        settles=plan.settles.serves if plan and plan.settles else "",
    )


def _restored(folder: RunDir, plan: Plan | None, now: datetime) -> str:
    """Return how long a drill took, from its request, and which restore point it proved."""
    events = read_chain(folder.root)
    began = next((moment(event.at) for event in events), now)
    restores = plan is not None and any(step.restores for step in plan.steps)
    return f"{span((now - began).total_seconds())}: " + (
        f"restored {plan.restore_point}" if plan is not None and restores else "nothing restored"
    )


def _until(end: StageEnd) -> str:
    """Return when the time for an approval ended, from the refusal that names it."""
    said = re.match(r"valid until (\S+Z)", end.refusal.found) if end.refusal is not None and end.state is State.EXPIRED else None
    return f"{moment(said[1]):%H:%MZ}" if said else ""


def _by(end: StageEnd) -> str:
    """Return who denied, or which run holds the lock, from the refusal that names it."""
    if end.refusal is None:
        return ""
    words = (end.refusal.reason if end.state is State.DENIED else end.refusal.found).replace(";", " ").split()
    marker = "by" if end.state is State.DENIED else "run"
    return words[words.index(marker) + 1] if marker in words[:-1] else ""


def _took(folder: RunDir, step: str) -> str:
    last = [
        event.data for event in read_chain(folder.root) if event.kind == "note" and event.name == "step" and event.data.get("step") == step
    ]
    total = int(last[-1].get("seconds", 0)) if last else 0
    return span(total)


def environment_of(context: RunContext) -> dict[str, Any]:
    """Return facts of the job and host that an auditor asks for."""
    from hyops_ci import __version__

    job = context.job
    return {
        "tool_version": __version__,
        "repository": job.repository,
        "repository_id": job.repository_id,
        "run_url": job.url,
        "workflow_ref": job.workflow_ref,
        "workflow_sha": job.workflow_sha,
        "host_trust": context.trust is not None,
    }
