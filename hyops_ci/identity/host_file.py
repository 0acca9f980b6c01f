"""Small files that this host keeps for itself: nobody else writes them, and a crash leaves the old one or the new one."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path


class NotOurs(Exception):
    """A file that somebody else could have written, or that is none; the text says what was found."""


def read_own(path: Path, most: int) -> bytes | None:
    """The bytes of a file of this user or root that nobody else can write; None where there is none.

    It is the opened file that is checked. Raises NotOurs, also for more than `most` bytes, and OSError.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    try:
        facts = os.fstat(handle)
        mode = stat.S_IMODE(facts.st_mode)
        if not stat.S_ISREG(facts.st_mode):
            raise NotOurs(f"{path} is no regular file")
        if facts.st_uid not in (os.geteuid(), 0) or mode & 0o022:
            raise NotOurs(f"{path}: owner {facts.st_uid}, mode {mode:04o}")
        if facts.st_size > most:
            raise NotOurs(f"{path} has {facts.st_size} bytes")
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(handle)


def write_own(path: Path, content: bytes) -> None:
    """Replace the file as a whole, mode 0600, on disk when this returns. Makes its folder. Raises OSError, and leaves nothing half done."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(FileNotFoundError):
        draft.unlink()  # of a process of this number that was killed here
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
        draft.replace(path)
    except OSError:
        draft.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)  # the new name, too
    finally:
        os.close(folder)
