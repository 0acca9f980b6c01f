"""A provider in memory: the least that passes the contract suite. It serves what decides about runners, without any provider's client."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TypeVar

from hyops_ci.contracts.base import stamp
from hyops_ci.runners import troubles
from hyops_ci.runners.deadline import Deadline
from hyops_ci.runners.ports import CONSOLE, Adapters, EgressState, Machine, MachineOrder, MachineState, Owner
from tests.runners.world import OWNER, Cut, Trouble
from tests.support.clock import Clock

T = TypeVar("T")
PLACES = ("place-a", "place-b")
BOOT_SECONDS = 600.0
CHANGES = frozenset({"insert", "start", "admit", "revoke", "delete", "make way out"})


class Unavailable(Exception):
    """The service did not answer."""


class Denied(Exception):
    """The service said no."""


@dataclass
class Box:
    """One machine of the cloud."""

    name: str
    place: str
    id: str
    labels: dict[str, str]
    state: MachineState
    created_at: str
    ready_at: float | None = None
    """When a machine on its way is up; None: never, or it stands still."""
    shown_at: float = 0.0
    keys: tuple[str, ...] = ()
    login: str = ""
    console: str = ""


@dataclass
class MemoryWorld:
    """The cloud. `reach` gives the socket to a machine's SSH port; the default one answers with a banner."""

    clock: Clock = field(default_factory=Clock)
    places: int = len(PLACES)
    boxes: list[Box] = field(default_factory=list)
    requests: dict[str, Box] = field(default_factory=dict)
    troubles: set[Trouble] = field(default_factory=set)
    cutting: Cut | None = None
    nats: int = 1
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    hiccups: Iterator[int] = field(default_factory=lambda: itertools.count())
    reach: Callable[[Machine], socket.socket] | None = None
    calls: list[str] = field(default_factory=list)
    """What was asked, in order."""

    def connect(self, owner: Owner = OWNER, *, may_make_egress: bool = False) -> Adapters:
        return Adapters(MemoryProvider(self, owner), MemoryEgress(self, may_make_egress), MemoryAccess(self))

    def put(self, name: str, owner: Owner | None, state: MachineState = MachineState.RUNNING, *, place: int = 0) -> None:
        ready = self.clock.seconds + 30 if state is MachineState.STARTING else None
        self.boxes.append(self._box(name, PLACES[place], owner.labels() if owner else {}, state, ready))

    def machines(self) -> list[str]:
        return sorted(box.name for box in self.boxes)

    def disks(self) -> int:
        return len(self.boxes)

    def logins(self, name: str) -> set[str]:
        return {" ".join(box.login.split()[:2]) for box in self.boxes if box.name == name and box.login}

    def boots(self, name: str, keys: tuple[str, ...], console: str) -> None:
        for box in self.boxes:
            if box.name == name:
                box.keys, box.console = keys, console

    def cause(self, trouble: Trouble) -> None:
        self.troubles.add(trouble)

    def heal(self) -> None:
        """What was on its way for ever comes up."""
        self.troubles.clear()
        for box in self.boxes:
            if box.state is MachineState.STARTING and box.ready_at is None:
                box.ready_at = self.clock.seconds + 10

    def way_out(self, there: bool) -> None:
        self.nats = int(there)

    def ways_out(self) -> int:
        return self.nats

    @contextmanager
    def cut(self, at: int, *, done: bool) -> Iterator[Cut]:
        self.cutting = Cut(at, done)
        try:
            yield self.cutting
        finally:
            self.cutting = None

    # What the provider's client would send.

    def send(self, what: str, answer: Callable[[], T]) -> T:
        """Return what the service answers, unless something goes wrong on the way."""

        def served() -> T:
            self.calls.append(what)
            if Trouble.SILENT in self.troubles or (Trouble.HICCUP in self.troubles and next(self.hiccups) % 2 == 0):
                raise Unavailable("503")
            if Trouble.DENIED in self.troubles and what in CHANGES:
                raise Denied(f"no permission for {what}")
            return answer()

        return self.cutting.around(served) if self.cutting else served()

    def list(self) -> list[Box]:
        if Trouble.NONSENSE in self.troubles:
            return [replace(box, state="purple") for box in self.boxes]  # type: ignore[arg-type]  # a state that nobody knows
        for box in self.boxes:
            if box.state is MachineState.STARTING and box.ready_at is not None and box.ready_at <= self.clock.seconds:
                box.state = MachineState.RUNNING
        return [replace(box) for box in self.boxes if box.shown_at <= self.clock.seconds]

    def begun(self, name: str) -> bool:
        """Return whether a machine of this name is being made anywhere."""
        return any(box.name == name and box.shown_at > self.clock.seconds for box in self.boxes)

    def insert(self, name: str, place: str, request_id: str, labels: dict[str, str], login: str) -> str:
        """Return "", or why not: an answer to the same request is the same."""
        if request_id in self.requests or any(box.name == name and box.place == place for box in self.boxes):
            return ""
        if why := self.troubles & {Trouble.QUOTA, Trouble.NO_ROOM_ANYWHERE, Trouble.BAD_ORDER}:
            return why.pop().value
        if Trouble.NO_ROOM in self.troubles and place == PLACES[0]:
            return Trouble.NO_ROOM_ANYWHERE.value
        box = self._box(name, place, labels, MachineState.STARTING, self._ready())
        box.login = login
        if Trouble.LATE in self.troubles:
            box.shown_at, box.ready_at = self.clock.seconds + 20, self.clock.seconds + 40
        if Trouble.HALFWAY in self.troubles:
            box.console = "grub rescue>"
        self.boxes.append(box)
        self.requests[request_id] = box
        return ""

    def start(self, name: str) -> None:
        for box in self.boxes:
            if box.name == name and box.state is MachineState.STOPPED:
                box.state, box.ready_at = MachineState.STARTING, self._ready()

    def set_login(self, name: str, login: str) -> None:
        for box in self.boxes:
            if box.name == name:
                box.login = login

    def delete(self, box_id: str) -> None:
        self.boxes = [box for box in self.boxes if box.id != box_id]

    def _ready(self) -> float | None:
        if self.troubles & {Trouble.NEVER, Trouble.HALFWAY}:
            return None
        return self.clock.seconds + (90 if Trouble.SLOW in self.troubles else 10)

    def _box(self, name: str, place: str, labels: dict[str, str], state: MachineState, ready_at: float | None) -> Box:
        return Box(name, place, str(next(self.numbers)), dict(labels), state, stamp(self.clock.now()), ready_at)


@dataclass(frozen=True)
class MemoryProvider:
    """`hyops_ci.runners.ports.Provider`."""

    world: MemoryWorld
    owner: Owner

    def describe(self, name: str) -> Machine:
        found = [self._machine(box) for box in self._all(name) if box.name == name]
        if not found:
            return Machine(name, MachineState.ABSENT, words="not there")
        if len(found) > 1:
            return replace(found[0], state=MachineState.AMBIGUOUS, words=f"{len(found)} machines have this name")
        (one,) = found
        return one if self.owner.owns(one.labels) else replace(one, state=MachineState.AMBIGUOUS, words="it has not this owner's marks")

    def create(self, order: MachineOrder) -> Machine:
        found = self._own(order.name)
        if found.state is not MachineState.ABSENT:
            return self.start(found)
        if self._ask(order.name, "begun", lambda: self.world.begun(order.name)):
            return self._up(order.name)
        for place in PLACES:
            insert = (order.name, place, f"{order.request_id}-{place}", order.owner.labels(), order.login_key)
            why = self._ask(f"{place}/{order.name}", "insert", lambda insert=insert: self.world.insert(*insert))
            if not why:
                return self._up(order.name)
            if why == Trouble.QUOTA:
                raise troubles.quota(f"{place}/{order.name}", why)
            if why == Trouble.BAD_ORDER:
                raise troubles.unmakeable(f"{place}/{order.name}", why)
        raise troubles.no_capacity(order.name, why)

    def start(self, machine: Machine) -> Machine:
        if self._own(machine.name).state is MachineState.STOPPED:
            self._ask(machine.resource, "start", lambda: self.world.start(machine.name))
        return self._up(machine.name)

    def admit(self, machine: Machine, user: str, key: str) -> str:
        self._own(machine.name)
        self._ask(machine.resource, "admit", lambda: self.world.set_login(machine.name, key))
        return user

    def revoke(self, machine: Machine) -> None:
        self._own(machine.name)
        self._ask(machine.resource, "revoke", lambda: self.world.set_login(machine.name, ""))

    def console(self, machine: Machine) -> str:
        return self._box(machine).console[-CONSOLE:]

    def host_keys(self, machine: Machine) -> tuple[str, ...]:
        return self._box(machine).keys

    def delete(self, machine: Machine) -> None:
        found = self._own(machine.name)
        if found.state is not MachineState.ABSENT:
            self._ask(found.resource, "delete", lambda: self.world.delete(found.id))

    def owned(self) -> Sequence[Machine]:
        return [each for each in map(self._machine, self._all("machines")) if self.owner.owns(each.labels)]

    def _own(self, name: str) -> Machine:
        found = self.describe(name)
        if found.state is MachineState.AMBIGUOUS:
            raise troubles.foreign(found)
        return found

    def _up(self, name: str) -> Machine:
        until = Deadline(self.world.clock, BOOT_SECONDS)
        while (found := self._own(name)).state is not MachineState.RUNNING:
            if not until.pause(5):
                raise troubles.not_up(found, self.console(found), until.waited)
        return found

    def _box(self, machine: Machine) -> Box:
        for box in self._all(machine.name):
            if box.id == machine.id and self._machine(box):
                return box
        raise troubles.nonsense(machine.resource, "it is gone")

    def _all(self, resource: str) -> list[Box]:
        return self._ask(resource, "list", self.world.list)

    def _machine(self, box: Box) -> Machine:
        resource = f"{box.place}/{box.name}"
        if box.state not in set(MachineState):
            raise troubles.nonsense(resource, f"state {box.state}")
        return Machine(box.name, box.state, box.id, box.place, "10.0.0.2", box.created_at, box.labels, box.state.value)

    def _ask(self, resource: str, what: str, answer: Callable[[], T]) -> T:
        until = Deadline(self.world.clock, 30)
        while True:
            try:
                return self.world.send(what, answer)
            except Denied as no:
                raise troubles.permission(resource, str(no)) from None
            except Unavailable as none:
                if not until.pause(5):
                    raise troubles.no_answer(resource, str(none)) from None


@dataclass(frozen=True)
class MemoryEgress:
    """`hyops_ci.runners.ports.Egress`."""

    world: MemoryWorld
    may_make: bool

    def look(self) -> EgressState:
        there = self.world.send("look at the way out", lambda: self.world.nats)
        return EgressState(bool(there), "a way out" if there else "no way out")

    def make(self) -> EgressState:
        if not (found := self.look()).ready:
            if not self.may_make:
                raise troubles.no_way_out(found.words, "make it")
            self.world.send("make way out", lambda: self.world.way_out(True))
        return self.look()


@dataclass(frozen=True)
class MemoryAccess:
    """`hyops_ci.runners.ports.Access`."""

    world: MemoryWorld
    words: str = "in memory"

    @contextmanager
    def connect(self, machine: Machine, timeout: float) -> Iterator[socket.socket]:
        if not any(box.id == machine.id for box in self.world.boxes):
            raise ConnectionRefusedError(f"{machine.name} is not there")
        with self.world.reach(machine) if self.world.reach else _greeted() as way:
            way.settimeout(timeout)
            yield way


def _greeted() -> socket.socket:
    mine, theirs = socket.socketpair()

    def greet() -> None:
        with suppress(OSError), theirs:
            theirs.sendall(b"SSH-2.0-memory\r\n")
            theirs.recv(1)

    threading.Thread(target=greet, daemon=True).start()
    return mine
