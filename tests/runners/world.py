"""What the contract suite needs of a provider and of what lies behind it: a fake cloud in which things go wrong when told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar

from hyops_ci.runners.ports import Adapters, MachineOrder, MachineState, Owner
from tests.support.clock import Clock

T = TypeVar("T")
OWNER = Owner(repository_id=734021, lane="gcp", runner_ref="gcp-ops-runner")
OTHERS = (
    Owner(repository_id=734022, lane="gcp", runner_ref="gcp-ops-runner"),
    Owner(repository_id=734021, lane="onprem", runner_ref="gcp-ops-runner"),
    Owner(repository_id=734021, lane="gcp", runner_ref="gcp-drill-runner"),
)
NAME = "gcp-ops-runner"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO8kZ8l7iHqJf0b5xw3zqk1y1nq6m3s0p9o8i7u6y5t4 dr-dispatch"
NEXT_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbCdEfGhIjKlMnOpQrStUvWxYz0123456789abcdefghijk dr-dispatch"
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHostHostHostHostHostHostHostHostHostHostHost"
ORDER = MachineOrder(name=NAME, request_id="5f0f5a54-7b0e-5d1c-8f2b-0d6a3c9e1b77", owner=OWNER, login_user="opsadmin", login_key=KEY)


class Trouble(StrEnum):
    """What goes wrong."""

    QUOTA = "quota"
    """The next creation is refused: no quota."""
    DENIED = "denied"
    """Whatever changes something is refused: no permission."""
    NO_ROOM = "no room"
    """The first place has no room for the next machine."""
    NO_ROOM_ANYWHERE = "no room anywhere"
    SLOW = "slow"
    """An operation takes 90 seconds."""
    NEVER = "never"
    """Operations do not end."""
    HALFWAY = "halfway"
    """A machine that is made does not come up; its console tells why."""
    SILENT = "silent"
    """Nothing is answered."""
    NONSENSE = "nonsense"
    """Answers about machines have another form."""
    HICCUP = "hiccup"
    """Two answers in three are an error of the service, once each."""
    LATE = "late"
    """A machine that is being made shows in lists after 20 seconds only; its operation shows at once."""
    BAD_ORDER = "bad order"
    """The image of the order is not known."""


class Killed(BaseException):
    """The process ends here."""


class World(Protocol):
    """A provider's cloud. Everything but `connect` looks and acts from outside, without the code under test."""

    clock: Clock
    places: int
    """In how many places a machine may be made."""

    def connect(self, owner: Owner = OWNER, *, may_make_egress: bool = False) -> Adapters:
        """Return new adapters, as another process has them."""
        ...

    def put(self, name: str, owner: Owner | None, state: MachineState = MachineState.RUNNING, *, place: int = 0) -> None:
        """Leave a machine there that somebody made; without an owner it has no marks at all."""
        ...

    def machines(self) -> list[str]:
        """Return the name of every machine there is, whoever's."""
        ...

    def disks(self) -> int:
        """Return how many disks there are."""
        ...

    def logins(self, name: str) -> set[str]:
        """Return the public keys, without comments, that the machine lets in now."""
        ...

    def boots(self, name: str, keys: tuple[str, ...], console: str) -> None:
        """The machine has made its host keys and printed this on its console."""
        ...

    def cause(self, trouble: Trouble) -> None:
        """From now on this goes wrong, too."""
        ...

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        ...

    def way_out(self, there: bool) -> None:
        """The network has a way out, or has none."""
        ...

    def ways_out(self) -> int:
        """Return how many ways out there are."""
        ...

    def cut(self, at: int, *, done: bool) -> AbstractContextManager[Cut]:
        """Raise `Killed` at the request of this number, from 0: before it is sent, or `done`, when its answer is lost."""
        ...


@dataclass
class Cut:
    """Counts requests, and ends the process at one of them."""

    at: int
    done: bool
    count: int = 0
    fell: bool = False

    def around(self, request: Callable[[], T]) -> T:
        """Send the request, unless the process ends first; return its answer, unless the process ends then."""
        here = self.count == self.at
        self.count += 1
        self.fell = self.fell or here
        if here and not self.done:
            raise Killed
        answer = request()
        if here:
            raise Killed
        return answer


@contextmanager
def falls(cut: Cut) -> Iterator[None]:
    """Take the process' end, if it comes."""
    try:
        yield
    except Killed:
        assert cut.fell
