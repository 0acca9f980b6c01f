"""Doctor: would a recovery start now, asked on the host and by hand (docs/design/texts.md 6). Changes nothing, reads no secret value.

Every question is asked even where an earlier one was refused, so that all findings are reported at once.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from hyops_ci.config.explain import explain
from hyops_ci.config.file import CONFIG_PATH, TRUST_FILE, read_config
from hyops_ci.config.settings import action_for, lane_settings
from hyops_ci.contracts.authorities import AUTHORITIES
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.facts import CheckFacts, PlanFacts
from hyops_ci.contracts.ledger import Tip
from hyops_ci.contracts.plan import Plan, Source
from hyops_ci.contracts.track_record import TrackRecord
from hyops_ci.errors import DispatchError, Fault, Refusal
from hyops_ci.execution.command import Runtime
from hyops_ci.execution.kept_journals import RUNS, at_work, last_word
from hyops_ci.github.api.client import Client
from hyops_ci.intake.decision import Intake
from hyops_ci.intake.form import Form
from hyops_ci.ledger.git_rejections import TOKEN
from hyops_ci.ledger.vouched_history import vouched_tips
from hyops_ci.operations.doctor.report import Diagnosis, drill_line, host_lines, lock_line, note_of, past_lines, probe_line, runner_lines
from hyops_ci.operations.doctor.surroundings import surroundings
from hyops_ci.operations.prepare.environment import prepared_state
from hyops_ci.planning import planner
from hyops_ci.planning.case import CheckCase, GateResults, PlanCase, run_gates
from hyops_ci.planning.needs import SeenFrom
from hyops_ci.secrets.port import Purpose
from hyops_ci.secrets.sync import check_names
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.host_key import vouched_ledger
from hyops_ci.stages.origin import Origin, local_origin
from hyops_ci.stages.plan.inputs import plan_facts, read_overlay, read_source, secret_refs
from hyops_ci.stages.plan.stage import Ask, keep_decision, ledger_position, take_in
from hyops_ci.stages.planned_run import allowed, narrowed, planned_run
from hyops_ci.stages.preview import authority_of, look
from hyops_ci.stages.track_record import gather, known_at, track_record
from hyops_ci.stages.watch.queue import Presence
from hyops_ci.stages.watch.runner_status import runner_status

NO_GITHUB = "not asked: set GH_TOKEN and GH_REPO, or hyops-ci environment check"

NO_BRANCH = "its branch was not looked at: set GH_TOKEN and GH_REPO. Without host trust hyops-ci run is refused here (config.ref)"


def doctor(
    service: str,
    action: str,
    repository: Path,
    world: RunContext,
    *,
    restore: str = "latest",
    old_primary: str = "",
    runners: Client | None = None,
) -> Diagnosis:
    """Ask everything that plan and check would ask about `service`, in a run's folder that is gone afterwards.

    `runners`: GitHub with a token that may list runners, where there is one.
    """
    report = Diagnosis(action, service)
    with tempfile.TemporaryDirectory(prefix="dr-doctor-") as folder:
        memory = _memory(world.state_dir, Path(folder) / "memory")
        here = replace(world, state_dir=memory, chosen={})
        ask = Ask(repository, form=Form(action, service, "a look by hand", restore, old_primary))
        _diagnose(report, ask, RunDir(Path(folder) / "run"), here, runners)
        report.rename(str(memory), str(world.state_dir))
    report.add_unseen("what is said above comes first")
    return report


def _diagnose(report: Diagnosis, ask: Ask, run: RunDir, world: RunContext, runners: Client | None) -> None:
    content = report.ask("config", lambda: read_source(ask.repository, ask.config_path))
    said = report.ask("config", lambda: read_config(content or b"", CONFIG_PATH)) if content is not None else None
    here = report.ask("host", lambda: narrowed(said[0], world)) if said is not None else None
    config = here or said[0] if said is not None else None
    origin = local_origin(world)
    intake = report.ask("config", lambda: _taken(ask, config, world, origin)) if config is not None else None
    if content is None or said is None or config is None or intake is None:
        return
    keep_decision(run, intake)
    found = report.ask("overlay", lambda: read_overlay(ask.repository, config, intake))
    refs = report.ask("secrets", lambda: secret_refs(ask.repository, config, intake, found[1])) if found else None
    tip, known = _ledger(report, intake, allowed(said[0], world) if here is not None else said[0], world)
    if found is not None and refs is not None:
        overlay, blueprint, overlay_source = found

        def facts_in(context: RunContext) -> PlanFacts:
            found = plan_facts(ask.repository, intake, config, origin, tip, context)
            return found.model_copy(update={"readiness": known.readiness if known is not None else None})

        # Where GitHub does not answer, that is the answer, and the rest is asked without it.
        facts = report.ask("gate", lambda: facts_in(world)) or facts_in(replace(world, github=None))
        case = planner.case_of(intake.decision, config, blueprint, facts, secret_refs=refs[0], trust=world.trust, warnings=intake.warnings)
        sources = (Source(role="config", path=ask.config_path, sha256=digest_bytes(content)), overlay_source, refs[1])
        for source, data in zip(sources, (content, overlay, refs[2]), strict=True):
            run.write(source.file, data)
        _planned(report, case, sources, run, world)
    report.add_ok("config", _written(content, config))
    _standing(report, intake, config, runners, world)


def _taken(ask: Ask, config: DispatchConfig | None, world: RunContext, origin: Origin) -> Intake:
    """Return the decision of this look, for a service that the config knows."""
    assert config is not None  # noqa: S101 - asked with one only
    intake = take_in(ask, config, world, origin)
    action_for(config, intake.decision.service, intake.decision.decision_type)
    return intake


def _ledger(report: Diagnosis, intake: Intake, config: DispatchConfig, world: RunContext) -> tuple[Tip | None, TrackRecord | None]:
    """Return where the service is, whether it may move from there, and what is known of its past."""

    def position() -> Tip | None:
        try:
            return ledger_position(intake, config, world)
        except Refusal as refusal:
            if refusal.gate != TOKEN or world.ledger_token or not world.ledger_remote.startswith("https://"):
                raise
            report.add_unseen(f"{refusal.reason}: {refusal.fix}", SeenFrom.LEDGER)
            return None

    known = None
    tip = report.ask("lock", position)
    if "lock" in report.unseen:
        return None, None
    if tip is not None:
        lock_line(report, tip)
        if tip.claim is not None and (said := last_word(world.state_dir, tip.claim.run_id)):
            report.add_ok("last run", said, warn=at_work(world.state_dir, tip.claim.run_id) is True)
    elif isinstance(report.refused[-1], Fault):
        return None, None  # it does not answer: waited for once
    with suppress(DispatchError):  # the line of the lock says why there is none to read
        ledger = vouched_ledger(config, report.service, world)
        head = ledger.head()
        known = track_record(head.tip, known_at(head, ledger), gather(report.service, config, world), config, world.clock.now())
        past_lines(report, known)
        drill_line(report, vouched_tips(head, ledger.vouchers), world.clock.now())
    return tip, known


def _planned(report: Diagnosis, case: PlanCase, sources: tuple[Source, ...], run: RunDir, world: RunContext) -> None:
    """What the gates of the plan say and, where it can be drawn, those of the check."""
    answers = run_gates("plan", case)
    if case.facts.gate is None and case.config.approvals.channels == ("environment",):
        answers = _without(answers, "approval.gate")
        report.add_ok("gate", NO_GITHUB, warn=True)
    if case.facts.ref.local and any(each.gate == "config.ref" for each in answers.refused):
        answers = _without(answers, "config.ref")  # a run on GitHub knows its branch; this look does not
        report.add("warn", "config", NO_BRANCH)
        report.unseen.append("the config's branch")
    report.add_answers(answers)
    for topic in ("gate", "vault"):
        report.add_ok(topic, note_of(answers, topic) or "as demanded")
    plan = report.ask("config", lambda: planner.assemble(case, sources[0].sha256, sources, answers.passed))
    if plan is not None:
        _checked(report, plan, run, world)
    else:
        report.add_ok("overlay", "0 CHANGE_ME inputs, guards closed; not compared with a runner")


def _checked(report: Diagnosis, plan: Plan, run: RunDir, world: RunContext) -> None:
    """What this host says. The names at the authority are asked apart: a host without a job's identity may not ask."""
    probe_line(report, plan)
    required = [ref.key for ref in plan.secrets.refs]
    names = dict.fromkeys(required, True)
    if not is_runner(plan, world):
        report.add_ok("overlay", "0 CHANGE_ME inputs, guards closed; not compared with a runner")
        report.add_unseen(
            f"this is no runner's host (no {TRUST_FILE}, no {plan.hyops}, no env); ask on {plan.runner_ref}",
            SeenFrom.RUNNER,
            SeenFrom.AUTHORITY,
        )
        return
    for finding in surroundings(world.environ, plan):
        report.add("ok" if finding.good else "warn", "system", finding.text)
    planned = report.ask("host", lambda: planned_run(plan, run, world))
    if planned is None:
        report.add_ok("overlay", "0 CHANGE_ME inputs, guards closed; not compared with this host")
        return
    if world.token_for is None and AUTHORITIES[plan.secrets.kind].remote:
        report.add_ok(
            "secrets", f"{len(required)} names, not asked: only a job of the pinned workflow may (action check on GitHub)", warn=True
        )
    else:
        asked = report.ask("secrets", lambda: check_names(plan.secrets, authority_of(planned, Purpose.CHECK), required))
        names = names if asked is None else asked
    facts: CheckFacts | None = report.ask("hyops", lambda: look(planned, known_names=names))
    if facts is None:
        report.add_ok("overlay", "0 CHANGE_ME inputs, guards closed; not compared with this host")
        return
    answers = run_gates("check", CheckCase(plan, facts))
    report.add_answers(answers)
    report.add_ok("secrets", f"{sum(names.values())} of {len(required)} names, values not read")
    runner_lines(report, plan, facts)
    host_lines(report, prepared_state())


def is_runner(plan: Plan, world: RunContext) -> bool:
    """Return whether anything here says that this is a host where recoveries run: from any other nothing of it can be known."""
    runtime = Runtime.of(plan, world.home)
    return world.trust is not None or runtime.hyops.exists() or runtime.root.exists()


def _standing(report: Diagnosis, intake: Intake, config: DispatchConfig, runners: Client | None, world: RunContext) -> None:
    """What GitHub shows of the lane's runner, where there is a token that may list runners."""
    if runners is None:
        return
    lane = lane_settings(config, action_for(config, intake.decision.service, intake.decision.decision_type).lane)
    seen = report.ask("runner", lambda: runner_status(lane, runners, world.clock.now()))
    if seen is None:
        return
    versions = " and ".join(dict.fromkeys(runner.version for runner in seen.runners or () if runner.version))
    report.add(
        "ok" if seen.presence in (Presence.ONLINE, Presence.BUSY) else "warn",
        "runner",
        f"on GitHub: {seen.words}{f', agent {versions}' if versions else ''}",
    )
    for warning in seen.warnings:
        report.add("warn", "runner", warning)


def _written(content: bytes, config: DispatchConfig) -> str:
    """Return how much of the config was written by hand."""
    lines = [line for line in content.decode("utf-8", "replace").splitlines() if line.strip() and not line.strip().startswith("#")]
    defaults = [row for row in explain(config, read_config(content, CONFIG_PATH)[1]) if row.origin != "file"]
    return f"{len(lines)} lines, {len(defaults)} defaults (config explain)"


def _without(answers: GateResults, gate: str) -> GateResults:
    """Return the results without this gate, which cannot be asked here."""
    return GateResults(answers.passed, tuple(each for each in answers.refused if each.gate != gate))


def _memory(state_dir: Path, copy: Path) -> Path:
    """Return a copy of what this host remembers of ledgers: a look compares with it, and leaves it as it is."""
    copy.mkdir()
    for path in state_dir.glob("ledger-*.json"):
        with suppress(OSError):  # an unreadable file is reported by the run itself
            (copy / path.name).write_bytes(path.read_bytes())
    with suppress(OSError):  # journals are read where they are
        (copy / RUNS).symlink_to(state_dir / RUNS)
    return copy
