"""What is owed for a service between incidents, which service is restored for it, and which runner checks what comes next."""

from __future__ import annotations

from hyops_ci.config.settings import action_of, env_of, env_settings, lane_settings
from hyops_ci.contracts.config import DispatchConfig, EnvClass
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.drills import Drills
from hyops_ci.contracts.lanes import LANES
from hyops_ci.contracts.ledger import Position


def drills_of(config: DispatchConfig, service: str) -> Drills:
    """Return what is owed for a service; nothing where the config does not say."""
    return config.drills.get(service, Drills())


def practice_services(config: DispatchConfig, service: str) -> tuple[str, ...]:
    """Return the services of the same name in other envs of class drill, sorted: those that a drill of it may restore."""
    name = service.partition("/")[0]
    others = (each for each in config.services if each != service and each.partition("/")[0] == name)
    return tuple(sorted(each for each in others if env_settings(config, env_of(each)).env_class is EnvClass.DRILL))


def is_practice(config: DispatchConfig, service: str) -> bool:
    """Return whether a service is there to be drilled: its env is not of class production."""
    return service in config.services and env_settings(config, env_of(service)).env_class is not EnvClass.PRODUCTION


def isolated_service(config: DispatchConfig, service: str) -> str:
    """Return which service a drill of level isolated restores: the config's, else the only one there is; empty for none or several."""
    isolated, found = drills_of(config, service).isolated, practice_services(config, service)
    if isolated is not None and isolated.service:
        return isolated.service
    return found[0] if len(found) == 1 else ""


def practised_on(config: DispatchConfig, service: str) -> str:
    """Return the service whose ledger has the drills of a service: in an env of class drill its own, else as `isolated_service`."""
    return service if env_settings(config, env_of(service)).env_class is EnvClass.DRILL else isolated_service(config, service)


def next_action(position: Position) -> DecisionType:
    """Return the move that comes next for a service: away from its home, or back to it."""
    return DecisionType.FAILOVER if position == "primary" else DecisionType.FAILBACK_ONPREM


def runner_of(config: DispatchConfig, service: str, decision_type: DecisionType) -> str:
    """Return the runner that a real run of this move, or its check, uses; empty for a move that the config does not have."""
    action = action_of(config, service, decision_type)
    return lane_settings(config, action.lane).runner_ref if action is not None else ""


def runner_names(config: DispatchConfig) -> frozenset[str]:
    """Return what the runners of all lanes are called."""
    lanes = [lane_settings(config, name) for name in LANES]
    return frozenset(name for lane in lanes for name in (lane.runner_ref, lane.drill_runner_ref, *lane.names))
