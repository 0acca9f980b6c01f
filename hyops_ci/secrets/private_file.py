"""Reading a file that holds one secret: refused unless nobody else can read it and nothing would run it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 4096


class NotPrivate(Exception):
    """Why the file is not read; the room's modules make their own refusal of it."""

    def __init__(self, found: str, expected: str, fix: str) -> None:
        self.found, self.expected, self.fix = found, expected, fix
        super().__init__(found)


def read_private(path: str) -> bytes:
    """The content of a small file of this user or root, mode 0600 or less; it is the opened file that is checked. Raises NotPrivate."""
    if not Path(path).is_absolute():
        raise NotPrivate(path, "an absolute path", "name the file by its absolute path")
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise NotPrivate(f"{path}: {error.strerror}", "a file that this user can read", "create it, mode 0600") from None
    try:
        _check(path, os.fstat(handle))
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(MAX_BYTES)
    finally:
        os.close(handle)


def _check(path: str, facts: os.stat_result) -> None:
    mode = stat.S_IMODE(facts.st_mode)
    if not stat.S_ISREG(facts.st_mode):
        raise NotPrivate(f"{path} is no regular file", "a regular file", "write the secret into a file")
    if facts.st_uid not in (os.geteuid(), 0):
        raise NotPrivate(f"{path} belongs to uid {facts.st_uid}", f"owner uid {os.geteuid()} or root", f"chown it to uid {os.geteuid()}")
    if mode & 0o077:
        raise NotPrivate(f"{path} has mode {mode:04o}", "mode 0600: nobody else reads it", f"chmod 0600 {path}")
    if mode & 0o100:
        raise NotPrivate(f"{path} is executable", "a plain file: ansible-vault would run it", f"chmod 0600 {path}")
    if facts.st_size > MAX_BYTES:
        raise NotPrivate(f"{path} has {facts.st_size} bytes", f"at most {MAX_BYTES} bytes", "name the right file")
