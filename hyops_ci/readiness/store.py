"""The checks of one service on the branch `dr-readiness/<service>` of the ledger's remote: one commit a check, whoever wrote it.

Nothing here is believed because it lies there: who reads it judges what a host signed (`judging`). So what is no check takes no
check's place, and does not keep the next from being added.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from typing_extensions import override

from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.contracts.readiness import MAX_READINESS, READINESS
from hyops_ci.dataclass import dataclass
from hyops_ci.ledger import git_objects
from hyops_ci.ledger.git_branch import GitBranch
from hyops_ci.ledger.git_process import absolute
from hyops_ci.ledger.refusals import busy

LOOKED: Final = 200
"""Newest commits whose checks are looked at: a week of checks every hour."""
LINEAGE: Final = 2000
"""Commits within which a push that took effect is found again."""
TRIES: Final = 50
"""Lost races before giving up; each means that another run added its check."""


@dataclass(frozen=True)
class KeptCheck:
    """One commit of the branch."""

    commit: str
    content: bytes | None
    """Of its file; None where it holds none that could be a check."""


@dataclass(frozen=True)
class KeptChecks:
    """The head of the branch, and the newest that lie there."""

    commit: str
    commits: tuple[str, ...]
    checks: tuple[KeptCheck, ...]
    """Newest first, by the order of the branch."""


class _Branch(GitBranch[KeptChecks]):
    @override
    def load(self, commit: str) -> KeptChecks:
        commits = tuple(self._git.local("rev-list", f"--max-count={LINEAGE}", commit, "--").text.split())
        blobs = self._blobs(commits[:LOOKED])
        wanted = sorted({blob for blob in blobs if blob})
        try:
            printed = self._git.local("cat-file", "--batch", "--buffer", data="".join(f"{each}\n" for each in wanted).encode()).out
            contents = dict(zip(wanted, git_objects.answers(printed), strict=True))
        except ValueError as error:
            raise self._git.copy.damaged(str(error)) from None
        checks = (KeptCheck(each, contents.get(blob)) for each, blob in zip(commits, blobs, strict=False))
        return KeptChecks(commit, commits, tuple(checks))

    def _blobs(self, commits: tuple[str, ...]) -> list[str]:
        """Return the id of each commit's file, empty where it has none of a check's size. Raises DamagedCopy."""
        asked = "".join(f"{commit}:{READINESS}\n" for commit in commits)
        found, lacking = [], False
        for line in self._git.local("cat-file", "--batch-check", "--buffer", data=asked.encode()).text.splitlines():
            name, _, said = line.partition(" ")
            kind, _, size = said.partition(" ")
            lacking = lacking or said == "missing"
            found.append(name if kind == "blob" and int(size) <= MAX_READINESS else "")
        if lacking and not self._git.is_sound():
            raise self._git.copy.damaged("checks are missing")
        return found


class ReadinessStore:
    """One service's branch of checks."""

    def __init__(self, branch: _Branch) -> None:
        self._branch = branch

    @classmethod
    def over_git(cls, remote: str, service: str, *, state_dir: Path, token: str = "", hasty: bool = False) -> ReadinessStore:
        """Return the checks on a Git remote, through a copy in `state_dir`. `hasty`: asked once, for at most 15 seconds."""
        key = digest_bytes(f"{absolute(remote)}\n{service}".encode())[7:23]
        return cls(_Branch(remote, f"dr-readiness/{service}", state_dir / f"readiness-{key}.git", token, hasty=hasty))

    def read(self) -> KeptChecks | None:
        """Return what lies on the branch, None where there is no branch. Raises Refusal (exit 5), Fault (exit 12) for no answer."""
        return self._branch.read()

    def keep(self, envelope: bytes, title: str) -> str:
        """Add a signed check on top of whatever is there, and return its commit. One that is there already is not added twice.

        Raises Refusal (exit 5) after many lost races, Fault (exit 12) for no answer.
        """
        for _ in range(TRIES):
            kept = self._branch.read()
            there = next((each.commit for each in kept.checks if each.content == envelope), None) if kept is not None else None
            commit = there or self._branch.add(kept.commit if kept is not None else None, READINESS, envelope, title)
            if commit is not None:
                return commit
        raise busy(TRIES)
