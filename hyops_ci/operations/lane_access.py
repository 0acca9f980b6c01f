"""The way to a lane's machine and to its registration, for a job or a person: opened at the first use, and never wider than the lane.

The authority is asked once for all values, by a role that reads no secret of an env. No provider's SDK is imported before it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from hyops_ci.config.bootstrap import bootstrap_class, bootstrap_places, bootstrap_secrets
from hyops_ci.config.machines import machine_of
from hyops_ci.contracts.authorities import AUTHORITIES
from hyops_ci.contracts.clock import Clock
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.dataclass import dataclass
from hyops_ci.github.api.client import API
from hyops_ci.github.registration import Registry
from hyops_ci.runners.ports import Adapters, Owner, Reach
from hyops_ci.runners.providers import adapters_for
from hyops_ci.runners.troubles import lacking
from hyops_ci.secrets.places import read_places
from hyops_ci.secrets.port import Access, Purpose


def no_output(_: str) -> None:
    """Print nothing."""


def no_note(_: str, **__: Any) -> None:
    """Write nothing down."""


def no_identity() -> None:
    """Return None: nobody is asked as a job."""


@dataclass(frozen=True)
class Means:
    """What whoever asks has."""

    clock: Clock
    identity: Callable[[], Callable[[str], str] | None] = no_identity
    """Gives what the job proves itself with, a token for each audience; None in a shell. Raises Refusal (exit 8)."""
    api_url: str = API
    say: Callable[[str], None] = no_output
    learn: Callable[[str], None] = no_output
    """Gets every secret value as soon as it is known."""
    note: Callable[..., None] = no_note
    """Writes a fact into the evidence."""
    runner: str = ""
    """What the runner of this job is called."""
    runner_environment: str | None = None
    """Whose machine this job is on, in GitHub's words; None in a shell."""


@dataclass(frozen=True)
class LaneAccess:
    """One lane of a config, as reached with these means."""

    config: DispatchConfig
    lane: str
    means: Means

    @cached_property
    def values(self) -> Mapping[str, str]:
        """The App's key, and the provider's token where it has one, by place. Raises Refusal (exit 7 or 8) or Fault (exit 12)."""
        plan, places = bootstrap_secrets(self.config), bootstrap_places(self.config, self.lane)
        if plan is None or self.config.vault is None:
            raise lacking("no vault in the config: nothing keeps the keys that making a runner takes")
        remote, glass = AUTHORITIES[plan.kind].remote, self.config.vault.break_glass
        token_for = self.means.identity() if remote else None
        # As `hyops-ci run` logs in: with the token that a person put on this host, and never on a job of GitHub's.
        token_file = glass.path if remote and token_for is None and glass is not None else ""
        access = Access(bootstrap_class(self.config, self.lane), Purpose.EXECUTE, token_for, token_file, learn=self.means.learn)
        read = read_places(plan, places, access)
        self.means.note("authority", **read.account.document())
        return read.values

    def adapters(self, owner: Owner) -> Adapters:
        """Return what reaches the provider of the lane. Raises Refusal `runner.tools` where there is nothing to reach."""
        machine = machine_of(self.config, owner.lane)
        if machine is None:
            raise lacking(f"no lanes.{owner.lane}.machine")
        means = self.means
        reach = Reach(
            self.config,
            owner,
            means.clock,
            means.say,
            secret=lambda place: self.values[place],
            identity=means.identity,
            runner=means.runner,
            runner_environment=means.runner_environment,
        )
        return adapters_for(machine, reach)

    def registry(self, repository: str) -> Registry:
        """Return where the runners of a repository are registered, entered as the adopter's App. Raises Refusal."""
        registration = self.config.registration
        if registration is None:
            raise lacking("no registration: the GitHub App is not named")
        means, key = self.means, self.values[registration.key]
        return Registry.connect(registration, key, repository, api_url=means.api_url, say=means.say, learn=means.learn)
