"""Machines on Compute Engine: `hyops_ci.runners.ports.Provider`.

Two of one name are never begun. A name is looked for in every zone of the config; before a machine is asked for, an operation that an
earlier try left is waited for; each zone is asked by an id of its own that follows from the order; and the next zone is asked only when
the operation in the one before it has ended for want of room.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from hyops_ci.dataclass import dataclass, replace
from hyops_ci.errors import DispatchError
from hyops_ci.runners import troubles
from hyops_ci.runners.deadline import Deadline
from hyops_ci.runners.gcp.cloud import Cloud, NotThere, Taken, every
from hyops_ci.runners.gcp.host_keys import printed_keys
from hyops_ci.runners.gcp.instance import ordered, shown
from hyops_ci.runners.gcp.logins import MetadataLogin, OsLogin
from hyops_ci.runners.gcp.operations import NoRoom, Operations
from hyops_ci.runners.gcp.site import Site, derived
from hyops_ci.runners.ports import CONSOLE, MARK, Machine, MachineOrder, MachineState

if TYPE_CHECKING:
    from google.cloud import compute_v1

STEP: Final = 5.0
"""Seconds between two looks at a machine."""
STANDS_STILL: Final = frozenset({"TERMINATED", "STOPPED"})


@dataclass(frozen=True)
class Machines:
    """The machines of one site."""

    cloud: Cloud

    @property
    def site(self) -> Site:
        """Return what they are asked for by."""
        return self.cloud.site

    def describe(self, name: str) -> Machine:
        """Return the machine of this name, in whichever zone of the config it is."""
        found = [machine for zone in self.site.machine.zones if (machine := self._look(zone, name))]
        if not found:
            return Machine(name, MachineState.ABSENT, words="not there")
        if len(found) > 1:
            places = ", ".join(each.place for each in found)
            return replace(found[0], state=MachineState.AMBIGUOUS, words=f"there is one of this name in {places}")
        if not self.site.owner.owns(found[0].labels):
            marks = ", ".join(f"{key}={value}" for key, value in sorted(found[0].labels.items())) or "none"
            return replace(found[0], state=MachineState.AMBIGUOUS, words=f"it carries other marks: {marks}")
        return found[0]

    def create(self, order: MachineOrder) -> Machine:
        """Make the machine in the first zone that has room, or adopt this owner's."""
        until = Deadline(self.site.clock, self.site.boot_seconds)
        if (found := self._up(order.name, until) or self._begun(order, until)) is not None:
            return found
        full = ""
        for zone in self.site.machine.zones:
            self.site.say(f"asking for {self.site.resource(zone, order.name)}")
            try:
                return self._made(order.name, zone, self._insert(zone, order), until)
            except NoRoom as why:
                full = str(why)
                self.site.say(f"{zone} has no room: {why}")
        raise troubles.no_capacity(self.site.resource(",".join(self.site.machine.zones), order.name), full)

    def start(self, machine: Machine) -> Machine:
        """Start a machine of this owner that stands still; return it when it runs."""
        found = self._up(machine.name, Deadline(self.site.clock, self.site.boot_seconds))
        if found is None:
            raise troubles.nonsense(machine.resource, "it is gone")
        return found

    def admit(self, machine: Machine, user: str, key: str) -> str:
        """Let this key in, and no other that was let in for a bootstrap."""
        found = _private(self._there(machine))
        return self._logins.admit(found.place, found, user, key)

    def revoke(self, machine: Machine) -> None:
        """Let no key in that was let in for a bootstrap."""
        found = self._there(machine)
        self._logins.revoke(found.place, found)

    def console(self, machine: Machine) -> str:
        """Return the tail of the first serial port."""
        from hyops_ci.runners.gcp.clients import compute_v1

        request = compute_v1.GetSerialPortOutputInstanceRequest(
            project=self.site.project, zone=machine.place, instance=machine.name, port=1
        )
        try:
            text = self.cloud.ask(machine.resource, self.cloud.instances.get_serial_port_output, request).contents
        except NotThere:
            return ""
        return text[-CONSOLE:]

    def host_keys(self, machine: Machine) -> tuple[str, ...]:
        """Return the keys that the guest agent wrote into the guest attributes; else those that the boot printed on the console."""
        from hyops_ci.runners.gcp.clients import compute_v1

        request = compute_v1.GetGuestAttributesInstanceRequest(
            project=self.site.project, zone=machine.place, instance=machine.name, query_path="hostkeys/"
        )
        try:
            found = self.cloud.ask(machine.resource, self.cloud.instances.get_guest_attributes, request).query_value.items
        except NotThere:
            return printed_keys(self.console(machine))
        keys = tuple(f"{each.key} {each.value}" for each in found if each.namespace == "hostkeys")
        return keys or printed_keys(self.console(machine))

    def delete(self, machine: Machine) -> None:
        """Delete a machine of this owner; its disk goes with it."""
        from hyops_ci.runners.gcp.clients import compute_v1

        until = Deadline(self.site.clock, self.site.boot_seconds)
        while (found := self._own(machine.name)).state is not MachineState.ABSENT:
            request = compute_v1.DeleteInstanceRequest(project=self.site.project, zone=found.place, instance=found.name)
            try:
                operation = self.cloud.ask(found.resource, self.cloud.instances.delete_unary, request)
                self._operations.in_zone(found.resource, found.place, operation, until)
            except (NotThere, Taken):
                pass  # gone meanwhile, or on its way
            if self._own(machine.name).state is not MachineState.ABSENT and not until.pause(STEP):
                raise troubles.not_gone(found, until.waited)

    def owned(self) -> Sequence[Machine]:
        """Return every machine with this owner's marks in the zones of the config."""
        from hyops_ci.runners.gcp.clients import compute_v1

        marked = " AND ".join(f'(labels.{key} = "{value}")' for key, value in self.site.owner.labels().items())
        found: list[Machine] = []
        for zone in self.site.machine.zones:
            request = compute_v1.ListInstancesRequest(project=self.site.project, zone=zone, filter=marked)
            listed = self.cloud.ask(self.site.resource(zone, f"machines of {MARK}"), every(self.cloud.instances.list), request)
            found += [shown(self.site, zone, each) for each in listed]
        return [each for each in found if self.site.owner.owns(each.labels)]

    @property
    def _operations(self) -> Operations:
        return Operations(self.cloud)

    @property
    def _logins(self) -> MetadataLogin | OsLogin:
        return OsLogin(self.cloud) if self.site.machine.login == "os-login" else MetadataLogin(self.cloud)

    def _look(self, zone: str, name: str) -> Machine | None:
        from hyops_ci.runners.gcp.clients import compute_v1

        resource = self.site.resource(zone, name)
        request = compute_v1.GetInstanceRequest(project=self.site.project, zone=zone, instance=name)
        try:
            found = self.cloud.ask(resource, self.cloud.instances.get, request)
        except NotThere:
            return None
        if found.name != name:
            raise troubles.nonsense(resource, f"a machine called {found.name or 'nothing'}")
        return shown(self.site, zone, found)

    def _own(self, name: str) -> Machine:
        found = self.describe(name)
        if found.state is MachineState.AMBIGUOUS:
            raise troubles.foreign(found)
        return found

    def _up(self, name: str, until: Deadline) -> Machine | None:
        """Return this owner's machine when it runs, started where it stands still; None where there is none, or none any more."""
        asked = False
        while (found := self._own(name)).state is not MachineState.RUNNING:
            if found.state is MachineState.ABSENT:
                return None  # one that a zone had no room for shows for a while, too
            _private(found)
            if not asked and found.words in {*STANDS_STILL, "SUSPENDED"}:
                asked = self._wake(found, until)
            elif not until.pause(STEP):
                raise troubles.not_up(found, self._last_words(found), until.waited)
        return _private(found)

    def _there(self, machine: Machine) -> Machine:
        found = self._own(machine.name)
        if found.state is MachineState.ABSENT:
            raise troubles.nonsense(machine.resource, "it is gone")
        return found

    def _begun(self, order: MachineOrder, until: Deadline) -> Machine | None:
        """Return the machine that an operation of an earlier try makes; None where there is none, or where it ended for want of room."""
        for zone in self.site.machine.zones:
            if (operation := self._operations.inserting(zone, order.name)) is not None:
                self.site.say(f"waiting for operation {operation.name} of an earlier try")
                try:
                    return self._made(order.name, zone, operation, until)
                except NoRoom as why:
                    self.site.say(f"{zone} has no room: {why}")
        return self._up(order.name, until)

    def _insert(self, zone: str, order: MachineOrder) -> compute_v1.Operation | None:
        """Return the operation that makes it; None where a machine of this name is there already."""
        from hyops_ci.runners.gcp.clients import compute_v1

        resource = self.site.resource(zone, order.name)
        request = compute_v1.InsertInstanceRequest(
            project=self.site.project,
            zone=zone,
            instance_resource=ordered(self.site, zone, order),
            request_id=derived(order.request_id, "insert", zone),
        )
        try:
            return self.cloud.ask(resource, self.cloud.instances.insert_unary, request)
        except Taken:
            return None
        except NotThere as missing:
            raise troubles.unmakeable(resource, str(missing)) from None

    def _made(self, name: str, zone: str, operation: compute_v1.Operation | None, until: Deadline) -> Machine:
        """Return the machine when it runs. An operation that has not ended may still make it: no other zone is asked then."""
        resource = self.site.resource(zone, name)
        if operation is not None and not self._operations.in_zone(resource, zone, operation, until):
            late = Machine(name, MachineState.STARTING, place=zone, words=f"being made by operation {operation.name}")
            raise troubles.not_up(self._look(zone, name) or late, "", until.waited)
        while (found := self._own(name)).state is not MachineState.RUNNING:
            if not until.pause(STEP):
                raise troubles.not_up(found, self._last_words(found), until.waited)
        return found

    def _wake(self, machine: Machine, until: Deadline) -> bool:
        """Ask for its start; an answer that it is on its way already is one, too."""
        from hyops_ci.runners.gcp.clients import compute_v1

        here = {"project": self.site.project, "zone": machine.place, "instance": machine.name}
        try:
            if machine.words == "SUSPENDED":
                resume = compute_v1.ResumeInstanceRequest(**here)
                operation = self.cloud.ask(machine.resource, self.cloud.instances.resume_unary, resume)
            else:
                start = compute_v1.StartInstanceRequest(**here)
                operation = self.cloud.ask(machine.resource, self.cloud.instances.start_unary, start)
            self._operations.in_zone(machine.resource, machine.place, operation, until)
        except NoRoom as why:
            raise troubles.no_capacity(machine.resource, str(why)) from None
        except Taken:
            return False
        return True

    def _last_words(self, machine: Machine) -> str:
        """Return the tail of the console; whether there is one or not, the fault that is under way is the one to tell."""
        try:
            text = self.console(machine) if machine.state is not MachineState.ABSENT else ""
        except DispatchError:
            return ""
        for line in text.splitlines()[-20:]:
            self.site.say(f"console: {line}")
        return text


def _private(machine: Machine) -> Machine:
    """Return it. Raises Refusal where somebody gave it an address outside."""
    if machine.outside:
        raise troubles.exposed(machine)
    return machine
