"""The transitions of a ledger, read from this host's copy. What the copy says is compared with the names of the objects.

The remote says which commit the branch is at. From there on every commit, tree and file is what its name says, each commit has one parent
at most, and its tree holds `tip.json` and nothing else. Sizes are asked for before anything is read.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from hyops_ci.contracts.ledger import MAX_TIP, Tip
from hyops_ci.errors import Refusal
from hyops_ci.ledger import git_errors, git_objects
from hyops_ci.ledger.git_objects import FILE
from hyops_ci.ledger.git_process import Git
from hyops_ci.ledger.store import Head
from hyops_ci.parsing.documents import read_document
from hyops_ci.parsing.strict_json import JsonError

MAX_HISTORY: Final = 20_000
"""Transitions that are read. What is older is beyond the life of any approval or decision that could come again."""
MAX_COMMIT: Final = 64 * 1024
"""Bytes of a commit, and of its tree."""
MAX_BYTES: Final = 256 * 1024 * 1024
"""Bytes that are read of one branch at once."""


class History:
    """What is known of one branch's commits."""

    def __init__(self, git: Git, branch: str) -> None:
        self._git, self._branch = git, branch
        self._known: dict[str, tuple[Tip, str]] = {}
        """Of each commit that was read: its tip, and its parent or an empty text."""

    def load(self, commit: str) -> Head:
        """Return `commit` with its history.

        Raises DamagedCopy where it is not here, or not whole, and Refusal (exit 5) `ledger.unreadable` for what is no ledger.
        """
        listing = self._git.local("rev-list", f"--max-count={MAX_HISTORY}", "--first-parent", commit, "--")
        commits = listing.text.split()
        self._learn([each for each in commits if each not in self._known])
        read = [self._known[each] for each in commits]
        end = "" if len(commits) < MAX_HISTORY else read[-1][1]
        if commits[:1] != [commit] or [parent for _, parent in read] != [*commits[1:], end]:
            raise self._git.copy.damaged("transitions are missing")
        tips = tuple(tip for tip, _ in read)
        for (newer, older), each in zip(pairwise(tips), commits, strict=False):
            if (newer.ledger_id, newer.service) != (older.ledger_id, older.service) or newer.epoch < older.epoch:
                raise self.unreadable(each, "it does not continue the tip before it")
        return Head(commit, tips, tuple(commits))

    def unreadable(self, commit: str, what: str) -> Refusal:
        """Return the refusal for a branch that holds what no ledger holds."""
        return git_errors.unreadable(self._branch, commit, what)

    def _learn(self, commits: list[str]) -> None:
        """Read commits and their tips."""
        if not commits:
            return
        blobs = self._blobs(commits)
        asked = "".join(f"{commit}\n{blob}\n" for commit, blob in zip(commits, blobs, strict=True))
        try:
            contents = git_objects.answers(self._git.local("cat-file", "--batch", "--buffer", data=asked.encode()).out)
            each = zip(commits, blobs, contents[::2], contents[1::2], strict=True)
            for commit, blob, header, text in each:
                self._known[commit] = self._one(commit, blob, header, text)
        except ValueError as error:
            raise self._git.copy.damaged(str(error)) from None

    def _one(self, commit: str, blob: str, header: bytes, text: bytes) -> tuple[Tip, str]:
        """Return tip and parent of one commit. Raises ValueError for bytes that are not what their names say."""
        found = git_objects.read_commit(commit, header)
        if len(found.parents) > 1:
            raise self.unreadable(commit, "a merge; a transition continues one other")
        if git_objects.name_of("blob", text) != blob:
            raise ValueError(f"{blob} holds something else")
        if found.tree != git_objects.tree_of(blob):
            raise self._foreign(commit, found.tree)
        try:
            return read_document(Tip, text, most=MAX_TIP), "".join(found.parents)
        except JsonError as error:
            raise self.unreadable(commit, f"{FILE}: {error}") from None

    def _blobs(self, commits: list[str]) -> list[str]:
        """Return the id of each commit's tip. Raises Refusal for one that has none, and for sizes that nothing of ours has."""
        asked = "".join(f"{commit}\n{commit}:{FILE}\n" for commit in commits)
        lines = self._git.local("cat-file", "--batch-check", "--buffer", data=asked.encode()).text.splitlines()
        found, total = [], 0
        for commit, header, tip in zip(commits, lines[::2], lines[1::2], strict=True):
            if header.endswith(" missing") or tip.endswith(" missing"):
                raise self._without_tip(commit)
            blob, kind, size = tip.split()
            total += int(size) + int(header.split()[2])
            if kind != "blob":
                raise self.unreadable(commit, f"{FILE} is a {kind}")
            if int(size) > MAX_TIP or int(header.split()[2]) > MAX_COMMIT:
                raise self.unreadable(
                    commit, f"{FILE} has {size} bytes, the commit {header.split()[2]}; at most {MAX_TIP} and {MAX_COMMIT}"
                )
            found.append(blob)
        if total > MAX_BYTES:
            raise self.unreadable(commits[0], f"{total} bytes of transitions; at most {MAX_BYTES}")
        return found

    def _without_tip(self, commit: str) -> Exception:
        """Return why git finds no tip in a commit: it has none, or the copy lacks it."""
        try:
            header = self._git.local("cat-file", "commit", commit).out
            return self._foreign(commit, git_objects.read_commit(commit, header).tree)
        except ValueError as error:
            return self._git.copy.damaged(str(error))

    def _foreign(self, commit: str, tree: str) -> Refusal:
        """Return the refusal for another tree than a ledger's. Raises ValueError, DamagedCopy where the copy is to blame."""
        if int(self._git.local("cat-file", "-s", tree).text) > MAX_COMMIT:
            return self.unreadable(commit, f"more than {FILE}")
        content = self._git.local("cat-file", "tree", tree).out
        if git_objects.name_of("tree", content) != tree:
            raise ValueError(f"{tree} holds something else")
        if git_objects.is_tip_alone(content):
            raise ValueError(f"{FILE} of {commit} is missing")
        return self.unreadable(commit, f"more than {FILE} as a regular file" if FILE.encode() in content else f"no {FILE}")
