"""The interface of a branch: read the head with its history, append a commit if nothing came between."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from hyops_ci.contracts.ledger import Tip
from hyops_ci.dataclass import dataclass


@dataclass(frozen=True)
class Head:
    """The newest commit of a branch, with every tip it grew from, newest first."""

    commit: str
    tips: tuple[Tip, ...]
    commits: tuple[str, ...]
    """Ids of the same commits: they show whether another head is older, newer or unrelated."""

    @property
    def tip(self) -> Tip:
        """The newest tip."""
        return self.tips[0]

    def spent_nonces(self) -> frozenset[str]:
        """Return the nonces of every claim there ever was."""
        return frozenset(nonce for tip in self.tips if tip.claim is not None for nonce in tip.claim.nonces)


class Relation(StrEnum):
    """How one branch relates to another that should be the same."""

    EQUAL = "equal"
    AHEAD = "ahead"
    BEHIND = "behind"
    DIVERGED = "diverged"
    """They share commits and each has others of its own: only people can merge that."""
    UNRELATED = "unrelated"


def relation(mine: Head | None, other: Head | None) -> Relation:
    """Return how `mine` relates to `other`. A branch that does not exist is behind one that does."""
    if mine is None or other is None:
        return Relation.EQUAL if mine is other else Relation.BEHIND if mine is None else Relation.AHEAD
    if mine.commit == other.commit:
        return Relation.EQUAL
    if other.commit in mine.commits:
        return Relation.AHEAD
    if mine.commit in other.commits:
        return Relation.BEHIND
    return Relation.UNRELATED if set(mine.commits).isdisjoint(other.commits) else Relation.DIVERGED


class Store(Protocol):
    """One branch somewhere."""

    def read(self) -> Head | None:
        """Return the head, or None where there is no such branch. Raises Refusal or Fault."""
        ...

    def append(self, parent: str | None, tip: Tip, message: str) -> str | None:
        """Add one commit on `parent` (None: make the branch). Return its id, or None when another process came first.

        A lost answer is settled by reading: the commit counts if it is in the branch. Raises Refusal or Fault.
        """
        ...
