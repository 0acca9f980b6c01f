"""What a stage asks of HyOps and its files, whoever HyOps runs as.

Arguments and results are plain values and documents, so that the same methods answer through `sudo`. No method returns bytes of a file
that HyOps wrote, but those that become evidence, redacted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from hyops_ci.contracts.base import Name
from hyops_ci.contracts.check import StateFact
from hyops_ci.contracts.facts import PreflightFact, Trouble
from hyops_ci.contracts.plan import Command
from hyops_ci.dataclass import dataclass, field
from hyops_ci.execution.command import Runtime
from hyops_ci.execution.kept_journals import NAMES
from hyops_ci.secrets.bundle import Written

DESTROY_FIRST_JOURNAL, DEPLOY_JOURNAL, DESTROY_JOURNAL = JOURNALS = NAMES
"""Folders of the journals of a run: the first of a drill that begins by removing what an earlier one left."""
PASSWORD_FILE: Final = "HYOPS_VAULT_PASSWORD_FILE"
"""Names the file with the bundle's password on a host whose config names none."""


@dataclass(frozen=True)
class Place:
    """Where HyOps is, which env it works on, and where its journals lie."""

    runtime: Runtime
    runs: Path
    """Folder of this run's journals; this process may read it."""
    base: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The environment of which HyOps gets the named parts."""
    env_pass: tuple[str, ...] = ()

    @property
    def deploy(self) -> Path:
        """Folder of the deploy's journal."""
        return self.journal(DEPLOY_JOURNAL)

    def journal(self, name: str) -> Path:
        """Return the folder of one of `JOURNALS`."""
        return self.runs / name

    @property
    def password_file(self) -> str:
        """The file with the bundle's password, empty where none is named."""
        named = self.runtime.vault_password_file
        return str(named) if named is not None else self.base.get(PASSWORD_FILE, "")


class HyOpsAccess(Protocol):
    """What a stage asks for, whoever HyOps runs as. Each raises Refusal or Fault as the function it stands for."""

    place: Place

    def close(self) -> None:
        """End this access. A deploy goes on, and keeps the env locked."""

    def user(self) -> str:
        """Return the name of the user that HyOps runs as."""

    def require_env(self, *, alone: bool = False) -> None:
        """Refuse an env that is not there; `alone`: one whose folder or states are another env's, too."""

    def version(self) -> str:
        """Return what `hyops --version` says."""

    def room(self) -> tuple[int, int]:
        """Return the number of the file system that the env is on, and its free bytes."""

    def troubles(self) -> tuple[Trouble, ...]:
        """Return what a recovery would be refused for at bundle, password and lock: asked as it will ask, and nothing of it is held."""

    def states(self, references: tuple[str, ...], now: datetime) -> tuple[StateFact, ...]:
        """Return the module states behind references."""

    def states_of(self, env: Name, references: tuple[str, ...], now: datetime) -> tuple[StateFact, ...]:
        """Return the module states behind references in another env of this host; `missing` where it is not there."""

    def lock(self) -> None:
        """Lock the env against other runs, until this access ends and HyOps with it."""

    def sweep(self) -> dict[str, object]:
        """Remove what killed runs left, and return what that was."""

    def write_overlay(self, run_id: str, content: bytes) -> None:
        """Write the run's copy of the overlay."""

    def remove_overlay(self, run_id: str) -> None:
        """Remove it, where it is still there."""

    def preflight(self, run_id: str, command: Command, present: dict[str, str]) -> PreflightFact:
        """Return HyOps' own answer over that copy: with the secrets that were brought, else with `present`."""

    def open_bundle(self) -> bool | None:
        """Open and lock the runtime bundle; return whether there was one, None where there is none and none will be made."""

    def bundle_leftovers(self) -> tuple[str, ...]:
        """Return the names of plaintext files that a crashed HyOps left beside it."""

    def bundle_values(self) -> tuple[str, ...]:
        """Return the values in it and its password, for the redactor: none where HyOps has a user of its own, who hides them itself."""

    def merge_bundle(self, values: dict[str, str]) -> Written:
        """Overlay the values of this run."""

    def close_bundle(self) -> None:
        """Unlock it."""

    def give(self, secrets: dict[str, str], hidden: dict[str, str], public: tuple[str, ...]) -> None:
        """Give HyOps these secrets as its environment, and take `hidden` out of whatever comes from it; of `public` words nothing is."""

    def start(self, run_id: str, command: Command, journal: Name) -> None:
        """Start a command that changes things under a supervisor that outlives this access; its journal is in `place.journal(journal)`."""

    def cancel(self, journal: Name) -> bool:
        """Ask that command to end. Returns at once: whether a supervisor was there to ask."""

    def records(self, since: datetime) -> tuple[str, ...]:
        """Return the names of HyOps' run records begun since then, oldest first."""

    def record_files(self, name: str) -> dict[str, bytes]:
        """Return what may become evidence of a record that `records` named, by its path."""

    def record_end(self, name: str) -> tuple[str, ...]:
        """Return the last lines of its log."""

    def clean_up(self, since: datetime | None) -> dict[str, object]:
        """Put the bundle back, remove what holds secrets, and return what was done."""


@dataclass(frozen=True)
class OpenedBundle:
    """The runtime bundle between `open_bundle` and `close_bundle`: what `sync` needs of it."""

    access: HyOpsAccess
    there: bool

    @property
    def leftovers(self) -> tuple[str, ...]:
        """Names of plaintext files that a crashed HyOps left beside it."""
        return self.access.bundle_leftovers()

    @property
    def hidden(self) -> tuple[str, ...]:
        """What else is in it, for the redactor."""
        return self.access.bundle_values()

    def merge(self, values: Mapping[str, str]) -> Written:
        """Overlay `values`."""
        return self.access.merge_bundle(dict(values))


@contextmanager
def runtime_bundle(access: HyOpsAccess) -> Iterator[OpenedBundle | None]:
    """Yield the bundle, opened and locked; None for an env without one and without a password for it. Raises as `open_bundle`."""
    try:
        there = access.open_bundle()
        yield None if there is None else OpenedBundle(access, there)
    finally:
        access.close_bundle()


@contextmanager
def lent_overlay(access: HyOpsAccess, run_id: str, content: bytes) -> Iterator[None]:
    """Keep the run's copy of the overlay for the length of the block. Of a killed process the supervisor removes it, or the next run."""
    access.write_overlay(run_id, content)
    try:
        yield
    finally:
        access.remove_overlay(run_id)
