"""The one way from a config's machine to its provider: the package of the same name, loaded when it is asked for.

A further provider is one model in `hyops_ci/contracts/runner_machine.py` and one package here with `adapters_for(machine, reach)`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from hyops_ci.contracts.runner_machine import Machine
    from hyops_ci.runners.ports import Adapters, Reach


def adapters_for(machine: Machine, reach: Reach) -> Adapters:
    """Return what reaches the provider of this machine. Raises Refusal or Fault of `reach`."""
    package = importlib.import_module(f"hyops_ci.runners.{machine.provider}")
    return cast("Adapters", package.adapters_for(machine, reach))
