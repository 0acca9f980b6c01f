"""The port between the rules and a branch: read the head and its history, append if nothing came between."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from hyops_ci.contracts.ledger import Tip


@dataclass(frozen=True)
class Head:
    """The newest commit of a branch, with every tip it grew from, newest first."""

    commit: str
    tips: tuple[Tip, ...]
    commits: tuple[str, ...]
    """Ids of the same commits: what tells an older or unrelated head from a newer one."""

    @property
    def tip(self) -> Tip:
        """The newest tip."""
        return self.tips[0]

    def spent_nonces(self) -> frozenset[str]:
        """Return the nonces of every claim there ever was."""
        return frozenset(nonce for tip in self.tips if tip.claim is not None for nonce in tip.claim.nonces)


class Relation(StrEnum):
    """How one branch stands to another that should be the same."""

    EQUAL = "equal"
    AHEAD = "ahead"
    BEHIND = "behind"
    DIVERGED = "diverged"
    """They share a past, and each has grown on its own: nobody can merge that but people."""
    UNRELATED = "unrelated"


def relation(mine: Head | None, other: Head | None) -> Relation:
    """How `mine` stands to `other`. A branch that was never made is behind one that was."""
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
        """The head, or None where there is no such branch. Raises Refusal or Fault."""
        ...

    def append(self, parent: str | None, tip: Tip, message: str) -> str | None:
        """Add one commit on `parent` (None: make the branch). Answers its id, or None when somebody else came first.

        A lost answer is settled by reading: the commit counts if it is in the branch. Raises Refusal or Fault.
        """
        ...
