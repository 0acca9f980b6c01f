"""The ledger on a Git branch of any remote: one commit a transition."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from typing_extensions import override

from hyops_ci.contracts.digest import canonical
from hyops_ci.contracts.ledger import Tip
from hyops_ci.ledger.git_branch import GitBranch
from hyops_ci.ledger.git_copy import create_repository
from hyops_ci.ledger.git_history import MAX_HISTORY, History
from hyops_ci.ledger.git_objects import FILE
from hyops_ci.ledger.store import Head

__all__ = ["MAX_HISTORY", "GitStore", "create_repository"]


class GitStore(GitBranch[Head]):
    """One branch of one remote, through this host's copy."""

    def __init__(
        self, remote: str, branch: str, cache: Path, token: str = "", sleep: Callable[[float], None] = time.sleep, *, hasty: bool = False
    ) -> None:
        super().__init__(remote, branch, cache, token, sleep, hasty=hasty)
        self._history = History(self._git, branch)

    @override
    def load(self, commit: str) -> Head:
        return self._history.load(commit)

    def append(self, parent: str | None, tip: Tip, message: str) -> str | None:
        """Add one commit and return its id, None where another process came first."""
        return self.add(parent, FILE, canonical(tip.document()), message)

    def forward(self, source: GitStore, parent: str | None, commit: str) -> bool:
        """Fast-forward the branch from `parent` to `commit` of `source`. Return False where another process came first."""
        self._git.copy.prepare()
        with source._git.copy.as_repository({self._ref: commit}) as theirs:
            self._mended(lambda: self._fetch(str(theirs)))
        return self._push(commit, parent)
