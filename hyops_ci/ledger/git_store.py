"""The ledger on a Git branch of any remote. Pushing a descendant of what was read is the compare-and-swap; no force, ever.

A push carries a lease: it holds only while the branch is exactly what was read, so that a branch deleted meanwhile is not created again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hyops_ci.contracts.digest import canonical
from hyops_ci.contracts.ledger import Tip
from hyops_ci.errors import Exit, Refusal
from hyops_ci.ledger import git_errors
from hyops_ci.ledger.git_process import Git, GitResult
from hyops_ci.ledger.store import Head
from hyops_ci.parsing.documents import read_document
from hyops_ci.parsing.strict_json import JsonError

FILE: Final = "tip.json"
WAITS: Final = (0.5, 2.0, 5.0)
"""Seconds between tries when the remote does not answer."""
LONG_WAITS: Final = (10.0, 30.0, 60.0)
"""Seconds between tries under a rate limit: two minutes in all, as for every call to GitHub."""
HASTE: Final = 15.0
"""Seconds for one answer of a remote that a run can do without; it is asked once."""
SEEN: Final = "refs/heads/seen"
MAX_HISTORY: Final = 20_000
"""Transitions that are read. What is older is beyond the life of any approval or decision that could come again."""


class GitStore:
    """One branch of one remote, through a local bare repository."""

    def __init__(
        self, remote: str, branch: str, cache: Path, token: str = "", sleep: Callable[[float], None] = time.sleep, *, hasty: bool = False
    ) -> None:
        self._git, self._branch, self._sleep = Git(remote, cache, token), branch, sleep
        self._hasty = hasty
        self._ref = f"refs/heads/{branch}"
        self._known: dict[str, Tip] = {}
        self._head: Head | None = None

    def read(self) -> Head | None:
        """Return the head with its history, None where there is no branch.

        Raises Refusal (exit 5) for other content on the branch, Fault (exit 12) for no answer.
        """
        self._git.prepare()
        listed = self._ask("ls-remote", "--exit-code", "--", self._git.remote, self._ref)
        if listed.code:
            return None
        commit = listed.text.split()[0]
        if self._head is not None and self._head.commit == commit:
            return self._head
        if self._git.run("merge-base", "--is-ancestor", commit, SEEN).code:
            self._ask("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", self._git.remote, self._ref)
            self._remember(commit)
        return self._head_at(commit)

    def recall(self, commit: str) -> Head | None:
        """Return the head of `commit` from the local copy, None where the copy is gone. The remote is not asked."""
        self._git.prepare()
        there = self._git.run("cat-file", "-e", f"{commit}^{{commit}}").code == 0
        return self._head_at(commit) if there else None

    def _head_at(self, commit: str) -> Head:
        """Return `commit` with its history, from the local copy."""
        listing = self._git.local("rev-list", f"--max-count={MAX_HISTORY}", "--first-parent", commit, "--")
        commits = listing.text.split()
        self._head = Head(commit, self._tips(commits), tuple(commits))
        return self._head

    def append(self, parent: str | None, tip: Tip, message: str) -> str | None:
        """Add one commit and return its id, None where another process came first."""
        self._git.prepare()
        blob = self._git.local("hash-object", "-w", "--stdin", data=canonical(tip.document())).text
        tree = self._git.local("mktree", data=f"100644 blob {blob}\t{FILE}\n".encode()).text
        commit = self._git.local("commit-tree", tree, *(("-p", parent) if parent else ()), "-m", message).text
        return commit if self._push(commit, parent) else None

    def forward(self, source: GitStore, parent: str | None, commit: str) -> bool:
        """Fast-forward the branch from `parent` to `commit` of `source`. Return False where another process came first."""
        self._git.prepare()
        self._git.local("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", str(source._git.folder), commit)
        return self._push(commit, parent)

    def _push(self, commit: str, parent: str | None) -> bool:
        """Move the branch from `parent` (None: from nowhere) to `commit`. False: it was no longer at `parent`."""
        if parent is not None and self._git.run("merge-base", "--is-ancestor", parent, commit).code:
            raise self._unreadable(commit, f"it has not grown from {parent[:12]}")
        # Git would take the lease for leave to overwrite what it names. Nothing is lost by that: `commit` contains it, see above.
        lease = f"--force-with-lease={self._ref}:{parent or ''}"
        output = ""
        for waits in self._tries():
            done = self._git.run("push", "--quiet", "--porcelain", lease, "--", self._git.remote, f"{commit}:{self._ref}")
            if done.code == 0:
                self._remember(commit)
                return True
            output = f"{done.err}\n{done.text}"
            refusal = git_errors.refusal(output, self._branch)
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
            self._pause(waits, output)
        raise git_errors.unreachable(output, len(self._tries()))

    def _tries(self) -> tuple[tuple[float, float] | None, ...]:
        """The pause after each try, short and long; none after the last."""
        return (None,) if self._hasty else (*zip(WAITS, LONG_WAITS, strict=False), None)

    def _pause(self, waits: tuple[float, float] | None, output: str) -> None:
        if waits is not None:
            self._sleep(waits[git_errors.slow_down(output)])

    def _remember(self, commit: str) -> None:
        """Note that this commit and its history are here. If the note is lost to another process, the next read fetches again."""
        self._git.run("update-ref", SEEN, commit)

    def _tips(self, commits: list[str]) -> tuple[Tip, ...]:
        """The tip of each commit; each has to continue the one before it."""
        self._learn([commit for commit in commits if commit not in self._known])
        tips = tuple(self._known[commit] for commit in commits)
        for newer, older, commit in zip(tips, tips[1:], commits, strict=False):
            if (newer.ledger_id, newer.service) != (older.ledger_id, older.service) or newer.epoch < older.epoch:
                raise self._unreadable(commit, "it does not continue the tip before it")
        return tips

    def _learn(self, commits: list[str]) -> None:
        """Read these tips in one call: `cat-file --batch` answers in the order asked."""
        asked = "".join(f"{commit}:{FILE}\n" for commit in commits)
        data = self._git.local("cat-file", "--batch", data=asked.encode()).out
        at = 0
        for commit in commits:
            line_end = data.index(b"\n", at)
            header = data[at:line_end].split()
            if len(header) != 3 or header[1] != b"blob":
                raise self._unreadable(commit, f"no {FILE}")
            start, size = line_end + 1, int(header[2])
            try:
                self._known[commit] = read_document(Tip, data[start : start + size])
            except JsonError as error:
                raise self._unreadable(commit, f"{FILE}: {error}") from None
            at = start + size + 1

    def _ask(self, *words: str) -> GitResult:
        """Run a command that needs the remote, retried while it does not answer. Code 2 without a message: there is no such branch."""
        output = ""
        for waits in self._tries():
            done = self._git.run(*words, limit=HASTE if self._hasty else None)
            if done.code == 0 or (done.code == 2 and not done.err.strip()):
                return done
            output = done.err
            if (refusal := git_errors.refusal(output, self._branch)) is not None:
                raise refusal
            self._pause(waits, output)
        raise git_errors.unreachable(output, len(self._tries()))

    def _unreadable(self, commit: str, what: str) -> Refusal:
        return Refusal(
            "ledger.unreadable",
            "the ledger cannot be read, so nothing is done and nothing is overwritten",
            exit_code=Exit.CONFLICT,
            found=f"{self._branch} at {commit[:12]}: {what}",
            expected="tips of this release or an older one",
            fix="look at the branch; something else wrote to it",
            docs="ledger.md",
        )


def create_repository(path: Path) -> None:
    """Make a bare repository for ledger branches: for a rehearsal, a mirror, or GitHub being down."""
    path.mkdir(parents=True, exist_ok=True)
    Git(str(path), path).prepare()
