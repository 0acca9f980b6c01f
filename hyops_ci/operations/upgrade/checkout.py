"""The pins of a checkout, read and moved. Every file is written as a whole; one that changed meanwhile is left."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Sequence
from difflib import unified_diff
from pathlib import Path

from hyops_ci import files
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Refusal
from hyops_ci.operations.callers import WORKFLOWS, workflows_of
from hyops_ci.operations.upgrade.pins import Pin, pins_in, with_commit


@dataclass(frozen=True)
class Change:
    """One file with other pins."""

    file: str
    before: bytes
    after: bytes
    pins: int

    def diff(self) -> str:
        """Return the change as a unified diff."""
        before, after = (each.decode("utf-8").splitlines() for each in (self.before, self.after))
        return "\n".join(unified_diff(before, after, f"a/{self.file}", f"b/{self.file}", n=1, lineterm=""))


def pins_of(checkout: Path) -> tuple[Pin, ...]:
    """Return the pins of every workflow of a checkout. Raises as `pins_in`, and Refusal (exit 2) `upgrade.file` for a symbolic link."""
    found = [pin for file, data in workflows_of(checkout).items() for pin in pins_in(file, data)]
    for file in dict.fromkeys(pin.file for pin in found):
        for place in (file, WORKFLOWS, WORKFLOWS.partition("/")[0]):
            if (checkout / place).is_symlink():
                raise _refuse(f"{place} is a symbolic link", "a plain file", "put the file itself there: GitHub follows no link")
    return tuple(found)


def changes(checkout: Path, pins: Iterable[Pin], commit: str, tag: str) -> tuple[Change, ...]:
    """Return the files that change where every pin becomes `commit`; none where all are at it already."""
    by_file: dict[str, list[Pin]] = {}
    for pin in pins:
        by_file.setdefault(pin.file, []).append(pin)
    made = []
    for file, own in by_file.items():
        before = (checkout / file).read_bytes()
        after = with_commit(before, own, commit, tag)
        if after != before:
            made.append(Change(file, before, after, len(own)))
    return tuple(made)


def write(checkout: Path, made: Sequence[Change]) -> None:
    """Write the changed files, each as a whole. Raises Refusal (exit 2) `upgrade.file` where one is another now, or cannot be written."""
    for change in made:
        replace(checkout / change.file, change.before, change.after)


def replace(path: Path, before: bytes, after: bytes) -> None:
    """Write a file as a whole, with the mode and owner that it has.

    Raises Refusal (exit 2) `upgrade.file` where it is not `before` any more.
    """

    def unchanged() -> None:
        if path.read_bytes() != before:
            raise _refuse(f"{path} was changed meanwhile", "nobody else at work on it", "look at it, then again")

    try:
        facts = path.stat()
        files.write(
            path, after, mode=stat.S_IMODE(facts.st_mode), before=unchanged, like=facts
        )  # a group that reads the trust of its host still does
    except OSError as error:
        raise _refuse(f"{path}: {error.strerror}", "a file that can be written", "see whose it is; hosts: as root") from None


def others(checkout: Path, commit: str, moved: Iterable[str]) -> tuple[str, ...]:
    """Return other files below `.github` that name a commit: nobody moves those."""
    done = frozenset(moved)
    found = []
    for path in sorted((checkout / WORKFLOWS).parent.rglob("*")):
        name = path.relative_to(checkout).as_posix()
        if name not in done and path.is_file() and commit.encode() in path.read_bytes():
            found.append(name)
    return tuple(found)


def _refuse(found: str, expected: str, fix: str) -> Refusal:
    return Refusal(
        "upgrade.file", "a file cannot be changed", exit_code=Exit.USAGE, found=found, expected=expected, fix=fix, docs="upgrade.md"
    )
