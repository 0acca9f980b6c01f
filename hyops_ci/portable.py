"""What Linux, macOS and Windows do not have in common, for the commands that a person runs on a laptop.

A runner is Linux. On Windows a file has no owner and no mode that Python could compare: who may read it is said by the access list of its
folder, which is the user's own below their profile.
"""

from __future__ import annotations

import os
import signal
import stat
from getpass import getuser
from importlib import import_module
from pathlib import Path
from typing import Final


def flags(*names: str) -> int:
    """Return these flags of `os.open` together, those among them that this system has; bytes stay as they are."""
    found: int = getattr(os, "O_BINARY", 0)
    for name in names:
        found |= getattr(os, name, 0)
    return found


READ: Final = flags("O_RDONLY", "O_CLOEXEC", "O_NONBLOCK")
"""Opens a file for reading, and waits for no pipe."""
READ_NO_LINK: Final = READ | flags("O_NOFOLLOW")
NEW: Final = flags("O_WRONLY", "O_CREAT", "O_EXCL", "O_CLOEXEC", "O_NOFOLLOW")
"""Makes a file that must not exist."""
APPEND: Final = flags("O_WRONLY", "O_CREAT", "O_APPEND", "O_CLOEXEC")
LOCK_FILE: Final = flags("O_RDWR", "O_CREAT", "O_CLOEXEC", "O_NONBLOCK", "O_NOFOLLOW")
_REFUSES_LINKS: Final = hasattr(os, "O_NOFOLLOW")


def ca_store() -> str:
    """Return the file of certificates that this system trusts, where an organisation adds its CA; empty where it has none."""
    import ssl

    paths = ssl.get_default_verify_paths()
    places = (Path(paths.openssl_cafile), Path(paths.openssl_capath) / "ca-certificates.crt")
    return next((str(place) for place in places if place.is_file()), "")


def open_plain(path: Path) -> int:
    """Return a descriptor for reading `path`, which must not be a link. Raises OSError."""
    if not _REFUSES_LINKS and path.is_symlink():
        raise OSError(f"{path.name} is a link")
    return os.open(path, READ_NO_LINK)


def user_id() -> int | None:
    """Return the number of the user that this process runs as; None where files have no such owner."""
    ask = getattr(os, "geteuid", None)
    return int(ask()) if ask is not None else None


def make_like(handle: int, other: os.stat_result) -> None:
    """Give an open file the mode of another one whatever the umask is, and by root its owner and group, where files have such."""
    chown, chmod = getattr(os, "fchown", None), getattr(os, "fchmod", None)
    if chown is not None and user_id() == 0:
        chown(handle, other.st_uid, other.st_gid)
    if chmod is not None:
        chmod(handle, stat.S_IMODE(other.st_mode))


def user_name() -> str:
    """Return the login of this user; where the system has no entry for them, as in some containers, their number."""
    try:
        return getuser()
    except (ImportError, KeyError, OSError):
        return f"uid {user_id()}"


def lock(handle: int, *, wait: bool) -> None:
    """Lock an open file for this process until it is closed. Raises BlockingIOError where another process holds it, OSError."""
    try:
        import fcntl
    except ImportError:
        _lock_on_windows(handle, wait)
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def is_locked(path: Path) -> bool:
    """Return whether a process holds the lock of a file. Nothing is written; false where no system call asks. Raises OSError."""
    try:
        import fcntl
    except ImportError:
        return False
    handle = open_plain(path)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _lock_on_windows(handle: int, wait: bool) -> None:
    msvcrt = import_module("msvcrt")  # by name: type checkers of other systems do not know it
    while True:
        try:
            msvcrt.locking(handle, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
            return
        except OSError as error:  # LK_LOCK gives up after ten seconds, too
            if not wait:
                raise BlockingIOError(error.errno, "another process holds it") from None


def kill_group(leader: int) -> None:
    """Kill a child that leads a session of its own, with what it started as far as this system can name that."""
    if hasattr(os, "killpg"):
        os.killpg(leader, signal.SIGKILL)
    else:
        os.kill(leader, signal.SIGTERM)  # Windows has no other, and ends the process by it
