"""Plan: turn a decision into a plan, or refuse it. Needs no runner and no secret.

config under the host trust -> decision -> overlay -> secret names -> ledger -> gates -> plan
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hyops_ci.config.file import CONFIG_PATH
from hyops_ci.config.settings import action_for, data_home, lane_settings
from hyops_ci.contracts.base import moment, stamp
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.facts import PlanFacts
from hyops_ci.contracts.ledger import Tip
from hyops_ci.contracts.plan import Source
from hyops_ci.contracts.run import State
from hyops_ci.contracts.track_record import TRACK_RECORD, TrackRecord
from hyops_ci.dataclass import dataclass, field, replace
from hyops_ci.errors import Exit, Refusal
from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.intake.decision import Intake, read_decision, read_form
from hyops_ci.intake.form import Form
from hyops_ci.ledger.ledger import ClaimRequest
from hyops_ci.planning import planner
from hyops_ci.planning.case import run_gates
from hyops_ci.report.track_record import track_record_lines
from hyops_ci.stages.approval import GATE, keep_envelopes
from hyops_ci.stages.context import RunContext, ShiftedClock
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.host_key import vouched_ledger
from hyops_ci.stages.origin import DECISION, ORIGIN, Origin, decision_of, origin_of
from hyops_ci.stages.overdue import cancel_overdue
from hyops_ci.stages.plan.inputs import plan_facts, read_overlay, read_source, secret_refs, sibling_sources, with_bootstrap
from hyops_ci.stages.plan.standing import refuse_unsettled, standing_form
from hyops_ci.stages.planned_run import read_allowed, read_narrowed
from hyops_ci.stages.runner import StageEnd, run_stage
from hyops_ci.stages.track_record import Gathered, gather, known_at, track_record


@dataclass(frozen=True)
class Ask:
    """What to plan: a decision's bytes or a form, and the repository that config and overlays are read from."""

    repository: Path
    decision: bytes = field(default=b"", repr=False)
    form: Form = field(default_factory=Form)
    config_path: str = CONFIG_PATH
    approvals: str = field(default="", repr=False)
    """Signed answers that came with the decision, as JSON text."""
    resume: str = ""
    """Number of the run that waited for signatures and whose decision this run resumes."""
    bootstrap_reason: str = ""
    """Why the runner may be made where it is missing."""


def plan(ask: Ask, folder: RunDir, context: RunContext) -> StageEnd:
    """Plan what is asked; `folder` then holds decision, plan, sources and gates, or the refusal."""
    return run_stage("plan", folder, context, lambda part: _plan(part, ask, folder, context))


def _plan(part: PartRecorder, ask: Ask, folder: RunDir, context: RunContext) -> None:
    part.enter(State.RECEIVED, run_id=context.job.run_id, requesters=[login for login, _ in context.job.requesters])
    folder.write_json("job.json", job_facts(context))
    if ask.decision:  # kept before it is read: also what is refused is evidence
        folder.write(DECISION, ask.decision)
    config_bytes = read_source(ask.repository, ask.config_path)
    config = read_narrowed(config_bytes, ask.config_path, context)
    origin = origin_of(ask.resume, context)
    folder.write_model(ORIGIN, origin)
    allowed = read_allowed(config_bytes, ask.config_path, context)
    intake = take_in(replace(ask, form=standing_form(ask.form, allowed, context)), config, context, origin)
    keep_decision(folder, intake)
    keep_envelopes(ask.approvals, folder)
    part.note("intake", form=intake.form, source_sha256=intake.source_sha256, warnings=list(intake.warnings))
    if only := planner.recorded(intake.decision):
        part.note("recorded", reason=only.reason)
        part.enter(State.RECORDED, decision_id=only.decision_id)
        return
    overlay, blueprint, overlay_source = read_overlay(ask.repository, config, intake)
    refs, map_source, map_bytes = secret_refs(ask.repository, config, intake, blueprint)

    def ask_github() -> PlanFacts:
        cancel_overdue(config, caller_file(context), context)
        known = plan_facts(ask.repository, intake, config, origin, None, context)
        return with_bootstrap(known, ask.bootstrap_reason.strip(), config, context)

    with ThreadPoolExecutor(2) as beside:  # GitHub answers while git asks the ledger's remote
        asked, gathered = beside.submit(ask_github), beside.submit(gather, intake.decision.service, allowed, context)
        tip = ledger_position(intake, allowed, context)
    known = keep_track_record(tip, gathered.result(), allowed, folder, context)
    facts = asked.result().model_copy(update={"tip": tip, "readiness": known.readiness})
    if facts.gate is not None:
        folder.write_model(GATE, facts.gate)
    case = planner.case_of(intake.decision, config, blueprint, facts, secret_refs=refs, trust=context.trust, warnings=intake.warnings)
    answers = run_gates("plan", case)
    folder.write_json("gates.json", answers.document())
    for line in answers.also():
        context.say(line)
    contents = [
        (Source(role="config", path=ask.config_path, sha256=digest_bytes(config_bytes)), config_bytes),
        (overlay_source, overlay),
        (map_source, map_bytes),
        *sibling_sources(ask.repository, config, intake.decision),
    ]
    made = planner.plan(case, answers, digest_bytes(config_bytes), [source for source, _ in contents])
    for source, content in contents:
        folder.write(source.file, content)
    folder.write_model("plan.json", made)
    if context.github is not None:
        headroom = context.github.rate_limit
        part.note("github", calls=context.github.calls, remaining=headroom.remaining, limit=headroom.limit)
    left = folder.digests(TRACK_RECORD)
    part.enter(State.PLANNED, plan_digest=made.digest(), lane=made.lane, runner_ref=made.runner_ref, runs_on=list(made.runs_on), left=left)


def take_in(ask: Ask, config: DispatchConfig, context: RunContext, origin: Origin) -> Intake:
    """Return the decision from exactly one of its sources. Where it has no time, it was made when GitHub received it."""
    form, ways = ask.form, [bool(ask.decision), bool(ask.form.action), bool(ask.resume)]
    if sum(ways) != 1:
        raise Refusal(
            "intake.kind",
            "more than one decision" if sum(ways) else "neither a decision nor a form",
            exit_code=Exit.DECISION,
            found=f"action={form.action or 'empty'}, decision of {len(ask.decision)} bytes, resume={ask.resume or 'empty'}",
            expected="one of them",
            fix="gh workflow run dr.yml -f action=failover -f service=<name>/<env> -f reason=...",
        )
    if ask.resume:
        return read_decision(decision_of(origin, context), config=config, now=moment(origin.received_at))
    if ask.decision:
        return read_decision(ask.decision, config=config, now=context.clock.now(), received_at=moment(origin.received_at))
    job = context.job
    return read_form(form, repository_id=job.repository_id, run_id=job.run_id, login=job.actor, created_at=origin.received_at)


def keep_track_record(tip: Tip, found: Gathered, config: DispatchConfig, folder: RunDir, context: RunContext) -> TrackRecord:
    """Return what is known of the service, kept for the check, the approver and the report."""
    ledger = context.ledger(tip.service)
    known = track_record(tip, known_at(ledger.known or ledger.head(), ledger), found, config, context.judged_at())
    folder.write_model(TRACK_RECORD, known)
    for line in track_record_lines(known):
        context.say(line)
    return known


def keep_decision(folder: RunDir, intake: Intake) -> None:
    """Keep the bytes that came in, unless they are kept already, and the decision they were read as."""
    if not folder.has(DECISION):
        folder.write(DECISION, intake.source)
    folder.write_model("decision.json", intake.decision)


def ledger_position(intake: Intake, config: DispatchConfig, context: RunContext) -> Tip:
    """Return the ledger's tip. `config` is the reviewed one under the host's trust.

    Raises Refusal where the ledger already knows this incident, or forbids the move, or where nobody vouches for it.
    """
    decision = intake.decision
    ledger = vouched_ledger(config, decision.service, context)
    if decision.settles is not None:
        tip = ledger.tip()
        refuse_unsettled(tip, decision.settles, config, decision.service, context)
        return tip
    request = ClaimRequest(
        service=decision.service,
        decision_id=decision.decision_id,
        decision_type=decision.decision_type,
        drill=decision.exercise is not None,
        source_sha256=intake.source_sha256,
        decision_digest=decision.digest(),
        run_id=context.job.run_id,
        run_url=context.job.url,
        at=stamp(context.clock.now()),
        target_site=lane_settings(config, action_for(config, decision.service, decision.decision_type).lane).failure_domain,
        home_site=lane_settings(config, data_home(config, decision.service)).failure_domain,
    )
    return ledger.look(request)


def caller_file(context: RunContext) -> str:
    """Return the name of the caller's workflow file; empty where the job does not name it."""
    return context.job.workflow_ref.partition("@")[0].rpartition("/")[2]


def job_facts(context: RunContext) -> dict[str, object]:
    """Return who asked and where this runs: facts of GitHub for the evidence."""
    job = context.job
    names = (
        "run_id",
        "attempt",
        "repository",
        "repository_id",
        "actor",
        "actor_id",
        "triggering_actor",
        "event",
        "ref",
        "sha",
        "workflow_ref",
    )
    shifted = {"judged_as_if_at": stamp(context.clock.start)} if isinstance(context.clock, ShiftedClock) else {}
    return {name: getattr(job, name) for name in names} | {"requested_at": stamp(context.clock.now()), "url": job.url} | shifted
