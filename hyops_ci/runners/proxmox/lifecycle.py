"""A machine brought up step by step: each step looks first, so that whoever comes after one that was cut off goes on from there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from hyops_ci.contracts.base import seconds
from hyops_ci.contracts.clock import Clock
from hyops_ci.dataclass import dataclass, field
from hyops_ci.runners import troubles
from hyops_ci.runners.deadline import Deadline
from hyops_ci.runners.ports import Machine, MachineOrder, MachineState
from hyops_ci.runners.proxmox import answers, faults, marks, order, tasks
from hyops_ci.runners.proxmox.api import ApiError
from hyops_ci.runners.proxmox.look import Place, Seen

CLONE: Final = 1800
"""Seconds that the copy of the template's disk may take."""
TROUBLES: Final = 5
"""Times that one step may fail of what passes."""
PAUSE: Final = 3.0


@dataclass
class BringUp:
    """From whatever is there to a machine that runs."""

    place: Place
    clock: Clock
    say: Callable[[str], None]
    ordered: MachineOrder | None = None
    """None: start what is there, and make nothing."""
    patience: Deadline = field(init=False)
    failures: Counter[object] = field(default_factory=Counter)
    """By where they happened."""

    def __post_init__(self) -> None:
        self.patience = Deadline(self.clock, CLONE + seconds(self.place.settings.installation.boot_timeout))

    def up(self, name: str, vmid: int) -> Machine:
        """Return the machine of this id when it runs. Raises Refusal or Fault that names it."""
        resource = f"{self.place.settings.node}/{name} (id {vmid})"
        while True:
            with faults.named(resource):
                seen = self.place.look(name, vmid)
            machine = seen.machine
            if machine.state is MachineState.RUNNING:
                return machine
            if machine.state is MachineState.AMBIGUOUS:
                raise troubles.foreign(machine)
            try:
                self._step(seen, vmid)
            except ApiError as error:
                where = (machine.state, seen.settled)
                self.failures[where] += 1
                if not error.passing or self.failures[where] > TROUBLES or not self.patience.pause(PAUSE):
                    raise faults.in_words(error, resource, ordered=True) from None
            if not self.patience.left:
                raise troubles.not_up(machine, self._logs(machine), self.patience.waited)

    def _step(self, seen: Seen, vmid: int) -> None:
        machine = seen.machine
        if seen.clone is not None:
            self._wait(machine, seen.clone)
        elif machine.state is MachineState.ABSENT:
            self._clone(machine, vmid)
        elif not seen.settled or self._other_key(seen):
            self._settle(seen)
        else:
            self.say(f"starting {machine.resource}")
            path = ("nodes", machine.place, "qemu", machine.id, "status", "start")
            self._wait(machine, answers.task(self.place.api.change("post", *path)))
            self._until_it_runs(machine)

    def _clone(self, machine: Machine, vmid: int) -> None:
        if self.ordered is None:
            raise troubles.foreign(machine)
        wanted, api = self.place.settings, self.place.api
        resource = f"{wanted.node}/{machine.name} (id {vmid})"
        template = next((each for each in self.place.guests() if each.vmid == wanted.template), None)
        if template is None or not template.template or template.kind != "qemu":
            raise troubles.unmakeable(resource, f"id {wanted.template} is no template, or the token may not see it")
        data: dict[str, str | int] = {
            "newid": vmid,
            "name": machine.name,
            "full": 1,
            "description": marks.write(marks.of_order(self.ordered, self.clock)),
        }
        data |= {"target": wanted.node} if template.node != wanted.node else {}
        data |= {"storage": wanted.storage} if wanted.storage else {}
        data |= {"pool": wanted.pool} if wanted.pool else {}
        self.say(f"cloning template {template.vmid} of {template.node} to {resource}")
        task = api.change("post", "nodes", template.node, "qemu", str(template.vmid), "clone", **data)
        self._wait(Machine(machine.name, MachineState.STARTING, str(vmid), wanted.node, words="being cloned"), answers.task(task))

    def _settle(self, seen: Seen) -> None:
        """One request for all settings, refused by the API where somebody changed the machine since it was looked at."""
        machine, config = seen.machine, seen.config
        assert config is not None  # noqa: S101 - what is neither absent nor being cloned has one
        if seen.settled and self.ordered:
            wanted = order.login(self.ordered.login_user, self.ordered.login_key)
        else:
            noted = {**machine.labels, **(marks.of_order(self.ordered, self.clock) if self.ordered else {})}
            noted |= {marks.MADE: machine.created_at} if machine.created_at else {}
            wanted = order.settings(self.place.settings, config, noted)
        self.say(f"setting {machine.resource}: {', '.join(sorted(wanted))}")
        self.place.api.change("put", "nodes", machine.place, "qemu", machine.id, "config", digest=config.digest, **wanted)

    def _other_key(self, seen: Seen) -> bool:
        """Return whether cloud-init would let another run's key in at the next start."""
        present = order.login_key(seen.config) if seen.config else ""
        return self.ordered is not None and bool(present) and present != self.ordered.login_key.strip()

    def _wait(self, machine: Machine, task: answers.Task) -> None:
        end = tasks.wait(self.place.api, task, self.patience)
        if not end.ok:
            passing = ApiError(500, end.words)
            raise passing if end.over and passing.passing else faults.failed(machine, end, self.patience.waited)

    def _until_it_runs(self, machine: Machine) -> None:
        """The task of a machine under high availability only asks for its start."""
        path = ("nodes", machine.place, "qemu", machine.id, "status", "current")
        patience = Deadline(self.clock, min(self.patience.left, seconds(self.place.settings.installation.boot_timeout)))
        while not answers.status(self.place.api.get(*path))[0]:
            if not patience.pause(PAUSE):
                raise troubles.not_up(machine, self._logs(machine), patience.waited)

    def _logs(self, machine: Machine) -> str:
        """Return what its tasks said; nothing where that is not to be had."""
        with suppress(ApiError):
            return tasks.logs(self.place.api, machine.place, int(machine.id)) if machine.place and machine.id else ""
        return ""
