"""What a recovery needs to start, as one list: what plan and check refuse for want of, what doctor tells, and from where it can be seen.

A stage that acts refuses for nothing that is not here: `tests/unit/planning/test_needs.py` compares the list with the code of execute.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from hyops_ci.dataclass import dataclass


class SeenFrom(StrEnum):
    """From where a need can be looked at."""

    REPOSITORY = "a clone of the repository"
    GITHUB = "GitHub, with a token"
    LEDGER = "the ledger"
    RUNNER = "the runner's host"
    AUTHORITY = "a job of the pinned workflow"


@dataclass(frozen=True)
class Need:
    """One thing without which no recovery starts, or ends as it should."""

    topic: str
    """What people call it: doctor has a line for each."""
    seen_from: SeenFrom
    gates: tuple[str, ...] = ()
    """Ids of refusals, or their beginnings. A refusal of no need is the config's."""


NEEDS: Final = (
    Need("config", SeenFrom.REPOSITORY),
    Need(
        "overlay", SeenFrom.REPOSITORY, ("overlay.", "specs.", "effective.", "restore.pin", "restore.selector", "guards.", "drill.shares")
    ),
    Need("restore", SeenFrom.RUNNER, ("restore.skipped", "commit.")),
    Need("backup set", SeenFrom.REPOSITORY),
    Need("probes", SeenFrom.REPOSITORY, ("config.probe", "probe.")),
    Need("runner", SeenFrom.RUNNER, ("runner.identity", "trust.runner", "host.disk", "host.clock")),
    Need("host", SeenFrom.RUNNER, ("runner.", "trust.", "host.key", "lock.host")),
    Need("system", SeenFrom.RUNNER),
    Need("hyops", SeenFrom.RUNNER, ("hyops.",)),
    Need("secrets", SeenFrom.AUTHORITY, ("secrets.",)),
    Need("bundle", SeenFrom.RUNNER, ("secrets.password", "secrets.bundle")),
    Need("vault", SeenFrom.REPOSITORY, ("authority.",)),
    Need("gate", SeenFrom.GITHUB, ("approval.",)),
    Need("states", SeenFrom.RUNNER, ("states.",)),
    Need("lock", SeenFrom.LEDGER, ("lock.", "ledger.")),
    Need("readiness", SeenFrom.LEDGER, ("readiness.",)),
    Need("drill", SeenFrom.LEDGER, ("drills.",)),
)
"""In the order in which they are told."""


def need_of(gate: str) -> Need:
    """Return the need that a refusal is about: the one that names its id, else the one with the longest beginning of it."""
    fits = [(gate in need.gates, len(each), need) for need in NEEDS for each in need.gates if gate == each or gate.startswith(each)]
    return max(fits, key=lambda fit: fit[:2], default=(False, 0, NEEDS[0]))[2]
