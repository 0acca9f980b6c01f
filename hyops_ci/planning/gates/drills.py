"""Gates on what the config owes: that it can be done, and that what was promised can be kept.

They refuse checks and drills, which is where somebody mends it. A real recovery is not refused for what is owed beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hyops_ci.config.drills import isolated_service, practice_services
from hyops_ci.config.probes import probes_of
from hyops_ci.config.settings import env_of, env_settings
from hyops_ci.contracts.base import seconds
from hyops_ci.contracts.config import EnvClass
from hyops_ci.errors import Exit
from hyops_ci.planning.case import GateFailure, GateOutcome, PlanCase, listed, plan_gate

HOUR: Final = 3600
DAY: Final = 24 * HOUR


def _spans(case: PlanCase) -> Iterator[tuple[str, str, str]]:
    """Yield (service, level, span) of everything that is owed."""
    for service, owed in case.config.drills.items():
        if owed.check is not None:
            yield service, "check", owed.check.every
        if owed.isolated is not None:
            yield service, "isolated", owed.isolated.every


@plan_gate("drills.service", "contracts 2", Exit.POLICY, "Can everything that is owed be done somewhere?")
def drills_service(case: PlanCase) -> GateOutcome:
    """A drill restores the service of its name in an env of class drill, never in production; it is named where there are several."""
    if case.decision.exercise is None:
        return ""
    if wrong := [text for service in case.config.drills for text in _wrong(case, service)]:
        return GateFailure(
            "what is owed cannot be done as the config says it",
            listed(wrong),
            "a service of the config; for level isolated one of the same name in an env of class drill",
            "correct drills in the config, or add the service to an env of class drill",
            "readiness.md",
        )
    return f"{len(list(_spans(case)))} owed"


def _wrong(case: PlanCase, service: str) -> Iterator[str]:
    config = case.config
    if service not in config.services:
        yield f"{service} is no service of the config"
        return
    if config.drills[service].isolated is None:
        return
    named, found = isolated_service(config, service), practice_services(config, service)
    if not named:
        yield f"{service}: {' and '.join(found)} could both be meant" if found else f"{service} is in no env of class drill"
    elif named not in config.services:
        yield f"{service}: {named} is no service of the config"
    elif named.partition("/")[0] != service.partition("/")[0]:
        yield f"{service}: {named} is another service"
    elif env_settings(config, env_of(named)).env_class is not EnvClass.DRILL:
        yield f"{service}: {named} is in an env of class {env_settings(config, env_of(named)).env_class}"


@plan_gate("drills.rhythm", "contracts 2", Exit.POLICY, "Can schedules keep up with everything that is owed?")
def drills_rhythm(case: PlanCase) -> GateOutcome:
    """A run is for one service. The templates start a check every hour and a drill every day; GitHub starts fewer when it is busy."""
    if case.decision.exercise is None:
        return ""
    spans = list(_spans(case))
    if short := [f"{service} {level} every {every}" for service, level, every in spans if seconds(every) < HOUR]:
        return GateFailure(
            "no schedule fires as often as that",
            listed(short),
            "PT1H or more",
            "choose a longer span",
            "readiness.md",
        )
    checks = sum(HOUR / seconds(every) for _, level, every in spans if level == "check")
    drills = sum(DAY / seconds(every) for _, level, every in spans if level == "isolated")
    if checks > 1 or drills > 1:
        return GateFailure(
            "more is owed than schedules have runs for",
            f"{checks:.1f} checks an hour, {drills:.1f} drills a day",
            "at most one check an hour and one drill a day, all services together",
            "choose longer spans",
            "readiness.md",
        )
    return f"{checks:.2f} checks an hour, {drills:.2f} drills a day"


@plan_gate("config.objective", "contracts 2", Exit.POLICY, "Can the objective of the service be met at all?")
def config_objective(case: PlanCase) -> GateOutcome:
    """The proof holds for its time before a recovery counts: an objective that is shorter than that is missed by every run."""
    objective = case.config.objectives.get(case.decision.service)
    if case.decision.exercise is None or objective is None:
        return ""
    rto, rpo = (seconds(each) if each is not None else None for each in (objective.rto, objective.rpo))
    held = max((seconds(probe.hold) for probe in probes_of(case.config, case.decision.service, case.blueprint)), default=0)
    if rto is not None and rto <= held:
        return GateFailure(
            "no recovery can be proven within its objective",
            f"rto {objective.rto}; its probes hold for {held} s before anything is proven",
            "an rto that is longer than the probes hold",
            f"correct objectives.{case.decision.service}.rto, or hold under verification",
            "verification.md",
        )
    if rpo == 0:
        return GateFailure(
            "no restore loses nothing",
            f"rpo {objective.rpo}",
            "an rpo longer than PT0S",
            f"correct objectives.{case.decision.service}.rpo",
            "verification.md",
        )
    return f"rto {objective.rto or 'none'}, rpo {objective.rpo or 'none'}"
