"""What a provider of machines, a way out and a way in must be able to do. Each is an object of its own (docs/design/anti-drift.md 2.1).

One contract suite (`tests/runners/contract.py`) runs on every implementation. What a provider says that cannot be read is a Fault that
names the resource; their words for trouble are those of `hyops_ci/runners/troubles.py`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from hyops_ci.dataclass import dataclass, field

if TYPE_CHECKING:
    from hyops_ci.contracts.clock import Clock
    from hyops_ci.contracts.config import DispatchConfig

MARK: Final = "dr-dispatch"
CONSOLE: Final = 64 * 1024
"""Characters of a console's tail."""


class MachineState(StrEnum):
    """What a provider says of a machine."""

    RUNNING = "running"
    STARTING = "starting"
    """On its way to running: being made, booting by the provider's account, or being repaired."""
    STOPPED = "stopped"
    ABSENT = "absent"
    AMBIGUOUS = "ambiguous"
    """Several fit, or the one of this name is another owner's."""
    UNKNOWN = "unknown"
    """The provider did not say: what a stage makes of the Fault of `describe`."""


@dataclass(frozen=True)
class Owner:
    """Whose machine it is. Written on every resource, and compared before one is changed or deleted."""

    repository_id: int
    lane: str
    runner_ref: str

    def labels(self) -> dict[str, str]:
        """Return the marks of a resource: lower-case names and values of letters, digits and dashes."""
        return {
            "managed-by": MARK,
            "dr-repository": str(self.repository_id),
            "dr-lane": self.lane,
            "dr-runner": self.runner_ref,
        }

    def owns(self, labels: Mapping[str, str]) -> bool:
        """Return whether a resource with these marks is this owner's."""
        return all(labels.get(name) == value for name, value in self.labels().items())


@dataclass(frozen=True)
class Machine:
    """A machine as its provider shows it."""

    name: str
    state: MachineState
    id: str = ""
    """The provider's own id; empty for a machine that is not there."""
    place: str = ""
    """Zone or node."""
    address: str = ""
    """Its private address."""
    created_at: str = ""
    """RFC 3339, UTC."""
    labels: Mapping[str, str] = field(default_factory=dict)
    words: str = ""
    """What the provider says, for people: its own word for the state, or why it is ambiguous or not known."""
    outside: str = ""
    """Its address outside, where somebody gave it one: none that is made here has any."""

    @property
    def resource(self) -> str:
        """What people call it: place, name and id."""
        return "/".join(filter(None, (self.place, self.name))) + (f" (id {self.id})" if self.id else "")


@dataclass(frozen=True)
class MachineOrder:
    """What is to be made. The same `request_id` never makes a second machine."""

    name: str
    request_id: str
    """A UUID that follows from the run and the name: a run that is started again asks for the same."""
    owner: Owner
    login_user: str
    login_key: str
    """The public half of the key that this run logs in with, in OpenSSH's form."""


class Provider(Protocol):
    """Machines of one provider, in the one place that the config names. Raises Refusal for a no, Fault for no answer."""

    def describe(self, name: str) -> Machine:
        """Return the machine of this name; state ABSENT where there is none, AMBIGUOUS where it is not this owner's."""
        ...

    def create(self, order: MachineOrder) -> Machine:
        """Make the machine, or adopt this owner's, such as an earlier try of the order left; return it when the provider calls it running.

        Never makes a second machine. Raises a Fault that names resource, state and the tail of its console for one that was begun and
        does not come up; Refusal `runner.foreign` where the name is another owner's.
        """
        ...

    def start(self, machine: Machine) -> Machine:
        """Start a stopped machine of this owner, or wait for one on its way; return it when the provider calls it running."""
        ...

    def admit(self, machine: Machine, user: str, key: str) -> str:
        """Let the holder of this key, and of no other that an earlier run left, log in; return the user's name on the machine.

        Called before each login, whether the machine was made, adopted, started or found running.
        """
        ...

    def revoke(self, machine: Machine) -> None:
        """Take back what `admit` and `create` let in. No key of this project logs in afterwards."""
        ...

    def console(self, machine: Machine) -> str:
        """Return the tail of its console, at most `CONSOLE` characters, for a diagnosis; empty where there is none."""
        ...

    def host_keys(self, machine: Machine) -> tuple[str, ...]:
        """Return its public SSH host keys by the provider's own channel, never by the network to be proven; none while it has none."""
        ...

    def delete(self, machine: Machine) -> None:
        """Delete a machine with its disk; done where it is gone already. Raises Refusal `runner.foreign` for one that is not this owner's.

        What the provider says now counts, not what `machine` says.
        """
        ...

    def owned(self) -> Sequence[Machine]:
        """Return every machine of this owner, of any name, with the state that each is in."""
        ...


@dataclass(frozen=True)
class EgressState:
    """Whether the machine will reach GitHub."""

    ready: bool
    words: str


class Egress(Protocol):
    """The way out of the network that the machine is in; apart from the machine."""

    def look(self) -> EgressState:
        """Return whether it is there."""
        ...

    def make(self) -> EgressState:
        """Make it, where the config says so. Raises Refusal `runner.egress` where it does not."""
        ...


class Access(Protocol):
    """The way in, to the machine's own SSH port and to nothing else."""

    @property
    def words(self) -> str:
        """Return what people call it."""
        ...

    def connect(self, machine: Machine, timeout: float) -> AbstractContextManager[socket.socket]:
        """Return a connected socket to its port 22. Raises OSError where there is none within `timeout` seconds."""
        ...


@dataclass(frozen=True)
class Adapters:
    """What reaches one provider. Nothing is asked before the first call of a method."""

    provider: Provider
    egress: Egress
    access: Access


@dataclass(frozen=True)
class Reach:
    """What a provider is reached with, whichever it is."""

    config: DispatchConfig
    owner: Owner
    clock: Clock
    say: Callable[[str], None]
    secret: Callable[[str], str] = field(repr=False)
    """Returns what the authority keeps at one of the machine's `secrets`. Raises Refusal (exit 8) or Fault (exit 12)."""
    identity: Callable[[], Callable[[str], str] | None] = field(repr=False)
    """Returns what gives the job's own token for an audience; None from a shell. Raises Refusal (exit 8) for a job that has none."""
    runner: str = ""
    """The runner that the job is on."""
    runner_environment: str | None = None
    """Whose machine that is, in GitHub's words; None from a shell."""
