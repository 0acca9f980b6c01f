"""What the API says instead of an answer, in the words that all providers share, with the name of the machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from hyops_ci.errors import DispatchError
from hyops_ci.runners import troubles
from hyops_ci.runners.ports import Machine
from hyops_ci.runners.proxmox.api import ApiError
from hyops_ci.runners.proxmox.tasks import TaskEnd

_QUOTA: Final = re.compile(r"quota exceeded", re.IGNORECASE)
_FULL: Final = re.compile(
    r"no space left|not enough (free )?space|out of space|insufficient free space|not enough free memory|cannot allocate memory",
    re.IGNORECASE,
)


def in_words(error: ApiError, resource: str, *, ordered: bool = False) -> DispatchError:
    """Return what a person is told; `ordered`: the request would have made or changed the machine."""
    if not error.readable:
        return troubles.nonsense(resource, error.words)
    if error.denied:
        return troubles.permission(resource, error.words)
    if ordered and not error.passing:
        return troubles.unmakeable(resource, error.words)
    return troubles.no_answer(resource, error.words)


@contextmanager
def named(resource: str) -> Iterator[None]:
    """Name the machine in whatever the API says inside. Raises Refusal or Fault in place of ApiError."""
    try:
        yield
    except ApiError as error:
        raise in_words(error, resource) from None


def failed(machine: Machine, end: TaskEnd, waited: float) -> DispatchError:
    """Return what a person is told of a task that did not do what it was to do, or does not end."""
    said = f"{end.words}\n{end.log}"
    if end.over and _QUOTA.search(said):
        return troubles.quota(machine.resource, end.words)
    if end.over and _FULL.search(said):
        return troubles.no_capacity(machine.resource, end.words)
    words = f"{machine.words or machine.state}, its task: {end.words}"
    return troubles.not_up(Machine(machine.name, machine.state, machine.id, machine.place, words=words), end.log, waited)
