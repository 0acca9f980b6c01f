"""Leftovers of a lane's runner: looked for, remembered, and removed where somebody names one (docs/runner-recovery.md).

What was seen first is kept in this user's state folder, beside the ledger heads: a look on another machine is a first one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from hyops_ci.config.machines import installation_of, machine_name
from hyops_ci.config.settings import LaneSettings, env_of
from hyops_ci.contracts.base import seconds, stamp
from hyops_ci.contracts.clock import Clock
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.github_facts import RunFact, RunnerFact
from hyops_ci.contracts.ledger import Tip
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import DispatchError, Exit, Refusal
from hyops_ci.files import UnsafeFile, locked, write
from hyops_ci.json_file import read_object
from hyops_ci.ledger import rules
from hyops_ci.runners.ports import Owner, Provider
from hyops_ci.runners.reaping import Kind, Leftover, Look, leftovers, remembered

T = TypeVar("T")
LISTED_LATE: Final = timedelta(minutes=5)
"""How long GitHub may take to list a runner that registered, beside boot and start of its agent."""
MEMORY: Final = "runner-leftovers.json"
OURS: Final = ("/.github/workflows/dispatch.yml@", "/.github/workflows/runner.yml@")
"""A run that calls one of these may be on its way to the runner, whatever its jobs are called."""
MOST_BYTES: Final = 1 << 20
DOCS: Final = "runner-recovery.md"


class Registrations(Protocol):
    """Where runners are registered (`hyops_ci/github/registration.py`)."""

    def runners(self) -> Sequence[RunnerFact]:
        """Return all of them."""
        ...

    def remove(self, runner_id: int) -> bool:
        """Take one away that is not in use; False where it was gone."""
        ...


@dataclass(frozen=True)
class Sides:
    """Who is asked. None: nobody can be."""

    provider: Callable[[], Provider] | None
    """Enters it, where it was not yet. Raises Refusal or Fault where that is not possible: an answer like any other."""
    registrations: Registrations | None
    runs: Callable[[], Sequence[RunFact] | None]
    """The runs that have not ended; None where there are too many."""
    tip: Callable[[str], Tip]
    """Where a service's ledger stands. Raises where that cannot be read: then nothing is removed."""


@dataclass(frozen=True)
class Found:
    """What one look gives: leftovers, and what could not be seen."""

    leftovers: tuple[Leftover, ...]
    not_known: tuple[str, ...]
    look: Look


class LeftoverSearch:
    """One lane, looked at as often as needed."""

    def __init__(self, config: DispatchConfig, lane: LaneSettings, owner: Owner, sides: Sides, clock: Clock, state_dir: Path) -> None:
        self.config, self.lane, self.owner, self.sides, self.clock = config, lane, owner, sides, clock
        self.memory = state_dir / MEMORY

    def find(self) -> Found:
        """Return what is left over now, and remember it."""
        not_known: list[str] = []
        look = self._look(not_known)
        mine = f"{self.owner.repository_id}/{self.owner.lane}/{self.owner.runner_ref}"
        with locked(self.memory.with_suffix(".lock"), wait=5.0):
            known = _read(self.memory)
            before = known.get(mine, {})
            found = leftovers(look, before)
            # What could not be looked at is not forgotten: it was not seen to be well.
            complete = look.machines is not None and look.named is not None and look.runners is not None
            kept = remembered(found) if complete else before | remembered(found)
            write(self.memory, json.dumps(known | {mine: kept}, indent=2, sort_keys=True).encode() + b"\n")
        return Found(found, tuple(not_known), look)

    def remove(self, name: str) -> Leftover:
        """Remove the leftover that is called `name`, looked at once more just before, and return it.

        Raises Refusal `reap.name` (exit 2) for what is no leftover, `reap.kept` (exit 5) for one that may not be removed now, and what
        provider and GitHub raise.
        """
        found = self.find()
        named = [each for each in found.leftovers if each.name == name]
        if len(named) != 1:
            raise _not_one(name, found.leftovers)
        [one] = named
        if one.kept:
            raise _kept(one)
        if one.kind is Kind.REGISTRATION:
            if self.sides.registrations is not None:
                self.sides.registrations.remove(int(one.id))
            return one
        for machine in found.look.machines or ():
            if machine.id == one.id and self.sides.provider is not None:
                self.sides.provider().delete(machine)
        return one

    def _look(self, not_known: list[str]) -> Look:
        provider, registrations, name = self.sides.provider, self.sides.registrations, machine_name(self.lane)
        machines = named = runners = None
        # GitHub is asked last: what registered while the provider was asked is then seen.
        wanted = _asked("what uses the runner", self._wanted_by, not_known)
        if provider is None:
            not_known.append("machines: no credentials of the provider")
        else:
            machines = _asked("machines", lambda: provider().owned(), not_known)
            named = _asked("machines", lambda: provider().describe(name), not_known) if machines is not None else None
        if registrations is None:
            not_known.append("registrations: no App's key, and no token that may list runners")
        else:
            runners = _asked("registrations", registrations.runners, not_known)
        if wanted is None and not any("what uses" in each for each in not_known):
            not_known.append("what uses the runner: more runs wait than are looked at")
        labels = (frozenset(self.lane.labels), frozenset(self.lane.drill_runner[1]))
        return Look(self.owner, name, labels, self.clock.now(), self._grace(), machines, named, runners, wanted)

    def _grace(self) -> timedelta:
        put = installation_of(self.config, self.lane.name)
        return timedelta(seconds=seconds(put.boot_timeout) + seconds(put.online_timeout)) + LISTED_LATE

    def _wanted_by(self) -> list[str] | None:
        """Return the runs and locks that the runner may be needed for."""
        runs = self.sides.runs()
        if runs is None:
            return None
        said = [
            f"run {each.run_id} is {each.status.replace('_', ' ')}"
            for each in runs
            if any(place in path for path, _ in each.referenced for place in OURS)
        ]
        now = stamp(self.clock.now())
        for service in _services_on(self.config, self.lane.name):
            lock = rules.lock_of(self.sides.tip(service), now)
            said += [f"the lock of {service} is {lock}"] if lock != "free" else []
        return said


def _services_on(config: DispatchConfig, lane: str) -> list[str]:
    return [
        name
        for name, service in config.services.items()
        if env_of(name) and any(action.lane == lane for action in (service.failover, service.failback, service.burst) if action)
    ]


def _asked(what: str, ask: Callable[[], T], not_known: list[str]) -> T | None:
    """Return an answer, None where there is none: then why is noted."""
    try:
        return ask()
    except DispatchError as error:
        not_known.append(f"{what}: {error.reason}; {error.found}")
        return None


def _read(path: Path) -> dict[str, dict[str, str]]:
    """Return what earlier looks left. What cannot be read was never seen."""
    try:
        found: Any = read_object(path, MOST_BYTES)
    except (OSError, ValueError, UnsafeFile):
        return {}
    return {str(whose): {str(key): str(at) for key, at in each.items()} for whose, each in found.items() if isinstance(each, Mapping)}


def _not_one(name: str, found: Sequence[Leftover]) -> Refusal:
    return Refusal(
        "reap.name",
        "nothing of this name is left over",
        exit_code=Exit.USAGE,
        found=f"{name}; left over: {', '.join(each.name for each in found) or 'nothing'}",
        expected="a name that hyops-ci runner reap shows, once",
        fix="hyops-ci runner reap",
        docs=DOCS,
    )


def _kept(one: Leftover) -> Refusal:
    return Refusal(
        "reap.kept",
        f"this {one.kind} is not removed",
        exit_code=Exit.CONFLICT,
        found=f"{one.words}; {one.kept}",
        expected="something that nobody uses, seen so by two looks",
        fix="look again later: hyops-ci runner reap",
        docs=DOCS,
    )
