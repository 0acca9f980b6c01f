"""What a stage needs from outside, made once at the edge (`cli/`, `rehearse`): clock, host, identity, ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hyops_ci.contracts.config import HostTrust
from hyops_ci.contracts.ports import Clock
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.client import Client
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.stages.job import Job

TRUST_FILE: Final = Path("/etc/dr-dispatch/trust.json")


def silent(_: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class World:
    """The outside of one stage. Identities are callables that fetch one; no value in it is shown by `repr`."""

    job: Job
    clock: Clock
    home: Path
    state_dir: Path
    """Where this host remembers the ledger tips it saw."""
    ledger_remote: str
    """Path or URL of the repository that holds the ledger branches."""
    ledger_token: str = field(default="", repr=False)
    """The job's token, for an https remote."""
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    say: Callable[[str], None] = silent
    """One line of progress."""
    hyops_line: Callable[[str], None] = silent
    """One line of HyOps' own output, already behind `hyops | `."""
    trust: HostTrust | None = None
    """What this host accepts, where it pins its callers."""
    github: Client | None = None
    """GitHub's API, where there is one to ask."""
    min_quorum: int = 1
    """2 for break-glass, whatever config and trust say."""
    token_for: Callable[[str], str] | None = field(default=None, repr=False)
    """The job's identity for an audience; None in a shell."""

    def ledger(self, service: str) -> Ledger:
        """The ledger of one service. Raises Refusal (exit 2) where nothing names its repository."""
        if not self.ledger_remote:
            raise Refusal(
                "ledger.remote",
                "nobody says where the ledger is",
                exit_code=Exit.USAGE,
                found="no ledger in the host trust, no ledger.repository in the config",
                expected="a path or URL of the repository that holds dr-ledger/*",
                fix="name it in /etc/dr-dispatch/trust.json (ledger), or in the config (ledger.repository)",
                docs="ledger.md",
            )
        return Ledger.over_git(self.ledger_remote, service, state_dir=self.state_dir, token=self.ledger_token)
