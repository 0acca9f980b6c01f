"""What a step does to the world: read, mutate or commit, and whether it puts data back (contracts, section 4).

The point of no return is the first step from which clients are elsewhere: a promote or a DNS change that is
applied. A restore into machines of the same blueprint is not yet one (nobody uses them), but it is watched
on its own: `restores`, whose skip would move clients to old data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hyops_ci.contracts.facts import EffectiveStep
from hyops_ci.contracts.plan import StepClass

READ_ACTIONS: Final = frozenset({"validate", "plan"})
READ_MODES: Final = frozenset({"status", "assess"})
COMMIT_MODES: Final = frozenset({"promote", "cutover", "switchover", "failover"})
_ORDER: Final = (StepClass.READ, StepClass.MUTATE, StepClass.COMMIT)


def step_class(step: EffectiveStep, overrides: Mapping[str, str] | None = None) -> StepClass:
    """The class of a step; an override counts only upward."""
    mode = str(step.inputs.get("apply_mode", ""))
    if step.action in READ_ACTIONS or mode in READ_MODES:
        found = StepClass.READ
    elif mode in COMMIT_MODES or step.inputs.get("dns_apply") is True:
        found = StepClass.COMMIT
    else:
        found = StepClass.MUTATE
    said = (overrides or {}).get(step.id)
    return max(found, StepClass(said), key=_ORDER.index) if said else found


def restores(step: EffectiveStep) -> bool:
    """Whether the step puts data back from a backup."""
    return step.inputs.get("apply_mode") == "restore"
