"""Where the branch is, and what a host remembers of it: here as values, in `on_git` for real."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from hyops_ci.ledger.store import Head, Store
from tests.simulation.process import LOST, Call, Host, PushStore, Replay
from tests.simulation.state import Process, SimState
from tests.support.ref_store import RefStore, grown

HOSTS: Final = ("gcp", "onprem", "gcp-2", "onprem-2")


class Backend(Protocol):
    """Where the branch is, and how a process reaches it."""

    def begin(self, sim: SimState) -> SimState:
        """Return the state on the branch as it is there."""
        ...

    def store(self, replay: Replay) -> Store:
        """The store that the process's ledger works on."""
        ...

    def memory(self, commits: dict[str, str], host: str) -> Host:
        """What a host remembers; `commits` is for a backend that keeps none itself."""
        ...

    def forget(self, host: str) -> None:
        """The memory of a host is lost."""
        ...

    def answer(self, head: Head, process: Process, call: Call, how: str) -> tuple[Head, object]:
        """What a call of the store comes to: the head after it, and the answer."""
        ...

    def planted(self, head: Head) -> Head:
        """The branch with a tip that none of our processes pushed, as it is there."""
        ...


class InMemory:
    """The branch as a value."""

    def begin(self, sim: SimState) -> SimState:
        """As it is."""
        return sim

    def memory(self, commits: dict[str, str], host: str) -> Host:
        """One of them."""
        return Memory(commits, host)

    def forget(self, host: str) -> None:
        """It is part of the state."""

    def store(self, replay: Replay) -> Store:
        """The store that pushes and looks."""
        return RefStore(PushStore(replay))

    def answer(self, head: Head, process: Process, call: Call, how: str) -> tuple[Head, object]:
        """A read, or a push that takes effect unless it is lost on the way there."""
        if how == "lose":
            return head, LOST
        if call.name == "read" or call.tip is None:
            return head, head
        won = self.fits(head, call.parent)
        return (grown(head, call.commit, call.tip) if won else head), LOST if how == "lose the answer" else won

    def planted(self, head: Head) -> Head:
        """As it is."""
        return head

    def fits(self, head: Head, parent: str | None) -> bool:
        """The compare-and-swap."""
        return head.commit == parent


@dataclass
class Memory:
    """What a host remembers of the branch, as `TipMemory` keeps it."""

    commits: dict[str, str]
    host: str

    def seen(self) -> str | None:
        """The commit remembered."""
        return self.commits.get(self.host)

    def keep(self, head: Head) -> None:
        """The newer of both stays."""
        seen = self.seen()
        if seen is None or seen in head.commits:
            self.commits[self.host] = head.commit
