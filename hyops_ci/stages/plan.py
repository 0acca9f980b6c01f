"""Plan: a decision in, a plan or a refusal out. Needs no runner and no secret.

config under the host trust -> decision -> overlay -> secret names -> ledger -> gates -> plan
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hyops_ci.blueprints.reading import read_blueprint
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.facts import EffectiveBlueprint, PlanFacts, RefFact
from hyops_ci.contracts.ledger import Tip
from hyops_ci.contracts.plan import Plan, SecretRef, Source
from hyops_ci.contracts.run import State
from hyops_ci.errors import Exit, Refusal
from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.intake.config_file import CONFIG_PATH, read_config
from hyops_ci.intake.decision import Intake, read_decision, read_form
from hyops_ci.intake.strict_yaml import read_yaml
from hyops_ci.ledger.ledger import ClaimRequest
from hyops_ci.planning import planner
from hyops_ci.planning.settings import action_for, data_home, overlay_path
from hyops_ci.planning.trust import narrow
from hyops_ci.secrets.map import builtin_bytes, builtin_map, read_map, refs_for
from hyops_ci.stages.asking import keep_envelopes
from hyops_ci.stages.clock import ShiftedClock
from hyops_ci.stages.part import StageEnd, run_stage
from hyops_ci.stages.rundir import RunDir
from hyops_ci.stages.world import World

MAX_SOURCE = 1024 * 1024


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


def plan(ask: Ask, run: RunDir, world: World) -> StageEnd:
    """Tell the story; `run` then holds decision, plan, sources and gates, or the refusal."""

    def story(part: PartRecorder) -> None:
        part.enter(State.RECEIVED, run_id=world.job.run_id, requesters=[login for login, _ in world.job.requesters])
        run.write_json("job.json", job_facts(world))
        if ask.decision:
            run.write("decision.raw", ask.decision)
        config_bytes = read_source(ask.repository, ask.config_path)
        config = under_host(read_config(config_bytes, ask.config_path)[0], world)
        intake = take_in(ask, config, world)
        keep_decision(run, intake)
        keep_envelopes(ask.approvals, run)
        part.note("intake", form=intake.form, source_sha256=intake.source_sha256, warnings=list(intake.warnings))
        if only := planner.recorded(intake.decision):
            part.note("recorded", reason=only.reason)
            part.enter(State.RECORDED, decision_id=only.decision_id)
            return
        overlay, blueprint, overlay_source = read_overlay(ask, config, intake)
        refs, map_source, map_bytes = secret_refs(ask, config, intake, blueprint)
        tip = ledger_position(intake, config, world)
        facts = PlanFacts(now=world.clock.now(), ref=ref_fact(world), tip=tip)
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
        part.enter(State.PLANNED, plan_digest=made.digest(), lane=made.lane, runner_ref=made.runner_ref, runs_on=list(made.runs_on))

    return run_stage("plan", run, world, story)


def under_host(config: DispatchConfig, world: World) -> DispatchConfig:
    """The config as far as this host allows it, with the quorum that this world demands. Raises Refusal (exit 4) for a looser one."""
    known = narrow(config, world.trust) if world.trust is not None else config
    if known.approvals.quorum >= world.min_quorum:
        return known
    return known.model_copy(update={"approvals": known.approvals.model_copy(update={"quorum": world.min_quorum})})


def take_in(ask: Ask, config: DispatchConfig, world: World) -> Intake:
    """The decision, from exactly one of the two ways in."""
    form, job = ask.form, world.job
    if bool(ask.decision) == bool(form.action):
        raise Refusal(
            "intake.kind",
            "a decision and a form together" if ask.decision else "neither a decision nor a form",
            exit_code=Exit.DECISION,
            found=f"action={form.action or 'empty'}, decision of {len(ask.decision)} bytes",
            expected="one of the two",
            fix="gh workflow run dr.yml -f action=failover -f service=<name>/<env> -f reason=...",
        )
    if ask.decision:
        return read_decision(ask.decision, config=config, now=world.clock.now())
    return read_form(
        action=form.action,
        service=form.service,
        reason=form.reason,
        restore=form.restore,
        old_primary=form.old_primary,
        repository_id=job.repository_id,
        run_id=job.run_id,
        login=job.actor,
        created_at=stamp(world.clock.now().replace(microsecond=0)),
    )


def keep_decision(run: RunDir, intake: Intake) -> None:
    """The bytes that came in, and the decision they were read as."""
    run.write("decision.raw", intake.source)
    run.write_model("decision.json", intake.decision)


def read_source(repository: Path, path: str) -> bytes:
    """A file of the repository. Raises Refusal (exit 2) for one outside it, absent, or too large."""
    root = repository.resolve()
    target = (root / path).resolve()
    found = ""
    if not target.is_relative_to(root):
        found = f"{path} leads out of the repository"
    elif ".git" in target.relative_to(root).parts:
        found = f"{path} is Git's own: it may hold a token"
    elif not target.is_file():
        found = f"{path} is not there"
    elif target.stat().st_size > MAX_SOURCE:
        found = f"{path} has {target.stat().st_size} bytes"
    if found:
        raise Refusal(
            "config.file",
            "a file that the plan is made of cannot be read",
            exit_code=Exit.USAGE,
            found=found,
            expected=f"a file of at most {MAX_SOURCE} bytes inside the repository",
            fix="commit it (docs/adopt.md), then a new run",
        )
    return target.read_bytes()


def read_overlay(ask: Ask, config: DispatchConfig, intake: Intake) -> tuple[bytes, EffectiveBlueprint, Source]:
    """The overlay of the decision's service and type, as committed."""
    decision = intake.decision
    action = action_for(config, decision.service, decision.decision_type)
    path = overlay_path(decision.service, action)
    content = read_source(ask.repository, path)
    blueprint = read_blueprint(read_yaml(content, path), digest_bytes(content))
    return content, blueprint, Source(role="overlay", path=path, sha256=digest_bytes(content))


def secret_refs(
    ask: Ask, config: DispatchConfig, intake: Intake, blueprint: EffectiveBlueprint
) -> tuple[tuple[SecretRef, ...], Source, bytes]:
    """Where each name that the blueprint needs lies at the authority. Names only."""
    vault = config.vault
    path = vault.secret_map if vault else None
    content = read_source(ask.repository, path) if path else builtin_bytes()
    mount = vault.mount if vault else "secret"
    known = read_map(content, path) if path else builtin_map(mount)
    env = intake.decision.service.partition("/")[2]
    profiles = vault.profiles if vault else ("dr", "shared")
    refs = refs_for(known, env, profiles, blueprint.required_env(), mount)
    return refs, Source(role="secret_map", path=path or "builtin.csv", sha256=digest_bytes(content)), content


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
        target_site=action_for(config, decision.service, decision.decision_type).lane,
        home_site=data_home(config, decision.service),
    )
    return ledger.look(request)


def ref_fact(world: World) -> RefFact:
    """The commit that config and overlay were read at, as GitHub says it."""
    job = world.job
    if not job.on_github:
        return RefFact(local=True)
    default = bool(job.default_branch) and job.ref == f"refs/heads/{job.default_branch}"
    return RefFact(commit=job.sha, ref=job.ref, default_branch=default, protected=job.ref_protected)


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
