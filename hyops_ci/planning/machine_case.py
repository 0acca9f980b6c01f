"""What a gate on a lane's machine looks at: the config alone, so that it is asked before a run and outside of one, too."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Final

from hyops_ci.config.machines import machine_of
from hyops_ci.config.settings import LaneSettings, lane_settings
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.runner_machine import Machine
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Refusal
from hyops_ci.planning.case import Gate, GateOutcome, PlanCase, in_order, load, plan_gate


@dataclass(frozen=True)
class MachineCase:
    """A lane's machine, as it would be made now."""

    config: DispatchConfig
    lane: LaneSettings
    machine: Machine
    now: datetime


MACHINE_GATES: Final[list[Gate[MachineCase]]] = []


def machine_gate(gate_id: str, reference: str, question: str) -> Callable[[Callable[[MachineCase], GateOutcome]], Gate[PlanCase]]:
    """Register a function as a gate on a machine, and as a plan gate of those runs that may make one."""

    def take(ask: Callable[[MachineCase], GateOutcome]) -> Gate[PlanCase]:
        MACHINE_GATES.append(Gate(gate_id, reference, Exit.POLICY, question, ask))

        @wraps(ask)
        def of_a_plan(case: PlanCase) -> GateOutcome:
            machine = machine_of(case.config, case.lane.name) if case.facts.bootstrap_reason else None
            return ask(MachineCase(case.config, case.lane, machine, case.facts.now)) if machine is not None else ""

        return plan_gate(gate_id, reference, Exit.POLICY, question)(of_a_plan)

    return take


def machine_refusal(config: DispatchConfig, lane: str, now: datetime) -> Refusal | None:
    """Return why the machine of a lane must not be made as the config says now: the first refusal of its gates."""
    machine = machine_of(config, lane)
    if machine is None:
        return None
    load("plan")
    case = MachineCase(config, lane_settings(config, lane), machine, now)
    return next((said for said in (gate(case) for gate in in_order(MACHINE_GATES)) if isinstance(said, Refusal)), None)
