"""What plan and check would refuse of an adoption, as far as its files tell: every offender at once (docs/design/texts.md 7).

The gates themselves are asked. Those that need GitHub, the ledger or a runner are left to `environment check` and `doctor`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from hyops_ci.blueprints.reading import read_blueprint
from hyops_ci.config.probes import probes_of
from hyops_ci.config.settings import ACTIONS, action_of, overlay_path
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.check import RunnerIdentity
from hyops_ci.contracts.config import DispatchConfig, ServiceAction
from hyops_ci.contracts.decision import Decision, DecisionType
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.facts import CheckFacts, EffectiveBlueprint, PlanFacts, PreflightFact, RefFact
from hyops_ci.errors import DispatchError
from hyops_ci.intake.decision import Intake
from hyops_ci.parsing.strict_yaml import read_yaml
from hyops_ci.planning import planner
from hyops_ci.planning.case import CheckCase, run_gates
from hyops_ci.stages.module_specs import effective
from hyops_ci.stages.plan.inputs import read_overlay, read_source, secret_refs

ELSEWHERE: Final = ("config.ref", "decision.", "approval.")
"""Plan gates, by the beginning of their ids, whose answer is GitHub's or the decision's."""
OF_OVERLAYS: Final = ("overlay.", "restore.", "plane.", "secrets.", "probe.")
"""Plan gates that look at what is in an overlay."""
OF_SPECS: Final = ("specs.", "effective.")
"""Check gates that ask the overlay over HyOps' module specs, and nothing of a runner."""


def refused_lines(config: DispatchConfig, service: str, now: datetime) -> Iterator[DispatchError]:
    """Yield what plan would refuse of the config's lines for this service, whatever its overlays hold."""
    for decision_type, action in actions_of(config, service):
        empty = EffectiveBlueprint(ref=action.blueprint, mode="", steps=(), overlay_sha256="")
        case = planner.case_of(_decision(service, decision_type, now), config, empty, _facts(now))
        yield from (each for each in run_gates("plan", case).refused if not each.gate.startswith((*ELSEWHERE, *OF_OVERLAYS)))


def offenders(config: DispatchConfig, service: str, repository: Path, core_root: Path | None, now: datetime) -> tuple[str, ...]:
    """Return, as lines of text, what plan and check would refuse of the committed overlays of this service.

    Without `core_root`, where HyOps keeps its module specs, what their defaults would be refused for is not known.
    """
    found: list[str] = []
    for decision_type, action in actions_of(config, service):
        path = overlay_path(service, action)
        if not (repository / path).is_file():
            continue
        try:
            found += [_line(path, each) for each in _refused(config, service, decision_type, repository, core_root, now)]
        except DispatchError as error:
            found.append(_line(path, error))
    return tuple(dict.fromkeys(found))


def unproven(config: DispatchConfig, service: str, repository: Path) -> tuple[str, ...]:
    """Return, as lines of text, the overlays after whose recovery nothing would ask the service: nothing refuses them."""
    found = []
    for path in dict.fromkeys(overlay_path(service, action) for _, action in actions_of(config, service)):
        with suppress(OSError, DispatchError):  # one that is missing or cannot be read is listed as that
            content = read_source(repository, path)
            if not probes_of(config, service, read_blueprint(read_yaml(content, path), digest_bytes(content))):
                found.append(f"{path}: set endpoint_dns_name there, or verification.{service} in the config (hyops-ci docs verification)")
    return tuple(found)


def actions_of(config: DispatchConfig, service: str) -> list[tuple[DecisionType, ServiceAction]]:
    """Return (type of the decision, action) of everything that the service can do."""
    return [(each, action) for each in ACTIONS if (action := action_of(config, service, each)) is not None]


def _refused(
    config: DispatchConfig, service: str, decision_type: DecisionType, repository: Path, core_root: Path | None, now: datetime
) -> Iterable[DispatchError]:
    decision = _decision(service, decision_type, now)
    intake = Intake(decision, b"", "form")
    content, blueprint, overlay = read_overlay(repository, config, intake)
    refs, _, _ = secret_refs(repository, config, intake, blueprint)
    case = planner.case_of(decision, config, blueprint, _facts(now), secret_refs=refs)
    answers = run_gates("plan", case)
    refused = [each for each in answers.refused if not each.gate.startswith(ELSEWHERE)]
    if core_root is None or not (core_root / "modules").is_dir():
        return refused
    plan = planner.assemble(case, overlay.sha256, [overlay], answers.passed)
    facts = CheckFacts(
        now=now,
        runner=RunnerIdentity(),
        runner_verified=False,
        hyops_version="",
        overlay_sha256=overlay.sha256,
        blueprint=effective(read_yaml(content, overlay.path), overlay.sha256, core_root),
        preflight=PreflightFact(rc=0, status=""),
    )
    judged = [each for each in run_gates("check", CheckCase(plan, facts)).refused if each.gate.startswith(OF_SPECS)]
    return [*refused, *judged]


def _decision(service: str, decision_type: DecisionType, now: datetime) -> Decision:
    return Decision(
        decision_id="hyops-ci-init",
        decision_type=decision_type,
        service=service,
        rationale="init",
        issued_at=stamp(now),
        issuer="hyops-ci:init",
    )


def _facts(now: datetime) -> PlanFacts:
    return PlanFacts(now=now, ref=RefFact(local=True))


def _line(path: str, error: DispatchError) -> str:
    return f"{path}: {error.gate}: {error.reason}: {error.found}. {error.fix}"
