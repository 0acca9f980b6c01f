"""What a stage needs from outside, made once at the edge (`cli/`, `rehearse`): clock, host, identity, ledger address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hyops_ci.contracts.config import HostTrust
from hyops_ci.contracts.ports import Clock
from hyops_ci.stages.job import Job

TRUST_FILE = Path("/etc/dr-dispatch/trust.json")


def silent(_: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class World:
    """The outside of one stage. Nothing in it is a secret; identities are callables that fetch one."""

    job: Job
    clock: Clock
    home: Path
    state_dir: Path
    """Where this host remembers the ledger tips it saw."""
    ledger_remote: str
    """Path or URL of the repository that holds the ledger branches."""
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    say: Callable[[str], None] = silent
    """One line of progress."""
    trust: HostTrust | None = None
    token_for: Callable[[str], str] | None = field(default=None, repr=False)
    """The job's identity for an audience; None in a shell."""
    ledger_token: str = field(default="", repr=False)
    """The job's token, for an https ledger remote."""
