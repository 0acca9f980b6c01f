"""What a gate looks at, its outcome, and the registry in which every gate has its place."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Generic, Literal, TypeVar

from hyops_ci.config.settings import EnvSettings, LaneSettings, env_of, env_settings, lane_settings
from hyops_ci.contracts.config import DispatchConfig, ServiceAction
from hyops_ci.contracts.decision import Decision
from hyops_ci.contracts.facts import CheckFacts, EffectiveBlueprint, PlanFacts
from hyops_ci.contracts.host_trust import HostTrust
from hyops_ci.contracts.plan import GatePass, Plan, SecretRef
from hyops_ci.dataclass import dataclass, field
from hyops_ci.errors import Exit, Refusal


@dataclass(frozen=True)
class PlanCase:
    """One decision against config, overlay and given facts."""

    decision: Decision
    config: DispatchConfig
    action: ServiceAction
    blueprint: EffectiveBlueprint
    facts: PlanFacts
    trust: HostTrust | None = None
    secret_refs: tuple[SecretRef, ...] = ()
    warnings: tuple[str, ...] = ()
    """What intake said of how the decision came about."""

    @property
    def lane(self) -> LaneSettings:
        """The lane that the config chooses."""
        return lane_settings(self.config, self.action.lane)

    @property
    def env(self) -> EnvSettings:
        """The env of the service."""
        return env_settings(self.config, env_of(self.decision.service))


@dataclass(frozen=True)
class CheckCase:
    """One plan against what its runner says."""

    plan: Plan
    facts: CheckFacts


@dataclass(frozen=True)
class GateFailure:
    """Why a gate failed. The gate adds its id and exit code."""

    reason: str
    found: str
    expected: str
    fix: str
    docs: str = ""


LISTED: Final = 12
"""Offenders that a gate names; the rest is a count."""


def listed(offenders: Iterable[str]) -> str:
    """Return what a gate found, all of it at once, so that one pull request can mend it: each offender once, in order."""
    found = list(dict.fromkeys(offenders))
    more = len(found) - LISTED
    return "; ".join(found[:LISTED]) + (f"; and {more} more" if more > 0 else "")


GateOutcome = str | GateFailure
"""A note on why it passes (may be empty), or a failure."""
C = TypeVar("C")


def as_execute_says(case: CheckCase, gate_id: str) -> GateOutcome:
    """Return what execute would be refused for by this gate, as it was looked at before the approval."""
    found = next((each for each in case.facts.troubles if each.gate == gate_id), None)
    return GateFailure(found.reason, found.found, found.expected, found.fix) if found else ""


@dataclass(frozen=True)
class Gate(Generic[C]):
    """One pure check."""

    id: str
    reference: str
    """Where the rule comes from: sections of `docs/design/`, such as `contracts 1, anti-drift 5`."""
    exit_code: Exit
    question: str
    ask: Callable[[C], GateOutcome]

    def __call__(self, case: C) -> GatePass | Refusal:
        """The gate's answer to one case."""
        answer = self.ask(case)
        if isinstance(answer, str):
            return GatePass(id=self.id, note=answer)
        return Refusal(
            self.id, answer.reason, exit_code=self.exit_code, found=answer.found, expected=answer.expected, fix=answer.fix, docs=answer.docs
        )


FAMILIES: Final = (
    "decision",
    "lane",
    "config",
    "drills",
    "recovery",
    "provenance",
    "approval",
    "bootstrap",
    "machine",
    "machine_gcp",
    "overlay",
    "data",
    "host",
    "effective",
    "readiness",
)
"""Modules of `planning/gates` in the order in which their gates are asked: the first refusal is the one that ends the stage."""
PLAN_GATES: Final[list[Gate[PlanCase]]] = []
CHECK_GATES: Final[list[Gate[CheckCase]]] = []


def plan_gate(
    gate_id: str, reference: str, exit_code: Exit, question: str
) -> Callable[[Callable[[PlanCase], GateOutcome]], Gate[PlanCase]]:
    """Register a function as a plan gate."""
    return _register(PLAN_GATES, gate_id, reference, exit_code, question)


def check_gate(
    gate_id: str, reference: str, exit_code: Exit, question: str
) -> Callable[[Callable[[CheckCase], GateOutcome]], Gate[CheckCase]]:
    """Register a function as a check gate."""
    return _register(CHECK_GATES, gate_id, reference, exit_code, question)


def _register(
    gates: list[Gate[Any]], gate_id: str, reference: str, exit_code: Exit, question: str
) -> Callable[[Callable[[Any], GateOutcome]], Gate[Any]]:
    def take(ask: Callable[[Any], GateOutcome]) -> Gate[Any]:
        gate: Gate[Any] = Gate(gate_id, reference, exit_code, question, ask)
        gates.append(gate)
        return gate

    return take


def load(kind: Literal["plan", "check"]) -> Sequence[Gate[Any]]:
    """Return all gates of one kind, in the order of `FAMILIES` and, inside a family, of its lines."""
    for family in FAMILIES:
        importlib.import_module(f"hyops_ci.planning.gates.{family}")
    return in_order(PLAN_GATES if kind == "plan" else CHECK_GATES)


def in_order(gates: Sequence[Gate[Any]]) -> Sequence[Gate[Any]]:
    """Return gates in the order of `FAMILIES`, whichever of those modules was imported first."""
    return sorted(gates, key=lambda gate: FAMILIES.index(gate.ask.__module__.rpartition(".")[2]))


@dataclass(frozen=True)
class GateResults:
    """The results of all gates of one kind."""

    passed: tuple[GatePass, ...]
    refused: tuple[Refusal, ...] = field(default=())

    def document(self) -> dict[str, Any]:
        """`gates.json` of the evidence."""
        return {"passed": [each.document() for each in self.passed], "refused": [each.to_json() for each in self.refused]}

    def also(self) -> list[str]:
        """Return a line for each refusal behind the first, which ends the stage: whoever mends one sees the others, too."""
        return [f"also refused, {each.gate}: {each.reason}; found {each.found}; fix {each.fix}" for each in self.refused[1:]]


def run_gates(kind: Literal["plan", "check"], case: PlanCase | CheckCase) -> GateResults:
    """Run every gate, so that one run shows all refusals and not the first alone."""
    answers = [gate(case) for gate in load(kind)]
    return GateResults(
        tuple(each for each in answers if isinstance(each, GatePass)), tuple(each for each in answers if isinstance(each, Refusal))
    )
