"""What a run took, as its end in the ledger says: whole seconds, or absent where nobody knows (docs/design/contracts.md 6)."""

from typing import Annotated, Literal

from pydantic import Field

from hyops_ci.contracts.base import Clean, Count, Model, Short

MAX_RESTORE_POINT = 200
MAX_APPROVERS = 10
MAX_DEVIATIONS = 20
MAX_DEVIATION = 200
Verdict = Literal["met", "missed", "unproven", "no-objective"]
"""`met`: proven, and every objective that was measured held. `missed`: proven, too late or with data too old. `unproven`: not proven.

`no-objective`: proven, and nothing that was promised could be judged.
"""
Level = Literal["", "isolated"]
"""Of the exercise: none for a real run."""


class Figures(Model):
    """Said once, with the end of a run. Trends are made of these."""

    level: Level = ""
    """Empty for a real run, else the level of the drill."""
    restore_point: Annotated[Clean, Field(max_length=MAX_RESTORE_POINT)] = ""
    """The label of the backup that was restored, or `latest`; empty where nothing was restored."""
    request_to_proven: Count | None = None
    """From the request to the end of verification: the RTO that was reached."""
    approval_wait: Count | None = None
    """From the end of the check to the approval that completed the quorum."""
    runner_wait: Count | None = None
    """From there until the runner began."""
    runner_made: Count | None = None
    """How long making or repairing the runner took; absent in a run that made none."""
    hyops_only: Count | None = None
    """What HyOps worked."""
    our_overhead: Count | None = None
    """What is left of the whole."""
    data_age: Count | None = None
    """From the newest data that was recovered to the request: at most so much was lost. Absent where it was not measured."""
    rto: Count | None = None
    """The objective for the time at that time, in seconds."""
    rpo: Count | None = None
    """The objective for the data at that time, in seconds."""
    verdict: Verdict
    """What the run was worth against what was promised."""
    approvers: Annotated[tuple[Short, ...], Field(max_length=MAX_APPROVERS)] = ()
    """Whose yes counted, by login."""
    deviations: Annotated[tuple[Annotated[Clean, Field(max_length=MAX_DEVIATION)], ...], Field(max_length=MAX_DEVIATIONS)] = ()
    """What the run accepted, as far as it fits: what comes back is seen here."""
    cleaned: bool | None = None
    """Of a drill: whether it is proven that nothing is left of it."""
