"""One branch in memory, and the store over it that does what the Git one does: push, and where the answer is lost, look.

The branch and the client are apart, so that a schedule can stop between a push and its answer.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Final, Protocol

from hyops_ci.contracts.ledger import Tip
from hyops_ci.errors import Exit, Fault
from hyops_ci.ledger.store import Head

TRIES: Final = 3
"""Pushes whose answer may be lost before the store gives up."""


class Lost(Exception):
    """No answer came; what was asked may have been done."""


class Remote(Protocol):
    """What a remote can do: say its head, and move it forward from what was read."""

    def read(self) -> Head | None:
        """The head, None where there is no branch. Raises Lost."""
        ...

    def push(self, parent: str | None, commit: str, tip: Tip) -> bool:
        """Whether the branch now ends in `commit`; False when its head is not `parent`. Raises Lost."""
        ...


def grown(head: Head | None, commit: str, tip: Tip) -> Head:
    """A head one commit further."""
    return Head(commit, (tip, *(head.tips if head else ())), (commit, *(head.commits if head else ())))


def name_of(parent: str | None, tip: Tip, message: str) -> str:
    """What a commit is called: by its parent and content, as Git does it."""
    return hashlib.sha256(f"{parent}\n{message}\n{tip.model_dump_json()}".encode()).hexdigest()[:40]


class Branch:
    """The branch itself: always answers."""

    def __init__(self) -> None:
        self.head: Head | None = None

    def read(self) -> Head | None:
        return self.head

    def push(self, parent: str | None, commit: str, tip: Tip) -> bool:
        if parent != (self.head.commit if self.head else None):
            return False
        self.head = grown(self.head, commit, tip)
        return True


class RefStore:
    """The port over any remote."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def read(self) -> Head | None:
        try:
            return self._remote.read()
        except Lost:
            raise _silent() from None

    def append(self, parent: str | None, tip: Tip, message: str) -> str | None:
        commit = name_of(parent, tip, message)
        for _ in range(TRIES):
            with suppress(Lost):
                if self._remote.push(parent, commit, tip):
                    return commit
            # The branch tells what happened: a lost answer after a push that took effect, a race that somebody else won, or nothing yet.
            head = self.read()
            if head is not None and commit in head.commits:
                return commit
            if (head.commit if head is not None else None) != parent:
                return None
        raise _silent()


def _silent() -> Fault:
    return Fault(
        "ledger.unreachable",
        "the ledger does not answer",
        exit_code=Exit.UNAVAILABLE,
        found="no answer",
        expected="an answer",
        fix="try again",
    )
