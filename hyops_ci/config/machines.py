"""The machine of a lane's runner, as far as the config says how it is made where it is missing."""

from __future__ import annotations

from hyops_ci.config.settings import LaneSettings
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.runner_machine import Installation, Machine


def machine_of(config: DispatchConfig, lane: str) -> Machine | None:
    """Return how a lane's runner is made; None where the config does not say it."""
    return next((each.machine for name, each in config.lanes.items() if name == lane), None)


def machine_name(lane: LaneSettings) -> str:
    """Return what the lane's machine is called, and its agent on GitHub: the first of `names`, else `runner_ref`."""
    return next(iter(lane.names), lane.runner_ref)


def installation_of(config: DispatchConfig, lane: str) -> Installation:
    """Return what is put on the machine of a lane."""
    machine = machine_of(config, lane)
    return machine.installation if machine is not None else Installation()
