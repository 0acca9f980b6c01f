"""What a person types instead of a decision. Imports nothing, so that the command line starts fast."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    """The inputs of the workflow, or the options of a command, as typed."""

    action: str = ""
    """failover, failback, burst or hold."""
    service: str = ""
    """name/env."""
    reason: str = ""
    restore: str = "latest"
    """`latest`, or a backup label."""
    old_primary: str = "not-confirmed"
    """`confirmed-off` or `not-confirmed`."""
