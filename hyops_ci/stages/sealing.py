"""How every run ends: one result, one sealed bundle, whatever happened (docs/design/architecture.md 3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from hyops_ci.config.file import read_config
from hyops_ci.contracts.approval import Approval
from hyops_ci.contracts.base import moment, seconds, stamp
from hyops_ci.contracts.check import Check
from hyops_ci.contracts.decision import Decision
from hyops_ci.contracts.ledger import Claim, Tip
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import EXIT_OF, RefusalRecord, Result, State
from hyops_ci.errors import Refusal
from hyops_ci.evidence.bundle import Sealed, Signer, seal
from hyops_ci.evidence.objectives import objectives
from hyops_ci.evidence.recorder import read_chain
from hyops_ci.execution.outcome import Outcome
from hyops_ci.execution.verification import Verification
from hyops_ci.redaction import Redactor
from hyops_ci.report.headline import Scene, exit_code_of, headline
from hyops_ci.signing.dsse import load_key
from hyops_ci.signing.dsse import sign as sign_envelope
from hyops_ci.stages.context import World
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.runner import StageEnd
from hyops_ci.text import span

BUNDLE = "evidence.tar"


@dataclass(frozen=True)
class Ending:
    """What is known of how a run ended, besides its folder. Absent where it never got that far."""

    plan: Plan | None = None
    act_claim: Claim | None = None
    outcome: Outcome | None = None
    verification: Verification | None = None
    approvals: tuple[Approval, ...] = ()
    redactor: Redactor | None = None
    previous: Tip | None = None


def seal_run(run: RunDir, world: World, end: StageEnd, ending: Ending) -> Sealed:
    """Write what the run came to, and seal it into `<folder>/../evidence.tar`."""
    result = result_of(run, world, end, ending)
    objective = ending.plan.objective if ending.plan else None
    run.write_json("objectives.json", objectives(read_chain(run.root), result, objective, ending.approvals))
    if result.deviations:
        run.write_json("deviations.json", list(result.deviations))
    sign, unsigned_why = signer_of(run)
    run.write_json("environment.json", environment_of(world) | {"signed": sign is not None, "unsigned_why": unsigned_why})
    if ending.redactor is not None:
        run.write_json("redactions.json", {"counts": dict(ending.redactor.counts), "too_short_to_hide": ending.redactor.too_short})
    scrub = ending.redactor.bytes if ending.redactor is not None else None
    previous = ending.previous.bundle_sha256 if ending.previous is not None else None
    return seal(run.root, result, to=bundle_path(run), clock=world.clock, previous_bundle=previous, scrub=scrub, sign=sign)


def signer_of(run: RunDir) -> tuple[Signer | None, str]:
    """Who signs the bundle, by the config; else why nobody does. A key that cannot be used never keeps a run from being sealed."""
    if not run.has("sources/config"):
        return None, "no config was read"
    policy = read_config(run.read("sources/config"))[0].evidence
    if policy.signer == "none":
        return None, "no signer is configured (evidence.signer)"
    if policy.signer != "host-key" or not policy.key:
        return None, f"evidence.signer {policy.signer}: only host-key with a key file signs in this release"
    try:
        key = load_key(Path(policy.key))
    except Refusal as error:
        return None, f"the host's key cannot be used: {error.found}"
    return lambda payload, payload_type: sign_envelope(payload, payload_type, [key]), ""


def bundle_path(run: RunDir) -> Path:
    """Where the bundle of a run folder lies: beside it."""
    return run.root.parent / BUNDLE


def result_of(run: RunDir, world: World, end: StageEnd, ending: Ending) -> Result:
    """`result.json`: one document for people, outputs and the verifier."""
    events = list(read_chain(run.root))
    decision = run.read_model("decision.json", Decision) if run.has("decision.json") else None
    check = run.read_model("check.json", Check) if run.has("check.json") else None
    deviations = deviations_of(check, ending)
    refusal = end.refusal or _outcome_refusal(end.state, ending)
    scene = scene_of(run, world, end, ending)
    now = stamp(world.clock.now())
    return Result(
        run_id=world.job.run_id,
        outcome=end.state,
        exit_code=exit_code_of(end.state, refusal),
        headline=headline(end.state, scene, refusal, len(deviations)),
        decision_id=decision.decision_id if decision else "",
        service=decision.service if decision else None,
        plan_digest=ending.plan.digest() if ending.plan else None,
        check_digest=check.digest() if check else None,
        claim_id=ending.act_claim.claim_id if ending.act_claim else "",
        epoch=ending.act_claim.epoch if ending.act_claim else None,
        started_at=events[0].at if events else now,
        ended_at=now,
        refusal=refusal,
        deviations=deviations,
        proven=ending.verification.proofs() if ending.verification else (),
        not_proven=not_proven_of(decision, ending) if end.state in (State.COMPLETED, State.COMPLETED_WITH_EXCEPTIONS) else (),
        next=next_of(end.state, ending.plan),
        stand_in=bool(check and check.hyops_version.endswith("+stand.in")),
    )


def deviations_of(check: Check | None, ending: Ending) -> tuple[str, ...]:
    """Everything that let the run through and must be said."""
    return (*(check.deviations if check and ending.act_claim else ()), *(ending.outcome.deviations if ending.outcome else ()))


def not_proven_of(decision: Decision | None, ending: Ending) -> tuple[str, ...]:
    """What nobody has shown. Silence would read as proof."""
    gaps = list(ending.verification.gaps()) if ending.verification else ["the service answers (verification did not run)"]
    if decision is not None and decision.old_primary == "not-confirmed":
        gaps.append(f"old side off (not confirmed by {decision.issuer.removeprefix('github:')})")
    return (*gaps, "data loss (no SQL probe set)")


def next_of(state: State, plan: Plan | None) -> tuple[str, ...]:
    """What a person does now."""
    if plan is None:
        return ()
    form = f"gh workflow run dr.yml -f service={plan.service}"
    match state:
        case State.COMPLETED | State.COMPLETED_WITH_EXCEPTIONS if plan.decision_type == "failover":
            return (f"keep {plan.source_site} fenced. Failback: {form} -f action=failback -f reason=...",)
        case State.FAILED | State.CANCELLED:
            return ("start a NEW run, do not re-run this one",)
        case State.INDETERMINATE:
            settle = f'hyops-ci ledger settle --service {plan.service} --serves <site> --reason "what you saw"'
            return (
                f"look which side serves {plan.service}: DNS of its endpoint, and pg_is_in_recovery() on both sides",
                f"then settle: {settle} --remote <repository> --config .github/dr-dispatch.yml --key <an approver's>",
            )
        case _:
            return ()


def scene_of(run: RunDir, world: World, end: StageEnd, ending: Ending) -> Scene:
    """The words of the headline."""
    plan, now = ending.plan, world.clock.now()
    reached = ending.outcome.reached if ending.outcome else None
    step = ""
    if plan is not None and reached is not None and end.state not in (State.COMPLETED, State.COMPLETED_WITH_EXCEPTIONS):
        ids = [each.id for each in plan.steps]
        step = f"{ids.index(reached.id) + 1}/{len(ids)} {reached.id}"
        step += f" {reached.status} after {_took(run, reached.id)}" if end.state is State.FAILED and reached.status else ""
    return Scene(
        service=plan.service if plan else "",
        source_site=plan.source_site if plan else "",
        target_site=plan.target_site if plan else "",
        at=_at(run, plan, end.state) or f"{now:%H:%M:%SZ}",
        by=_by(end),
        step=step,
        past_no_return=ending.outcome.past_no_return if ending.outcome else False,
    )


def _at(run: RunDir, plan: Plan | None, state: State) -> str:
    if state is State.EXPIRED and plan is not None and run.has("request.json"):
        until = moment(str(run.read_json("request.json")["requested_at"])) + timedelta(seconds=seconds(plan.approval.lifetime))
        return f"{until:%H:%MZ}"
    return ""


def _by(end: StageEnd) -> str:
    """Who denied, or which run holds the lock, from the refusal that says so."""
    if end.refusal is None:
        return ""
    words = (end.refusal.reason if end.state is State.DENIED else end.refusal.found).replace(";", " ").split()
    marker = "by" if end.state is State.DENIED else "run"
    return words[words.index(marker) + 1] if marker in words[:-1] else ""


def _took(run: RunDir, step: str) -> str:
    last = [
        event.data for event in read_chain(run.root) if event.kind == "note" and event.name == "step" and event.data.get("step") == step
    ]
    total = int(last[-1].get("seconds", 0)) if last else 0
    return span(total)


def _outcome_refusal(state: State, ending: Ending) -> RefusalRecord | None:
    """HyOps' own end, in the form of a refusal, so that one form tells every story."""
    if ending.outcome is None or state in (State.COMPLETED, State.COMPLETED_WITH_EXCEPTIONS):
        return None
    gate = {State.FAILED: "hyops.failed", State.CANCELLED: "hyops.cancelled"}.get(state, "hyops.unknown")
    return RefusalRecord(gate=gate, reason="; ".join(ending.outcome.reasons)[:400], exit_code=int(EXIT_OF[state]))


def environment_of(world: World) -> dict[str, Any]:
    """Facts of the place that an auditor asks for."""
    from hyops_ci import __version__

    job = world.job
    return {
        "tool_version": __version__,
        "repository": job.repository,
        "repository_id": job.repository_id,
        "run_url": job.url,
        "workflow_ref": job.workflow_ref,
        "workflow_sha": job.workflow_sha,
        "host_trust": world.trust is not None,
    }
