"""This host's copy of a ledger: Git's objects and a note of the newest commit, in a folder that is also a bare repository for people.

git itself never works in that folder. It gets a repository made for each call, with the copy's objects in it, so that no config, hook, ref,
graft or attribute that was left in the folder is obeyed.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from hyops_ci.errors import Exit, Fault
from hyops_ci.files import locked

SEEN: Final = "refs/heads/seen"
_NOTE: Final = re.compile(r"[0-9a-f]{40}\n")
_CONFIG: Final = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n\tfsync = all\n"
"""What such a repository receives is on disk before it says so."""


class DamagedCopy(Fault):
    """The copy on this host cannot be used. It is made anew once before anybody is told."""


class ObjectCopy:
    """The copy in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._made = 0

    def prepare(self) -> None:
        """Make the folder, and take away what would lead git from its objects to others. Safe with other processes doing the same.

        Raises DamagedCopy where the folder cannot be written.
        """
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._make()
        except OSError:  # something else lies in a folder's place, or another process puts the copy aside just now
            self.renew()

    def _make(self) -> None:
        """Make what is missing. Raises OSError."""
        self._made = self._inode()
        self.folder.mkdir(exist_ok=True, mode=0o700)
        self._made = self._inode()
        (self.folder / "objects").mkdir(exist_ok=True)
        if not (self.folder / "HEAD").exists():
            _make_bare(self.folder)
        shutil.rmtree(self.folder / "objects" / "info", ignore_errors=True)

    def renew(self) -> None:
        """Put a copy that cannot be used aside, in place of the one that was put aside before, and begin another.

        It is kept: what can still be read of it may restore a branch that somebody deleted. Where another process did the same since
        `prepare`, that is enough. Raises DamagedCopy.
        """
        try:
            with locked(self.folder.with_name(f".{self.folder.name}.lock"), wait=None):
                if self._made and self._inode() == self._made:
                    aside = self.folder.with_name(f"{self.folder.name}.damaged")
                    shutil.rmtree(aside, ignore_errors=True)
                    aside.unlink(missing_ok=True)
                    self.folder.rename(aside)
                self._make()
        except OSError as error:
            raise self.damaged(f"{error.filename}: {error.strerror}") from None

    @contextmanager
    def as_repository(self, refs: Mapping[str, str]) -> Iterator[Path]:
        """Make a bare repository with the copy's objects and these refs; removed on leaving. Raises DamagedCopy."""
        try:
            with TemporaryDirectory(prefix="dr-ledger-", ignore_cleanup_errors=True) as name:
                repository = Path(name).resolve()
                (repository / "objects").symlink_to(self.folder / "objects")
                _make_bare(repository)
                for ref, commit in refs.items():
                    (repository / ref).parent.mkdir(parents=True, exist_ok=True)
                    (repository / ref).write_text(f"{commit}\n", encoding="ascii")
                yield repository
        except OSError as error:
            raise self.damaged(f"{error.filename}: {error.strerror}") from None

    def is_replaced(self) -> bool:
        """Return whether another process has put the copy of `prepare` aside since."""
        return self._inode() != self._made

    def _inode(self) -> int:
        return self.folder.lstat().st_ino if os.path.lexists(self.folder) else 0

    def seen(self) -> dict[str, str]:
        """Return the commit that is here with its whole history, as the ref that tells a remote so; nothing where none is noted."""
        try:
            note = (self.folder / SEEN).read_text(encoding="ascii")
        except (OSError, ValueError):
            return {}
        return {SEEN: note.strip()} if _NOTE.fullmatch(note) else {}

    def note(self, commit: str) -> None:
        """Note that this commit and its history are here. Where the note is lost, the next read fetches again."""
        draft = self.folder / f".seen-{os.getpid()}-{commit}"
        with suppress(OSError):
            draft.write_text(f"{commit}\n", encoding="ascii")
            draft.replace(self.folder / SEEN)

    def damaged(self, found: str) -> DamagedCopy:
        """Return the fault for a copy that cannot be used."""
        return DamagedCopy(
            "ledger.git",
            "git failed on this host",
            exit_code=Exit.UNAVAILABLE,
            found=found,
            expected="a working git and a writable folder",
            fix=f"see that this user may write {self.folder}, and that there is room; it is only a copy and may be removed",
            docs="ledger.md",
        )


def create_repository(path: Path) -> None:
    """Make a bare repository for ledger branches: for a rehearsal, a mirror, or GitHub being down. Raises OSError."""
    (path / "objects").mkdir(parents=True, exist_ok=True)
    _make_bare(path)


def _make_bare(folder: Path) -> None:
    """Write what makes a folder a repository beside its objects. HEAD comes last: with it, it is one."""
    (folder / "refs" / "heads").mkdir(parents=True, exist_ok=True)
    (folder / "config").write_text(_CONFIG, encoding="ascii")
    (folder / "HEAD").write_text("ref: refs/heads/main\n", encoding="ascii")
