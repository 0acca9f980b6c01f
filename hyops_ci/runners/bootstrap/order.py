"""What is to be on a machine that becomes a runner, and what was done to it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from hyops_ci.contracts.runner_machine import Installation
from hyops_ci.dataclass import dataclass, field
from hyops_ci.runners.bootstrap.release import Release, release_table


class How(StrEnum):
    """What became of one thing of the host."""

    MADE = "made"
    CHANGED = "changed"
    KEPT = "kept"
    WOULD_MAKE = "would make"
    WOULD_CHANGE = "would change"


@dataclass(frozen=True)
class Step:
    """One thing of the host, and what became of it."""

    how: How
    what: str
    """A path, a package, a user, a unit."""


@dataclass(frozen=True)
class RunnerIdentity:
    """As what the agent is registered. Compared with what the host says of itself, before a token is minted."""

    url: str
    """`https://github.com/<owner>/<repo>`, or an organization's."""
    name: str
    labels: tuple[str, ...]
    """Beside those that GitHub gives itself."""
    group: str = ""
    """The organization's runner group; empty: its default one, or a repository's runner."""


@dataclass(frozen=True)
class Registration:
    """What registers the agent, once. Spent by the one process that reads it; never in argv, a file, a log or the evidence."""

    token: str = field(repr=False)
    """A registration token, which lives one hour."""


@dataclass(frozen=True)
class AgentArchive:
    """A release of GitHub's agent, where it is another than the release's table names (`release.json`)."""

    version: str
    sha256: str
    """As GitHub's own list of downloads gives it (`sha256_checksum`), for the architecture of the machine."""


@dataclass(frozen=True)
class SetupOrder:
    """What is to be on the host. The same order twice changes nothing the second time."""

    trust: bytes
    """The host's trust file, as `hyops-ci init` prints it; it names HyOps' own user (`host.user`)."""
    identity: RunnerIdentity
    register: Callable[[], Registration] | None = None
    """Mints what registers the agent. Called at most once, when everything else is in place and only where the host is not registered as
    `identity` already. None: everything but the registration."""
    installation: Installation = field(default_factory=Installation)
    """Mirror, offline folders, and whether HyOps is installed."""
    agent: AgentArchive | None = None
    """Instead of the agent of the release's table, where GitHub registers that version no more."""
    release: Release = field(default_factory=release_table)
    """Versions and digests of what is put there."""
    again: bool = False
    """Register even where the host says that it is: GitHub does not know this agent any more."""
    restart: bool = False
    """Start the agent anew even where nothing changed: it does not answer GitHub. A job that runs is ended."""
    only_say: bool = False
    """Say what would be done, and change nothing. `register` is not called."""


@dataclass(frozen=True)
class SetupResult:
    """What was done, for people and the evidence. Nothing in it is secret."""

    steps: tuple[Step, ...]
    """In order."""
    script_sha256: str
    """Of the one script that did it."""
    agent_version: str
    """Of the agent that is there; it keeps itself current afterwards. Empty where it does not say one."""
    registered: bool
    """Whether it was registered now; False where it was already, or was not asked for."""
    public_key: str = ""
    """The host's public evidence key, for `host_keys` of the config; empty where it would only have been made."""
    left_to_people: tuple[str, ...] = ()
    """What only people bring, such as HyOps' password file: one line each; empty where it is there."""

    @property
    def changed(self) -> bool:
        """Whether anything differed from the order."""
        return any(step.how is not How.KEPT for step in self.steps)
