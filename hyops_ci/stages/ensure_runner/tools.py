"""What the stage works with: provider, ways out and in, GitHub's registrations, proof and setup of a host. Made by the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.github_facts import RunnerFact
from hyops_ci.dataclass import dataclass
from hyops_ci.runners.bootstrap.order import AgentArchive, Registration, SetupOrder, SetupResult
from hyops_ci.runners.ports import Adapters, Owner
from hyops_ci.runners.ssh import Candidate, Login, ProvenHost
from hyops_ci.stages.context import RunContext


class Registry(Protocol):
    """GitHub's registrations of runners, where the lane's are."""

    @property
    def url(self) -> str:
        """What an agent is registered at."""
        ...

    @property
    def group(self) -> str:
        """The organization's runner group; empty for a repository's own runner, or the default group."""
        ...

    def runners(self) -> Sequence[RunnerFact]:
        """Return all of them. Raises Refusal or Fault."""
        ...

    def register(self) -> Registration:
        """Mint what registers one agent, now. Raises Refusal or Fault."""
        ...

    def agent(self) -> AgentArchive | None:
        """Return the agent that GitHub registers where it is not the release's own. Raises Refusal where it registers neither."""
        ...


@dataclass(frozen=True)
class Tools:
    """Nothing is asked, and no SDK is imported, before the first call."""

    adapters: Callable[[Owner], Adapters]
    registry: Callable[[], Registry]
    """Opens it, with the one value that the authority keeps for it. Raises Refusal or Fault."""
    prove: Callable[[Candidate, Login, float], ProvenHost]
    """Return the proven host within so many seconds."""
    set_up: Callable[[ProvenHost, SetupOrder], SetupResult]
    trust: Callable[[], bytes]
    """Return the trust file of the lane's host."""


class LaneRunner(Protocol):
    """Whose runner it is: a plan says it, and so does whoever repairs one outside a run."""

    @property
    def lane(self) -> str:
        """The lane."""
        ...

    @property
    def runs_on(self) -> tuple[str, ...]:
        """Labels of its runner."""
        ...


class WorkContext(Protocol):
    """Where the work on a runner is done: in a planned run, or outside of one."""

    @property
    def context(self) -> RunContext:
        """Job, clock, and GitHub."""
        ...

    @property
    def config(self) -> DispatchConfig:
        """The reviewed config."""
        ...

    @property
    def plan(self) -> LaneRunner:
        """Whose runner it is."""
        ...


@dataclass(frozen=True)
class ToolsRequest:
    """What the tools are made for."""

    plan: LaneRunner
    config: DispatchConfig
    context: RunContext
    learn: Callable[[str], None]
    """Gets every secret value as soon as it is known, so that none is shown."""
    note: Callable[..., None]
    """Writes a fact into the evidence."""


ToolsFor = Callable[[ToolsRequest], Tools]
