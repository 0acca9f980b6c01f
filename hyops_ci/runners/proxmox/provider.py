"""The machine of a lane on Proxmox VE: one id, one name, one owner."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from hyops_ci.contracts.base import seconds
from hyops_ci.contracts.clock import Clock
from hyops_ci.dataclass import dataclass, replace
from hyops_ci.errors import Exit, Fault
from hyops_ci.runners import troubles
from hyops_ci.runners.deadline import Deadline
from hyops_ci.runners.ports import CONSOLE, Machine, MachineOrder, MachineState
from hyops_ci.runners.proxmox import answers, faults, tasks
from hyops_ci.runners.proxmox.api import ApiError
from hyops_ci.runners.proxmox.guest import BOOT_LOG, AgentSilentError, Guest
from hyops_ci.runners.proxmox.lifecycle import BringUp
from hyops_ci.runners.proxmox.look import Place, Seen

REMOVAL: Final = 600
"""Seconds that stopping and deleting may take."""
POLL: Final = 3.0
_USER: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


@dataclass(frozen=True)
class ProxmoxProvider:
    """`hyops_ci.runners.ports.Provider` for Proxmox VE."""

    place: Place
    clock: Clock
    say: Callable[[str], None]

    def describe(self, name: str) -> Machine:
        """Return the machine of the config's id, as the port says."""
        vmid = self.place.settings.vmid
        with faults.named(f"{self.place.settings.node}/{name} (id {vmid})"):
            return self.place.look(name, vmid).machine

    def create(self, order: MachineOrder) -> Machine:
        """Clone, set and start the machine, from wherever an earlier try left it."""
        return BringUp(self.place, self.clock, self.say, order).up(order.name, self.place.settings.vmid)

    def start(self, machine: Machine) -> Machine:
        """Start it, or wait for it."""
        return BringUp(self.place, self.clock, self.say).up(machine.name, self._id(machine))

    def admit(self, machine: Machine, user: str, key: str) -> str:
        """Put the key, alone, where the keys of cloud-init's user are, once cloud-init is done: it would add its own to them."""
        seen = self._seen(machine)
        found, user = seen.machine, _user(seen) or user
        guest, patience = self._guest(found), Deadline(self.clock, seconds(self.place.settings.installation.boot_timeout))
        with faults.named(found.resource):
            try:
                if not guest.settled(patience):
                    raise troubles.not_up(
                        replace(found, words="its guest agent or cloud-init does not answer"), self.console(found), patience.waited
                    )
                path, text = _authorized_keys(user), f"{key.strip()}\n"
                if guest.read(path) != text:
                    guest.write(path, text)
            except AgentSilentError:
                raise _no_agent(found) from None
        return user

    def revoke(self, machine: Machine) -> None:
        """Empty the user's keys on the machine, and take the key out of what cloud-init would let in at another start."""
        seen = self._seen(machine)
        with faults.named(seen.machine.resource):
            if seen.config and seen.config.get("sshkeys"):
                path = ("nodes", seen.machine.place, "qemu", seen.machine.id, "config")
                self.place.api.repeat("put", *path, delete="sshkeys")
            user = _user(seen)
            if user and seen.machine.state is MachineState.RUNNING:
                try:
                    if self._guest(seen.machine).read(_authorized_keys(user)):
                        self._guest(seen.machine).write(_authorized_keys(user), "")
                except AgentSilentError:
                    raise _no_agent(seen.machine) from None

    def console(self, machine: Machine) -> str:
        """Return the logs of its last tasks, then what cloud-init wrote: a serial console is only to be had as a terminal."""
        found = self._mine(machine)
        with faults.named(found.resource):
            said = [tasks.logs(self.place.api, found.place, int(found.id))]
            if found.state is MachineState.RUNNING:
                with suppress(AgentSilentError):
                    said.append(self.place.api.scrub(self._guest(found).read(BOOT_LOG) or ""))
        return "\n".join(filter(None, said))[-CONSOLE:]

    def host_keys(self, machine: Machine) -> tuple[str, ...]:
        """Return what the guest agent reads. Raises Fault where it shows another address than the machine is set to."""
        found = self._mine(machine)
        if found.state is not MachineState.RUNNING:
            return ()
        with faults.named(found.resource):
            try:
                keys = self._guest(found).host_keys()
                shown = self._guest(found).addresses() if keys else frozenset()
            except AgentSilentError:
                return ()
        if keys and found.address not in shown:
            raise Fault(
                "runner.address",
                "the machine does not have the address that it is set to",
                found=f"{found.resource}: {', '.join(sorted(shown)) or 'no address'}",
                expected=found.address or "an address in ipconfig0",
                fix="look at cloud-init and the network of the machine on the console of Proxmox VE",
                exit_code=Exit.RUNNER,
                docs="runners-proxmox.md",
            )
        return keys

    def delete(self, machine: Machine) -> None:
        """Stop it and delete it with its disks, once it is seen again that it is this owner's."""
        patience = Deadline(self.clock, REMOVAL)
        while True:
            with faults.named(machine.resource):
                seen = self.place.look(machine.name, self._id(machine))
            found = seen.machine
            if found.state is MachineState.ABSENT:
                return
            if found.state is MachineState.AMBIGUOUS:
                raise troubles.foreign(found)
            if not patience.left:
                raise troubles.not_gone(found, patience.waited)
            try:
                self._remove(seen, patience)
            except ApiError as error:
                if error.readable and not error.denied and not error.passing:
                    raise troubles.not_gone(replace(found, words=error.words), patience.waited) from None
                if not error.passing or not patience.pause(POLL):
                    raise faults.in_words(error, found.resource) from None

    def owned(self) -> Sequence[Machine]:
        """Return what this token sees and this owner's marks are on."""
        with faults.named(f"the guests of {self.place.settings.api}"):
            seen = [self.place.of(each) for each in self.place.guests() if each.kind == "qemu" and not each.template]
        return [each.machine for each in seen if each and self.place.owner.owns(each.machine.labels)]

    def _remove(self, seen: Seen, patience: Deadline) -> None:
        found, api = seen.machine, self.place.api
        path = ("nodes", found.place, "qemu", found.id)
        if seen.clone is not None:
            tasks.wait(api, seen.clone, patience)
            return
        if found.state is MachineState.RUNNING:
            self.say(f"stopping {found.resource}")
            task = answers.task(api.change("post", *path, "status", "stop"))
        else:
            self.say(f"deleting {found.resource}")
            task = answers.task(api.change("delete", *path, purge=1))
        end = tasks.wait(api, task, patience)
        if end.over and not end.ok and not ApiError(500, end.words).passing:
            raise faults.failed(found, end, patience.waited)

    def _id(self, machine: Machine) -> int:
        return int(machine.id) if machine.id.isdecimal() else self.place.settings.vmid

    def _seen(self, machine: Machine) -> Seen:
        """Return the machine as it is now. Raises Refusal where it is not this owner's any more, or is not there."""
        with faults.named(machine.resource):
            seen = self.place.look(machine.name, self._id(machine))
        if seen.machine.state in (MachineState.AMBIGUOUS, MachineState.ABSENT):
            raise troubles.foreign(seen.machine)
        return seen

    def _mine(self, machine: Machine) -> Machine:
        return self._seen(machine).machine

    def _guest(self, machine: Machine) -> Guest:
        return Guest(self.place.api, machine)


def _user(seen: Seen) -> str:
    """Return the user that cloud-init made; empty where the settings name none that could be part of a path."""
    user = seen.config.get("ciuser") if seen.config else ""
    return user if _USER.fullmatch(user) else ""


def _authorized_keys(user: str) -> str:
    home = "/root" if user == "root" else f"/home/{user}"
    return f"{home}/.ssh/authorized_keys"


def _no_agent(machine: Machine) -> Fault:
    return Fault(
        "runner.agent",
        "the guest agent of the machine does not answer",
        found=f"{machine.resource}: {machine.words}",
        expected="qemu-guest-agent at work on the machine, enabled in its options",
        fix="look at the machine on the console of Proxmox VE; the template must bring the agent (docs/runners-proxmox.md)",
        exit_code=Exit.RUNNER,
        docs="runners-proxmox.md",
    )
