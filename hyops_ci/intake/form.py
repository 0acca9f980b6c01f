"""What a person types instead of a decision. Imports nothing, so that the command line starts fast."""

from __future__ import annotations

from typing import Final

from hyops_ci.dataclass import dataclass

CHECK: Final = "check"
"""The action of a form that ends with its check: nothing changes, nobody is asked."""
DRILL: Final = "drill"
"""The action of a form that restores a service into an env of class drill, and removes it again."""
SETTLE: Final = "settle"
"""The action of a form that says which site serves, after a run that was cut off."""


@dataclass(frozen=True)
class Form:
    """The inputs of the workflow, or the options of a command, as typed."""

    action: str = ""
    """failover, failback, burst or hold; check or settle, of the move that the ledger says comes next, or was cut off; drill."""
    service: str = ""
    """name/env."""
    reason: str = ""
    restore: str = "latest"
    """`latest`, or a backup label."""
    old_primary: str = "not-confirmed"
    """`confirmed-off` or `not-confirmed`."""
    serves: str = ""
    """Of a settlement: the site that serves."""
    check_only: bool = False
    """Whether it ends with its check."""
    isolated: bool = False
    """Whether it is a drill that removes what it made, and that nobody approves: its env is of class drill."""
