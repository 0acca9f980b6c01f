"""What is there: the machine of an id and a name, whose it is, and whether a clone is under way."""

from __future__ import annotations

from collections.abc import Sequence

from hyops_ci.contracts.runner_machine import ProxmoxMachine
from hyops_ci.dataclass import dataclass, replace
from hyops_ci.runners.ports import Machine, MachineState, Owner
from hyops_ci.runners.proxmox import answers, marks, order, tasks
from hyops_ci.runners.proxmox.answers import Config, Guest, Task
from hyops_ci.runners.proxmox.api import Api, ApiError

_BEING_MADE = ("clone", "create")


@dataclass(frozen=True)
class Seen:
    """A machine, and what only this provider needs to know of it."""

    machine: Machine
    config: Config | None = None
    clone: Task | None = None
    """The task that makes it now."""
    fleeting: bool = False
    """It was read in several answers, between which a clone may have ended."""

    @property
    def settled(self) -> bool:
        """Whether it has its settings, and not those of its template still."""
        return marks.SETTLED in self.machine.labels


@dataclass(frozen=True)
class Place:
    """Where to look, and for whom."""

    api: Api
    settings: ProxmoxMachine
    owner: Owner

    def guests(self) -> tuple[Guest, ...]:
        """Return all that the token may see. Raises ApiError."""
        return answers.guests(self.api.get("cluster", "resources", type="vm"))

    def look(self, name: str, vmid: int) -> Seen:
        """Return the machine of this id, as it is now. Raises ApiError."""
        seen = self._once(name, vmid)
        return self._once(name, vmid) if seen.fleeting else seen

    def _once(self, name: str, vmid: int) -> Seen:
        guests = self.guests()
        guest = next((each for each in guests if each.vmid == vmid), None)
        namesakes = [each for each in guests if each.vmid != vmid and each.name == name and not each.template]
        if namesakes and vmid == self.settings.vmid:
            ids = ", ".join(f"{each.vmid} on {each.node}" for each in namesakes)
            return _unclear(
                Machine(name, MachineState.AMBIGUOUS, str(vmid)), f"the name is that of id {ids}, too; the config says id {vmid}"
            )
        seen = self._hidden(name, vmid, guests) if guest is None else self.of(guest, name)
        return self._hidden(name, vmid, guests) if seen is None else seen

    def of(self, guest: Guest, name: str = "") -> Seen | None:
        """Return what a row of the list is; None where it is gone by now. Raises ApiError."""
        machine = Machine(name or guest.name, MachineState.AMBIGUOUS, str(guest.vmid), guest.node)
        if guest.kind != "qemu" or guest.template:
            return _unclear(machine, f"id {guest.vmid} is a {'template' if guest.template else 'container'}")
        try:
            config = answers.config(self.api.get("nodes", guest.node, "qemu", str(guest.vmid), "config"))
            running, words = answers.status(self.api.get("nodes", guest.node, "qemu", str(guest.vmid), "status", "current"))
        except ApiError as error:
            if error.missing:
                return None
            raise
        found = marks.read(config.get("description"))
        machine = replace(
            machine,
            name=config.get("name") or machine.name,
            address=order.address(config),
            created_at=found.get(marks.MADE, ""),
            labels=found,
        )
        lock = config.get("lock")
        if lock in _BEING_MADE:
            return self._being_made(machine, config, lock)
        if not self.owner.owns(found):
            return _unclear(machine, "its notes do not say that it is this repository's, lane's and runner's", config)
        if name and machine.name != name:
            return _unclear(machine, f"id {guest.vmid} has the name {machine.name}, not {name}", config)
        state = MachineState.RUNNING if running else MachineState.STOPPED
        return Seen(replace(machine, state=state, words=words + (f", locked ({lock})" if lock else "")), config)

    def standing(self) -> Machine | None:
        """Return the machine of the config's id, whatever it is called, if it is this owner's. Raises ApiError."""
        guest = next((each for each in self.guests() if each.vmid == self.settings.vmid), None)
        seen = self.of(guest) if guest else None
        return seen.machine if seen and self.owner.owns(seen.machine.labels) else None

    def clone_under_way(self, vmid: int, guests: Sequence[Guest]) -> Task | None:
        """Return the task that makes a machine of this id now. Raises ApiError."""
        template = next((each for each in guests if each.vmid == self.settings.template), None)
        return tasks.clone_under_way(self.api, template.node, self.settings.template, vmid) if template else None

    def _being_made(self, machine: Machine, config: Config, lock: str) -> Seen:
        """A clone has no marks of its own before its first disk is copied: whose it is, says the task, which only this token sees."""
        clone = self.clone_under_way(int(machine.id), self.guests())
        ours = self.owner.owns(machine.labels)
        if clone is not None and (ours or not machine.labels):
            return Seen(replace(machine, state=MachineState.STARTING, words=f"being cloned ({lock})"), config, clone)
        way_out = f"on {machine.place}: qm unlock {machine.id} && qm destroy {machine.id}" if ours else "its owner can"
        return _unclear(
            machine, f"left half made (locked: {lock}) by a task that is over; no token may remove it, {way_out}", config, fleeting=True
        )

    def _hidden(self, name: str, vmid: int, guests: Sequence[Guest]) -> Seen:
        """Of an id that the token sees no guest of: free, being cloned, or taken by somebody."""
        try:
            self.api.get("cluster", "nextid", vmid=vmid)
        except ApiError as error:
            if error.status != 400:
                raise
        else:
            return Seen(Machine(name, MachineState.ABSENT))
        machine = Machine(name, MachineState.STARTING, str(vmid), words="being cloned")
        if clone := self.clone_under_way(vmid, guests):
            return Seen(replace(machine, place=clone.node), clone=clone)
        return _unclear(
            replace(machine, state=MachineState.AMBIGUOUS), f"id {vmid} is taken by a guest that the token may not see", fleeting=True
        )


def _unclear(machine: Machine, words: str, config: Config | None = None, *, fleeting: bool = False) -> Seen:
    return Seen(replace(machine, state=MachineState.AMBIGUOUS, words=words), config, fleeting=fleeting)
