"""What every command on a recovery of several services works with, and where each of its services stands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Final

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.clock import Clock
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.ledger import Tip
from hyops_ci.contracts.recovery import RecoveryPlan, Standing
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.api.client import Client
from hyops_ci.intake.records import decision_id
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.rules import has_arrived, lock_of
from hyops_ci.ledger.settling import on_github
from hyops_ci.planning.case import listed
from hyops_ci.planning.waves import TYPES, all_services, next_wave, troubles
from hyops_ci.text import shell

AT_ONCE: Final = 8
"""Ledgers that are asked at the same time."""
_ID: Final = re.compile(r"(?P<plan>[a-z0-9][a-z0-9-]{0,37})-[0-9]{8}T[0-9]{6}Z-[0-9a-f]{4}")


@dataclass(frozen=True)
class Recovery:
    """One recovery by a plan of the config, and what it is carried out with."""

    id: str
    """Names it in every decision that is a part of it."""
    name: str
    """The plan's name in the config."""
    config: DispatchConfig
    client: Client
    clock: Clock
    opened: Callable[[str], Ledger]
    """Gives a service's ledger with its vouchers."""
    say: Callable[[str], None]
    workflow: str = "dr.yml"

    @cached_property
    def plan(self) -> RecoveryPlan:
        """The waves. Raises Refusal (exit 4) for a plan that the config does not have, or that cannot be carried out."""
        found = self.config.recovery_plans.get(self.name)
        if found is None:
            raise _refusal("no such recovery plan", self.name, ", ".join(sorted(self.config.recovery_plans)) or "none in the config")
        if wrong := list(troubles(self.config, found)):
            raise _refusal("it cannot be carried out", listed(each for each, _ in wrong), listed(each for _, each in wrong))
        return found

    def decision_id(self, service: str) -> str:
        """Return the id of the decision about one service: the same however often it is asked for, of names of any length."""
        return decision_id(f"{self.id}-{service.replace('/', '.')}")

    def tips(self) -> dict[str, Tip]:
        """Return the newest word of every service's ledger, vouched for. Raises as `Ledger.vouched`."""

        def read(service: str) -> Tip:
            ledger = self.opened(service)
            ledger.vouched()
            return ledger.tip()

        services = all_services(self.plan)
        with ThreadPoolExecutor(AT_ONCE) as beside:
            return dict(zip(services, beside.map(read, services), strict=True))

    def standing(self, tips: Mapping[str, Tip]) -> dict[str, Standing]:
        """Return where each service stands."""
        return {service: self._standing(tip) for service, tip in tips.items()}

    def _standing(self, tip: Tip) -> Standing:
        if has_arrived(tip, TYPES[self.plan.action]):
            return "proven"
        lock = lock_of(tip, stamp(self.clock.now()))
        return "at work" if lock == "held" else "unknown" if lock == "unknown" else "open"


def plan_of(recovery_id: str) -> str:
    """Return the name of the plan that a recovery's id begins with. Raises Refusal (exit 2)."""
    found = _ID.fullmatch(recovery_id)
    if found is None:
        raise Refusal(
            "recovery.id",
            "not the id of a recovery",
            exit_code=Exit.USAGE,
            found=recovery_id,
            expected="<plan>-<time>-<four hex digits>, as its start printed it",
            fix="hyops-ci recovery start <plan> --reason ...",
            docs="recovery-plans.md",
        )
    return found["plan"]


def starting(plan: str) -> str:
    """Return the command that starts a recovery by a plan."""
    return shell("hyops-ci recovery start {} --reason ...", plan)


def approving(recovery_id: str) -> str:
    """Return the command by which an approver answers for all of a recovery."""
    return shell("hyops-ci recovery approve {} --key <an approver's key>", recovery_id)


def going_on(recovery_id: str) -> str:
    """Return the command that carries a recovery on."""
    return shell("hyops-ci recovery go-on {}", recovery_id)


def remaining(recovery: Recovery, standing: Mapping[str, Standing]) -> tuple[str, ...]:
    """Return the services that are not proven yet, in the order of the waves."""
    return tuple(each for each in all_services(recovery.plan) if standing[each] != "proven")


def refuse_unknown(recovery: Recovery, standing: Mapping[str, Standing]) -> None:
    """Refuse to go on past a service of which a person must say where it serves. Raises Refusal (exit 5)."""
    number = next_wave(recovery.plan, standing)
    if lost := [each for wave in recovery.plan.waves[:number] for each in wave if standing[each] == "unknown"]:
        raise Refusal(
            "lock.unknown",
            "a person must say first which site serves",
            exit_code=Exit.CONFLICT,
            found=", ".join(lost),
            expected="no service of this wave or an earlier one whose end is unknown",
            fix="; ".join(f"look, then {on_github(each, recovery.workflow)}" for each in lost),
            docs="ledger.md",
        )


def names(services: Iterable[str]) -> str:
    """Return services as a person lists them."""
    return ", ".join(services)


def _refusal(reason: str, found: str, expected: str) -> Refusal:
    return Refusal(
        "recovery.plan",
        reason,
        exit_code=Exit.POLICY,
        found=found,
        expected=expected,
        fix="correct recovery_plans in .github/dr-dispatch.yml in a pull request",
        docs="recovery-plans.md",
    )
