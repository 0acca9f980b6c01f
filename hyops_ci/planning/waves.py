"""The waves of a recovery plan: what the config may say, and which wave is next. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from hyops_ci.config.settings import action_of
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.recovery import RecoveryPlan, Standing

TYPES: Final = {"failover": DecisionType.FAILOVER, "failback": DecisionType.FAILBACK_ONPREM}
"""The decision that each action of a recovery plan makes."""


def troubles(config: DispatchConfig, plan: RecoveryPlan) -> Iterator[tuple[str, str]]:
    """Yield (what was found, what was expected) of everything that keeps a plan from being carried out."""
    named = Counter(service for wave in plan.waves for service in wave)
    for service, times in named.items():
        if service not in config.services:
            yield f"{service}", f"a service of the config: {', '.join(sorted(config.services))}"
        elif action_of(config, service, TYPES[plan.action]) is None:
            yield f"{service} has no {plan.action}", f"services.{service}.{plan.action} in the config"
        if times > 1:
            yield f"{service} stands in {times} places: it would wait for itself", "each service in one wave"
    if config.approvals.channels != ("signed",):
        yield (
            f"approvals.channels: {', '.join(config.approvals.channels)}",
            ("signed alone: a review on GitHub lets one run through, and nothing holds the others until all have theirs"),
        )


def wave_of(plan: RecoveryPlan, service: str) -> int:
    """Return the number of the wave that a service is in, from 1; 0 for a service that is in none."""
    return next((number for number, wave in enumerate(plan.waves, 1) if service in wave), 0)


def earlier(plan: RecoveryPlan, service: str) -> tuple[str, ...]:
    """Return the services that must be proven before this one may begin."""
    return tuple(each for wave in plan.waves[: max(wave_of(plan, service) - 1, 0)] for each in wave)


def all_services(plan: RecoveryPlan) -> tuple[str, ...]:
    """Return every service, in the order of the waves."""
    return tuple(service for wave in plan.waves for service in wave)


def next_wave(plan: RecoveryPlan, standing: Mapping[str, Standing]) -> int:
    """Return the number of the first wave that is not proven as a whole, from 1; 0 where all are."""
    return next((number for number, wave in enumerate(plan.waves, 1) if any(standing[each] != "proven" for each in wave)), 0)
