"""Leftovers of runners, both ways: a machine without a registration, and a registration without a machine (docs/runner-recovery.md).

Pure. Nothing is a leftover that could be of use: what is in use, young, another owner's, wanted by a run, or not known for certain is
kept, and why is said. What is left is so at two looks, `BETWEEN` apart: GitHub lists a runner late, and a provider can be wrong for a
moment. What was seen first is remembered by the id of the thing, so that another one of the same name begins anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from hyops_ci.contracts.base import moment, stamp
from hyops_ci.contracts.github_facts import RunnerFact
from hyops_ci.dataclass import dataclass
from hyops_ci.runners.ports import Machine, MachineState, Owner

BETWEEN: Final = timedelta(minutes=10)
"""From the first look at a leftover to the one that lets it be removed."""


class Kind(StrEnum):
    """What is left over."""

    MACHINE = "machine"
    REGISTRATION = "registration"


@dataclass(frozen=True)
class Look:
    """What was seen of one lane's runner, in one moment. None: it could not be looked at, to its end."""

    owner: Owner
    name: str
    """What the machine and its agent are called (`lanes.<lane>.names`, else `runner_ref`)."""
    labels: tuple[frozenset[str], ...]
    """Sets of labels by which jobs reach the machine: the lane's, and those of a drill runner on the same host."""
    at: datetime
    grace: timedelta
    """How long a machine may take from its creation until GitHub lists its agent."""
    machines: Sequence[Machine] | None
    """Every machine of this owner, of any name."""
    named: Machine | None
    """The machine of that name, whoever's it is."""
    runners: Sequence[RunnerFact] | None
    """Every runner that is registered where this one is."""
    wanted_by: Sequence[str] | None
    """The runs that use the runner or wait for it, and the services whose lock is held; in words."""


@dataclass(frozen=True)
class Leftover:
    """One thing that has no counterpart, and whether it may be removed."""

    kind: Kind
    name: str
    id: str
    """The provider's, or GitHub's number."""
    words: str
    """What is wrong with it."""
    first_seen: str
    """RFC 3339, UTC."""
    kept: str = ""
    """Why it may not be removed now; empty where it may."""

    @property
    def key(self) -> str:
        """By what it is remembered."""
        return f"{self.kind} {self.id}"


def leftovers(look: Look, seen: Mapping[str, str]) -> tuple[Leftover, ...]:
    """Return what has no counterpart. `seen`: what an earlier look left (`remembered`), key -> when it was first seen."""
    return tuple(_settled(found, kept, look, seen) for found, kept in (*_machines(look), *_registrations(look)))


def remembered(found: Iterable[Leftover]) -> dict[str, str]:
    """Return what the next look is to know. What is seen no more is forgotten."""
    return {each.key: each.first_seen for each in found}


def _settled(found: Leftover, kept: str, look: Look, seen: Mapping[str, str]) -> Leftover:
    first = _first_seen(seen.get(found.key, ""), look.at)
    if not kept and look.at - first < BETWEEN:
        ready = first + BETWEEN
        kept = "seen for the first time" if first == look.at else f"seen since {stamp(first)}"
        kept = f"{kept}: a look after {stamp(ready)} lets it be removed"
    return Leftover(found.kind, found.name, found.id, found.words, stamp(first), kept)


def _first_seen(said: str, now: datetime) -> datetime:
    """Return when it was first seen: now, where nothing that can be read says an earlier time."""
    try:
        return min(moment(said), now)
    except ValueError:
        return now


def _machines(look: Look) -> Iterable[tuple[Leftover, str]]:
    """Yield the machines of this owner that no registration belongs to, each with why it is kept; none where GitHub did not list all."""
    for machine in look.machines or () if look.runners is not None else ():
        if look.owner.owns(machine.labels) and not _agents_of(machine, look):
            words = f"{machine.resource} is {machine.state}, and GitHub knows no runner of it"
            yield Leftover(Kind.MACHINE, machine.name, machine.id, words, ""), _why_machine_stays(machine, look)


def _why_machine_stays(machine: Machine, look: Look) -> str:
    if not machine.id or machine.state in (MachineState.UNKNOWN, MachineState.AMBIGUOUS):
        return f"the provider does not say which one it is: {machine.words}"
    if machine.state is MachineState.STARTING:
        return "it is on its way up"
    if why := _too_young(machine.created_at, look):
        return why
    if strangers := _unaccounted(look):
        return f"{' and '.join(strangers)} may be its agent under another name"
    return _wanted(look)


def _registrations(look: Look) -> Iterable[tuple[Leftover, str]]:
    """Yield the registration under the machine's own name where the provider says for certain that there is no machine."""
    if look.named is None or look.named.state is not MachineState.ABSENT or look.machines is None:
        return
    if any(machine.name.casefold() == look.name.casefold() for machine in look.machines):
        return
    for runner in look.runners or ():
        if runner.name.casefold() == look.name.casefold() and _carries(runner, look.labels):
            words = f"{runner.name} is {'online' if runner.online else 'offline'}, and {look.owner.lane} has no machine of that name"
            yield Leftover(Kind.REGISTRATION, runner.name, str(runner.id), words, ""), _why_registration_stays(runner, look)


def _why_registration_stays(runner: RunnerFact, look: Look) -> str:
    if runner.busy:
        return "it works on a job"
    if runner.online:
        return "it is online: a machine that the provider does not show is behind it"
    return _wanted(look)


def _agents_of(machine: Machine, look: Look) -> list[RunnerFact]:
    """Return the registrations that may be the machine's: of its name, or with a suffix, as a second agent on the same host has."""
    name, others = machine.name.casefold(), {each.name.casefold() for each in look.machines or ()} - {machine.name.casefold()}
    called = [(each.name.casefold(), each) for each in look.runners or ()]
    return [each for has, each in called if has == name or (has.startswith(f"{name}-") and has not in others)]


def _unaccounted(look: Look) -> list[str]:
    """Return runners that are at work, would take the lane's jobs and belong to no machine that is known by its name."""
    known = {id(runner) for machine in look.machines or () for runner in _agents_of(machine, look)}
    working = [each for each in look.runners or () if each.online or each.busy]
    return [each.name for each in working if id(each) not in known and _carries(each, look.labels)]


def _carries(runner: RunnerFact, labels: Sequence[frozenset[str]]) -> bool:
    has = {label.casefold() for label in runner.labels}
    return any({label.casefold() for label in wanted} <= has for wanted in labels)


def _too_young(created_at: str, look: Look) -> str:
    try:
        age = look.at - moment(created_at)
    except ValueError:
        return "the provider does not say when it was made"
    left = look.grace - age
    return f"it was made at {created_at}: its agent has until {stamp(look.at + left)}" if left > timedelta(0) else ""


def _wanted(look: Look) -> str:
    if look.wanted_by is None:
        return "whether a run uses it is not known"
    return f"in use: {'; '.join(look.wanted_by)}" if look.wanted_by else ""
