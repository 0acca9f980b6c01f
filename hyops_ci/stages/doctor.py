"""Doctor: would a recovery start now, asked on the host and by hand (texts, section 6). Changes nothing, reads no secret value.

Every question is asked even where one before it was answered with no: nobody has to repair one thing to learn of the next.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal, TypeVar

from hyops_ci.contracts.base import moment, stamp
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.facts import CheckFacts
from hyops_ci.contracts.ledger import Tip
from hyops_ci.contracts.plan import Plan, Source
from hyops_ci.contracts.run import TERMINAL, State
from hyops_ci.errors import DispatchError
from hyops_ci.intake.config_file import CONFIG_PATH, read_config
from hyops_ci.ledger.rules import DONE
from hyops_ci.planning import checking, planner
from hyops_ci.planning.case import Answers, ask_all
from hyops_ci.planning.explaining import explain
from hyops_ci.secrets.port import Purpose
from hyops_ci.secrets.sync import check_names
from hyops_ci.stages.looking import authority_of, look
from hyops_ci.stages.origin import local_origin
from hyops_ci.stages.plan import Ask, Form, keep_decision, ledger_position, take_in, under_host
from hyops_ci.stages.rundir import RunDir
from hyops_ci.stages.sources import plan_facts, read_overlay, read_source, secret_refs
from hyops_ci.stages.world import World

Status = Literal["ok", "warn", "FAIL"]
T = TypeVar("T")
TOPICS: Final[dict[str, tuple[str, ...]]] = {
    "config": ("config.", "route.", "lane.", "site.", "failback.", "plane.", "gcp.", "decision.", "drill.", "bootstrap."),
    "gate": ("approval.",),
    "vault": ("authority.",),
    "overlay": ("overlay.", "specs.", "effective.", "restore.pin"),
    "secrets": ("secrets.",),
    "restore": ("restore.", "commit."),
    "runner": ("runner.identity", "host.disk", "host.clock"),
    "host": ("runner.trust",),
    "hyops": ("hyops.",),
    "states": ("states.",),
    "lock": ("lock.", "ledger."),
}
"""Topic -> the gates whose answers it sums up; the first topic whose prefix fits has the gate."""


@dataclass(frozen=True)
class Line:
    """One answer."""

    status: Status
    topic: str
    text: str


@dataclass
class Diagnosis:
    """All answers, and what would stop a run first."""

    action: str
    service: str
    lines: list[Line] = field(default_factory=list)
    refused: list[DispatchError] = field(default_factory=list)

    def say(self, status: Status, topic: str, text: str) -> None:
        """One answer more."""
        self.lines.append(Line(status, topic, text))

    def ask(self, topic: str, question: Callable[[], T]) -> T | None:
        """The answer, or None where it was a no, which is then kept."""
        try:
            return question()
        except DispatchError as error:
            self.refuse(topic, error)
            return None

    def refuse(self, topic: str, error: DispatchError) -> None:
        """A no."""
        self.refused.append(error)
        self.say("FAIL", topic, f"{error.gate}: {error.reason}; {error.found}" if error.found else f"{error.gate}: {error.reason}")

    def set_aside(self, answers: Answers, gates: tuple[str, ...], why: str) -> Answers:
        """The answers without a no of these gates, which nobody here could ask."""
        for refusal in answers.refused:
            if refusal.gate in gates:
                self.say("warn", topic_of(refusal.gate), why)
        return Answers(answers.passed, tuple(each for each in answers.refused if each.gate not in gates))

    def verdict(self) -> list[str]:
        """The last lines: what would happen now."""
        if not self.refused:
            return [f"A {self.action} now would be planned and checked: nothing seen from here stands in its way"]
        first = self.refused[0]
        more = f" (and {len(self.refused) - 1} more)" if len(self.refused) > 1 else ""
        return [f"A {self.action} now would be REFUSED at {first.gate}{more}. Fix: {first.fix or first.expected}"]


def doctor(service: str, action: str, repository: Path, world: World, *, restore: str = "latest") -> Diagnosis:
    """Ask everything that plan and check would ask about `service`, in a run's folder that is gone afterwards."""
    told = Diagnosis(action, service)
    with tempfile.TemporaryDirectory(prefix="dr-doctor-") as folder:
        _diagnose(told, Ask(repository, form=Form(action, service, "a look by hand", restore)), RunDir(Path(folder) / "run"), world)
    return told


def _diagnose(told: Diagnosis, ask: Ask, run: RunDir, world: World) -> None:
    content = told.ask("config", lambda: read_source(ask.repository, ask.config_path))
    config = told.ask("config", lambda: under_host(read_config(content or b"", CONFIG_PATH)[0], world)) if content is not None else None
    origin = local_origin(world)
    intake = told.ask("config", lambda: take_in(ask, config, world, origin)) if config else None
    if content is None or config is None or intake is None:
        return
    keep_decision(run, intake)
    tip = told.ask("lock", lambda: ledger_position(intake, config, world))
    found = told.ask("overlay", lambda: read_overlay(ask.repository, config, intake))
    refs = told.ask("secrets", lambda: secret_refs(ask.repository, config, intake, found[1])) if found else None
    if found is None or refs is None:
        return
    overlay, blueprint, overlay_source = found
    facts = plan_facts(ask.repository, intake, config, origin, tip, world)
    case = planner.case_of(intake.decision, config, blueprint, facts, secret_refs=refs[0], trust=world.trust)
    answers = ask_all("plan", case)
    sources = (Source(role="config", path=ask.config_path, sha256=digest_bytes(content)), overlay_source, refs[1])
    for source, data in zip(sources, (content, overlay, refs[2]), strict=True):
        run.write(f"sources/{source.role}", data)
    plan = told.ask("config", lambda: planner.assemble(case, digest_bytes(content), sources, answers.passed))
    if world.github is None and gate_is_githubs(config):
        answers = told.set_aside(answers, ("approval.gate",), "not asked: set GH_TOKEN and GH_REPO, or hyops-ci environment check")
    _config_line(told, content, config, answers)
    _sum_up(told, answers, ("gate", "vault"))
    checked, seen = (None, None) if plan is None else _look(told, plan, run, world)
    _runner_lines(told, answers, checked, seen)
    _lock_lines(told, tip, world)


def gate_is_githubs(config: DispatchConfig) -> bool:
    """Whether what holds a recovery back is an environment of GitHub's alone."""
    return config.approvals.channels == ("environment",)


def _look(told: Diagnosis, plan: Plan, run: RunDir, world: World) -> tuple[Answers | None, CheckFacts | None]:
    """What this host says. The names at the authority are asked apart: a host without a job's identity may not ask."""
    required = [ref.key for ref in plan.secrets.refs]
    names = dict.fromkeys(required, True)
    if world.token_for is None and plan.secrets.kind == "vault":
        told.say("warn", "secrets", "not asked: only a job of the pinned workflow may, action `check` on GitHub")
    else:
        asked = told.ask("secrets", lambda: check_names(plan.secrets, authority_of(plan, run, world, Purpose.CHECK), required))
        if asked is not None:
            names = asked
            told.say("ok", "secrets", f"{sum(asked.values())} of {len(required)} names, values not read")
    facts = told.ask("hyops", lambda: look(plan, run, world, "check", None, known_names=names))
    return (checking.gates(plan, facts), facts) if facts else (None, None)


def _config_line(told: Diagnosis, content: bytes, config: DispatchConfig, answers: Answers) -> None:
    if not _sum_up(told, answers, ("config",), quiet=True):
        rows = explain(config, read_config(content, CONFIG_PATH)[1])
        said = sum(row.origin == "file" for row in rows)
        told.say("ok", "config", f"{said} values in the file, {len(rows) - said} defaults (config explain)")


def _runner_lines(told: Diagnosis, planned: Answers, checked: Answers | None, facts: CheckFacts | None) -> None:
    if not _sum_up(told, planned, ("overlay", "secrets", "restore"), quiet=True) and checked is None:
        told.say("warn", "runner", "not looked at: there is no plan to look with")
    if checked is None or facts is None:
        return
    failed = _sum_up(told, checked, ("overlay", "secrets", "restore", "runner", "host", "hyops", "states"), quiet=True)
    upstream = [state for state in facts.states if state.status == "ok"]
    good = {
        "overlay": "committed = on runner, guards closed",
        "restore": "every restore would run",
        "runner": f"{facts.runner.name or facts.runner.hostname}, {(facts.disk_free_bytes or 0) // 1024**3} GiB free",
        "hyops": f"HyOps {facts.hyops_version}",
        "states": f"{len(upstream)} of {len(facts.states)} states ok",
    }
    for topic, text in good.items():
        if topic not in failed:
            told.say("ok", topic, text)
    if "host" not in failed:
        pinned = facts.runner_verified
        told.say("ok" if pinned else "warn", "host", "pins its callers (trust.json)" if pinned else "does not pin its callers (trust.json)")


def _lock_lines(told: Diagnosis, tip: Tip | None, world: World) -> None:
    if tip is not None:
        held = tip.claim is not None and tip.state not in TERMINAL
        who = f"held by run {tip.claim.run_id}" if tip.claim is not None and held else "free"
        told.say("warn" if held else "ok", "lock", f"{who}, epoch {tip.epoch}, {tip.position}, serves from {tip.serves}")
    history = told.ask("drill", lambda: world.ledger(told.service).history()) if tip is not None else None
    drills = [each for each in history or () if each.claim is not None and each.claim.drill and (each.state or State.CLAIMED) in DONE]
    if tip is not None and not drills:
        told.say("warn", "drill", "never run")
    elif drills:
        age = world.clock.now() - moment(drills[0].at)
        told.say("ok" if age < timedelta(days=100) else "warn", "drill", f"last passed {stamp(moment(drills[0].at))}, {age.days} d ago")


def _sum_up(told: Diagnosis, answers: Answers, topics: tuple[str, ...], *, quiet: bool = False) -> set[str]:
    """One FAIL for each no among the gates of these topics, else (unless `quiet`) an ok with the gates' note. Answers what failed."""
    failed = set()
    for refusal in answers.refused:
        if (topic := topic_of(refusal.gate)) in topics:
            failed.add(topic)
            told.refuse(topic, refusal)
    for topic in () if quiet else topics:
        if topic not in failed and not any(line.topic == topic for line in told.lines):
            notes = [each.note for each in answers.passed if topic_of(each.id) == topic and each.note]
            told.say("ok", topic, notes[0] if notes else "as demanded")
    return failed


def topic_of(gate: str) -> str:
    """Where a gate's answer belongs."""
    exact = next((topic for topic, prefixes in TOPICS.items() if gate in prefixes), "")
    return exact or next((topic for topic, prefixes in TOPICS.items() if gate.startswith(prefixes)), "config")
