"""One branch of any Git remote, through this host's copy. Pushing a descendant of what was read is the compare-and-swap; no force, ever.

A push carries a lease: it holds only while the branch is exactly what was read, so that a branch deleted meanwhile is not created again.
What a branch holds is its store's business: the ledger's transitions, or the checks of a service.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

from hyops_ci.errors import Refusal
from hyops_ci.ledger import git_errors
from hyops_ci.ledger.git_copy import DamagedCopy
from hyops_ci.ledger.git_process import NO_ANSWER, TIMEOUT, Git, GitResult

T = TypeVar("T")
WAITS: Final = (0.5, 2.0, 5.0)
"""Seconds between tries when the remote does not answer."""
LONG_WAITS: Final = (10.0, 30.0, 60.0)
"""Seconds between tries under a rate limit: two minutes in all, as for every call to GitHub."""
RELISTED: Final = 5
"""Times that a branch is looked for again which has changed while it was fetched."""
HASTE: Final = 15.0
"""Seconds for one answer of a remote that a run can do without; it is asked once."""


class Grown(Protocol):
    """The newest commit of a branch, and those that it grew from."""

    @property
    def commit(self) -> str:
        """Its id."""
        ...

    @property
    def commits(self) -> tuple[str, ...]:
        """Ids, newest first."""
        ...


H = TypeVar("H", bound=Grown)


class GitBranch(ABC, Generic[H]):
    """One branch of one remote, whose commits hold one file each."""

    def __init__(
        self, remote: str, branch: str, cache: Path, token: str = "", sleep: Callable[[float], None] = time.sleep, *, hasty: bool = False
    ) -> None:
        self._git, self._branch, self._sleep = Git(remote, cache, token), branch, sleep
        self._hasty = hasty
        self._ref = f"refs/heads/{branch}"
        self._head: H | None = None

    @abstractmethod
    def load(self, commit: str) -> H:
        """Return `commit` with what it grew from, from the local copy. Raises DamagedCopy where it is not here, or Refusal."""

    def read(self) -> H | None:
        """Return the head, None where there is no branch.

        Raises Refusal (exit 5) for other content on the branch, Fault (exit 12) for no answer.
        """
        self._git.copy.prepare()
        commit = self._listed()
        for _ in range(RELISTED):
            try:
                return self._at(commit)
            except git_errors.Unsent:
                listed = commit
                commit = self._listed()
                if commit == listed:
                    raise
        return self._at(commit)

    def recall(self, commit: str) -> H | None:
        """Return the head of `commit` from the local copy, None where the copy is gone or damaged. The remote is not asked."""
        try:
            self._git.copy.prepare()
            return self.load(commit)
        except DamagedCopy:
            return None

    def add(self, parent: str | None, file: str, content: bytes, message: str) -> str | None:
        """Add one commit with one file on `parent` (None: make the branch) and return its id, None where another process came first."""
        self._git.copy.prepare()
        try:
            return self._add(parent, file, content, message)
        except DamagedCopy:
            self._git.copy.renew()
        self._head = None
        head = self.read()
        if parent is not None and (head is None or parent not in head.commits):
            return None
        return self._add(parent, file, content, message)

    def _listed(self) -> str | None:
        """Return the commit that the branch is at. Git lists every branch whose name ends like ours; only this very name is ours."""
        for line in self._ask("ls-remote", "--heads", "--", self._git.remote, self._ref).text.splitlines():
            commit, _, name = line.partition("\t")
            if name == self._ref:
                return commit
        return None

    def _at(self, commit: str | None) -> H | None:
        if commit is None:
            return None
        if self._head is None or self._head.commit != commit:
            self._head = self._mended(lambda: self._obtain(commit))
        return self._head

    def _obtain(self, commit: str) -> H:
        """Return `commit` with its history, fetched where it is not here.

        Raises DamagedCopy where the copy is to blame that it is not, Unsent where it is the remote.
        """
        try:
            return self.load(commit)
        except DamagedCopy:
            self._fetch(self._git.remote)
        try:
            head = self.load(commit)
        except DamagedCopy:
            if self._git.is_sound():
                raise git_errors.unsent(self._branch, commit[:12]) from None
            raise
        self._git.copy.note(commit)
        return head

    def _fetch(self, source: str) -> None:
        self._ask("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", source, self._ref)

    def _mended(self, act: Callable[[], T]) -> T:
        """Return what `act` does; again with a new copy where the copy is damaged. Raises DamagedCopy where that is no better."""
        try:
            return act()
        except DamagedCopy:
            self._git.copy.renew()
        return act()

    def _add(self, parent: str | None, file: str, content: bytes, message: str) -> str | None:
        blob = self._git.local("hash-object", "-w", "--stdin", data=content).text
        tree = self._git.local("mktree", data=f"100644 blob {blob}\t{file}\n".encode()).text
        commit = self._git.local("commit-tree", tree, *(("-p", parent) if parent else ()), "-m", message).text
        return commit if self._push(commit, parent) else None

    def _push(self, commit: str, parent: str | None) -> bool:
        """Move the branch from `parent` (None: from nowhere) to `commit`. False: it was no longer at `parent`."""
        if parent is not None:
            related = self._git.run("merge-base", "--is-ancestor", parent, commit)
            if related.code == 1:
                raise git_errors.unreadable(self._branch, commit, f"it has not grown from {parent[:12]}")
            if related.code:
                raise self._git.copy.damaged(git_errors.quoted(related.err))
        # Git would take the lease for leave to overwrite what it names. Nothing is lost by that: `commit` contains it, see above.
        lease = f"--force-with-lease={self._ref}:{parent or ''}"
        # A name alone is also any longer name that ends with it, for git; the asterisks stand for the same text, so that ours is meant.
        spec, refs = "refs/push/*:refs/heads/*", {f"refs/push/{self._branch}": commit}
        output = ""
        for waits in self._tries():
            done = self._git.run("push", "--quiet", "--porcelain", lease, "--", self._git.remote, spec, refs=refs)
            if done.code == 0:
                self._git.copy.note(commit)
                return True
            output = f"{done.err}\n{done.text}"
            own = self._git.own_line(done.err)
            refusal = self._refusal(output, own)
            if refusal is not None and refusal.gate != git_errors.RULES:
                raise refusal
            # The branch shows what happened: a lost answer after a push that took effect, a lost race (also where
            # a rule against force-push was the answer), or nothing yet.
            head = self.read()
            if head is not None and commit in head.commits:
                return True
            if (head.commit if head is not None else None) != parent:
                return False
            if refusal is not None:
                raise refusal
            self._refuse_own(output, own, commit)
            self._pause(waits, output)
        raise git_errors.trouble(output, len(self._tries()))

    def _tries(self) -> tuple[tuple[float, float] | None, ...]:
        """Return the pause after each try, short and long; none after the last."""
        return (None,) if self._hasty else (*zip(WAITS, LONG_WAITS, strict=False), None)

    def _pause(self, waits: tuple[float, float] | None, output: str) -> None:
        if waits is not None:
            self._sleep(waits[git_errors.slow_down(output)])

    def _ask(self, *words: str) -> GitResult:
        """Run a command that needs the remote, retried while it does not answer."""
        output, limit = "", HASTE if self._hasty else TIMEOUT
        for waits in self._tries():
            done = self._git.run(*words, limit=limit, refs=self._git.copy.seen())
            output, own = done.err, self._git.own_line(done.err)
            # A shallow clone is fetched from with nothing but a warning, and without what was asked for.
            if done.code == 0 and "shallow" not in output:
                return done
            if (refusal := self._refusal(output, own)) is not None:
                raise refusal
            if words[0] == "fetch":
                if git_errors.gone(output):
                    raise git_errors.unsent(self._branch, "a commit that is gone")
                if done.code == NO_ANSWER:
                    raise git_errors.unfinished(self._branch, limit)
                self._refuse_own(output, own)
            self._pause(waits, output)
        raise git_errors.trouble(output, len(self._tries()))

    def _refusal(self, output: str, own: str) -> Refusal | None:
        """Return the remote's permanent no, None where it said none. Raises Fault for a git that sends no token."""
        refusal = git_errors.refusal(output, self._branch) if not own else None
        if refusal is not None and refusal.gate == git_errors.TOKEN and self._git.sends_token:
            self._git.refuse_old()
        elif refusal is not None and refusal.gate == git_errors.TOKEN and self._git.by_http:
            return git_errors.no_token(refusal.found)
        return refusal

    def _refuse_own(self, output: str, own: str, *commits: str) -> None:
        """Raise Fault (exit 12) where this host failed and not the remote: DamagedCopy where its copy does not hold what it should."""
        if not own and (git_errors.silent(output) or git_errors.slow_down(output)):
            return
        if self._git.copy.is_replaced() or not self._git.is_sound(*commits):
            raise self._git.copy.damaged(own or git_errors.quoted(output))
        if own:
            raise self._git.cannot_write(own)
