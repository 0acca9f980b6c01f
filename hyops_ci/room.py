"""Room on a disk: set aside while there is some, given back once there is none, and writing what fits."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What a disk without room answers."""


class Reserve:
    """A file that holds room for what must still be written when everything else has filled the disk."""

    def __init__(self, path: Path, size: int) -> None:
        """Set `size` bytes aside at `path`, as far as there is room."""
        self._path: Path | None = path
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError:
            self._path = None
            return
        try:
            os.posix_fallocate(handle, 0, size)
        except (OSError, AttributeError):  # a system that cannot set room aside has none aside
            self.release()
        finally:
            os.close(handle)

    def release(self) -> bool:
        """Give the room back; return whether there was any."""
        path, self._path = self._path, None
        if path is None:
            return False
        with suppress(OSError):
            path.unlink()
        return True


def write_what_fits(handle: int, data: bytes) -> int:
    """Write as much of `data` as the disk takes, and return how many bytes that were: a full disk takes a part of it, or nothing."""
    done = 0
    with suppress(OSError):
        while done < len(data):
            done += os.write(handle, data[done:])
    return done


def append_whole(handle: int, data: bytes, reserve: Reserve | None = None) -> bool:
    """Append all of `data` to a file that only this process writes, or nothing of it; return which.

    Where there is no room, what was set aside is given back, and it is tried once more.
    """
    size = os.fstat(handle).st_size
    while write_what_fits(handle, data) < len(data):
        with suppress(OSError):
            os.ftruncate(handle, size)  # half a record would hide the one behind it
        if reserve is None or not reserve.release():
            return False
    return True


def sync_what_can(handle: int) -> None:
    """Bring what was written to the disk, where the disk takes it."""
    with suppress(OSError):
        os.fdatasync(handle)
