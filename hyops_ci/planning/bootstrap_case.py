"""What a gate on making or repairing a runner looks at.

One rule for a plan that was given a reason, for the job that then makes the runner, and for work on a runner outside of a run.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Final

from hyops_ci.config.bootstrap import bootstrap_class
from hyops_ci.config.settings import LaneSettings
from hyops_ci.contracts.approval import Person
from hyops_ci.contracts.config import DispatchConfig, EnvClass
from hyops_ci.contracts.facts import EnvironmentFact, RefFact
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Refusal
from hyops_ci.planning.case import Gate, GateOutcome, PlanCase, in_order, load, plan_gate

GO_ON: Final = "; or leave bootstrap_reason empty: a recovery goes on without making its runner"


@dataclass(frozen=True)
class BootstrapCase:
    """One lane's runner, and why it is to be made or repaired."""

    config: DispatchConfig
    lane: LaneSettings
    reason: str
    ref: RefFact
    """Where the config was read."""
    gate: EnvironmentFact | None = None
    """`policy.bootstrap_environment`, as GitHub shows it now; None where nobody can be asked."""
    requesters: tuple[Person, ...] = ()
    behind_gate: bool = True
    """False in a shell: whoever has the credentials acts."""
    otherwise: str = ""
    """What whoever asks can do instead, as the end of a fix."""
    isolated: bool = False
    """For an isolated drill, which has a runner of its own."""

    @property
    def env_class(self) -> EnvClass:
        """How careful it must be: as the most careful env that recovers on the lane, whichever asks."""
        return bootstrap_class(self.config, self.lane.name)


BOOTSTRAP_GATES: Final[list[Gate[BootstrapCase]]] = []


def bootstrap_gate(gate_id: str, reference: str, question: str) -> Callable[[Callable[[BootstrapCase], GateOutcome]], Gate[PlanCase]]:
    """Register a function as a gate on making a runner, and as a plan gate of those runs that have a reason to."""

    def take(ask: Callable[[BootstrapCase], GateOutcome]) -> Gate[PlanCase]:
        BOOTSTRAP_GATES.append(Gate(gate_id, reference, Exit.POLICY, question, ask))

        @wraps(ask)
        def of_a_plan(case: PlanCase) -> GateOutcome:
            return ask(planned(case)) if case.facts.bootstrap_reason else ""

        return plan_gate(gate_id, reference, Exit.POLICY, question)(of_a_plan)

    return take


def planned(case: PlanCase) -> BootstrapCase:
    """Return what a plan says of its runner."""
    from hyops_ci.planning.gates.approval import requesters

    facts, exercise = case.facts, case.decision.exercise
    isolated = exercise is not None and exercise.level == "isolated"
    return BootstrapCase(
        case.config,
        case.lane,
        facts.bootstrap_reason,
        facts.ref,
        facts.bootstrap_gate,
        requesters(case),
        otherwise=GO_ON,
        isolated=isolated,
    )


def bootstrap_refusal(case: BootstrapCase) -> Refusal | None:
    """Return why a runner must not be made or repaired: the first refusal of the gates on it."""
    load("plan")
    return next((said for said in (gate(case) for gate in in_order(BOOTSTRAP_GATES)) if isinstance(said, Refusal)), None)
