"""Plan: a decision in, a plan or a refusal out. Needs no runner and no secret.

config under the host trust -> decision -> overlay -> secret names -> ledger -> gates -> plan
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hyops_ci.config.file import CONFIG_PATH, read_config
from hyops_ci.config.host_trust import narrow
from hyops_ci.config.settings import action_for, data_home, lane_settings
from hyops_ci.contracts.base import moment, stamp
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.ledger import Tip
from hyops_ci.contracts.plan import Plan, Source
from hyops_ci.contracts.run import State
from hyops_ci.errors import Exit, Refusal
from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.intake.decision import Intake, read_decision, read_form
from hyops_ci.ledger.ledger import ClaimRequest
from hyops_ci.planning import planner
from hyops_ci.stages.approval import GATE, keep_envelopes
from hyops_ci.stages.context import ShiftedClock, World
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.origin import ORIGIN, Origin, decision_of, origin_of
from hyops_ci.stages.plan.inputs import plan_facts, read_overlay, read_source, secret_refs
from hyops_ci.stages.plan.overdue import end_overdue
from hyops_ci.stages.runner import StageEnd, run_stage


@dataclass(frozen=True)
class Form:
    """What a person typed."""

    action: str = ""
    service: str = ""
    reason: str = ""
    restore: str = "latest"
    old_primary: str = "not-confirmed"


@dataclass(frozen=True)
class Ask:
    """What is to be planned: a decision's bytes or a form, and the repository that config and overlays are read from."""

    repository: Path
    decision: bytes = field(default=b"", repr=False)
    form: Form = Form()
    config_path: str = CONFIG_PATH
    approvals: str = field(default="", repr=False)
    """Signed answers that came with the decision, as JSON text."""
    resume: str = ""
    """Number of the run that waited for signatures, whose decision this run carries on."""


def plan(ask: Ask, run: RunDir, world: World) -> StageEnd:
    """Tell the story; `run` then holds decision, plan, sources and gates, or the refusal."""

    def story(part: PartRecorder) -> None:
        part.enter(State.RECEIVED, run_id=world.job.run_id, requesters=[login for login, _ in world.job.requesters])
        run.write_json("job.json", job_facts(world))
        if ask.decision:
            run.write("decision.raw", ask.decision)
        config_bytes = read_source(ask.repository, ask.config_path)
        config = under_host(read_config(config_bytes, ask.config_path)[0], world)
        end_overdue(config, caller_file(world), world)
        origin = origin_of(ask.resume, world)
        run.write_model(ORIGIN, origin)
        intake = take_in(ask, config, world, origin)
        keep_decision(run, intake)
        keep_envelopes(ask.approvals, run)
        part.note("intake", form=intake.form, source_sha256=intake.source_sha256, warnings=list(intake.warnings))
        if only := planner.recorded(intake.decision):
            part.note("recorded", reason=only.reason)
            part.enter(State.RECORDED, decision_id=only.decision_id)
            return
        overlay, blueprint, overlay_source = read_overlay(ask.repository, config, intake)
        refs, map_source, map_bytes = secret_refs(ask.repository, config, intake, blueprint)
        tip = ledger_position(intake, config, world)
        facts = plan_facts(ask.repository, intake, config, origin, tip, world)
        if facts.gate is not None:
            run.write_model(GATE, facts.gate)
        answers = planner.gates(intake.decision, config, blueprint, facts, secret_refs=refs, trust=world.trust)
        run.write_json("gates.json", answers.document())
        sources = (Source(role="config", path=ask.config_path, sha256=digest_bytes(config_bytes)), overlay_source, map_source)
        made = planner.plan(
            intake.decision,
            config,
            blueprint,
            facts,
            config_digest=digest_bytes(config_bytes),
            sources=sources,
            secret_refs=refs,
            trust=world.trust,
        )
        assert isinstance(made, Plan)  # noqa: S101 - what is only recorded has returned above
        for source, content in zip(sources, (config_bytes, overlay, map_bytes), strict=True):
            run.write(f"sources/{source.role}", content)
        run.write_model("plan.json", made)
        if world.github is not None:
            part.note("github", calls=world.github.calls, remaining=world.github.headroom.remaining, limit=world.github.headroom.limit)
        part.enter(State.PLANNED, plan_digest=made.digest(), lane=made.lane, runner_ref=made.runner_ref, runs_on=list(made.runs_on))

    return run_stage("plan", run, world, story)


def under_host(config: DispatchConfig, world: World) -> DispatchConfig:
    """The config as far as this host allows it, with the quorum that this world demands. Raises Refusal (exit 4) for a looser one."""
    known = narrow(config, world.trust) if world.trust is not None else config
    if known.approvals.quorum >= world.min_quorum:
        return known
    return known.model_copy(update={"approvals": known.approvals.model_copy(update={"quorum": world.min_quorum})})


def take_in(ask: Ask, config: DispatchConfig, world: World, origin: Origin) -> Intake:
    """The decision, from exactly one of the ways in. What it lacks in time is the time at which GitHub received it."""
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
        return read_decision(decision_of(origin, world), config=config, now=moment(origin.received_at))
    if ask.decision:
        return read_decision(ask.decision, config=config, now=world.clock.now(), received_at=moment(origin.received_at))
    return read_form(
        action=form.action,
        service=form.service,
        reason=form.reason,
        restore=form.restore,
        old_primary=form.old_primary,
        repository_id=world.job.repository_id,
        run_id=world.job.run_id,
        login=world.job.actor,
        created_at=origin.received_at,
    )


def keep_decision(run: RunDir, intake: Intake) -> None:
    """The bytes that came in, and the decision they were read as."""
    run.write("decision.raw", intake.source)
    run.write_model("decision.json", intake.decision)


def ledger_position(intake: Intake, config: DispatchConfig, world: World) -> Tip:
    """Where the service stands. Raises Refusal where the ledger already knows this incident, or forbids the move."""
    decision = intake.decision
    ledger = world.ledger(decision.service)
    request = ClaimRequest(
        service=decision.service,
        decision_id=decision.decision_id,
        decision_type=decision.decision_type,
        drill=decision.exercise is not None,
        source_sha256=intake.source_sha256,
        decision_digest=decision.digest(),
        run_id=world.job.run_id,
        run_url=world.job.url,
        at=stamp(world.clock.now()),
        target_site=lane_settings(config, action_for(config, decision.service, decision.decision_type).lane).failure_domain,
        home_site=lane_settings(config, data_home(config, decision.service)).failure_domain,
    )
    return ledger.look(request)


def caller_file(world: World) -> str:
    """Name of the caller's workflow file; empty where the job does not say."""
    return world.job.workflow_ref.partition("@")[0].rpartition("/")[2]


def job_facts(world: World) -> dict[str, object]:
    """Who asked, and where this runs: facts of GitHub for the evidence."""
    job = world.job
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
    shifted = {"judged_as_if_at": stamp(world.clock.start)} if isinstance(world.clock, ShiftedClock) else {}
    return {name: getattr(job, name) for name in names} | {"requested_at": stamp(world.clock.now()), "url": job.url} | shifted
