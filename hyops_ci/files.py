"""Files that a crash leaves whole, files that only their owner could have written or read, and locks between processes."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from hyops_ci import portable
from hyops_ci.text import shell

DRAFT: Final = ".draft-"
"""Begins the name of a file that is being written. What a killed process leaves of one is not content."""
FORMER: Final = ".former-"
"""Begins the name of a file that holds what another one held before it was replaced for a while."""
_PAUSE: Final = 0.05
_WHOLE: Final = 1 << 30


class UnsafeFile(Exception):
    """A file that is not read: what was found, what was expected, and what repairs it. Callers make their own refusal of it."""

    def __init__(self, found: str, expected: str, fix: str) -> None:
        self.found, self.expected, self.fix = found, expected, fix
        super().__init__(found)


@contextmanager
def replacing(
    path: Path, *, mode: int = 0o600, before: Callable[[], None] = lambda: None, like: os.stat_result | None = None
) -> Iterator[BinaryIO]:
    """Write a file as a whole: its new content is on disk when the block ends, or the old one stands.

    `before` is called with the new content on disk and not yet in place. `like`: whose mode, and by root whose owner, the file gets.
    Raises OSError and what block and `before` raise.
    """
    draft = path.with_name(f"{DRAFT}{path.name}.{secrets.token_hex(8)}")
    try:
        with _create(draft, mode) as file:
            yield file
            if like is not None:
                portable.make_like(file.fileno(), like)
            _flush(file)
        before()
        draft.replace(path)
        sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def write(
    path: Path, content: bytes, *, mode: int = 0o600, before: Callable[[], None] = lambda: None, like: os.stat_result | None = None
) -> None:
    """Write `content` as `replacing` does."""
    with replacing(path, mode=mode, before=before, like=like) as file:
        file.write(content)


def write_new(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a file that must not exist, on disk when this returns. Raises FileExistsError, OSError."""
    with _create(path, mode) as file:
        file.write(content)
        _flush(file)


def replace_for_now(path: Path, content: bytes, former: bytes | None, *, before: Callable[[], None] = lambda: None) -> None:
    """Write `content` as `write` does, until `put_back`: what the file held lies beside it meanwhile. `former` is that, None for no file.

    It is on disk before the file is replaced, under a name that says by what it was replaced. A file that is replaced for now already
    gets back what it held at first.
    """
    earlier = [each for each in former_files(path) if each.suffix == f".{_digest(former or b'')}"]
    kept = path.with_name(f"{FORMER}{path.name}.{_digest(content)}")
    write(kept, read_from(earlier[0], 0, _WHOLE) if earlier else former or b"")
    try:
        write(path, content, before=before)
    except BaseException:
        if _digest_of(path) != _digest(content):
            kept.unlink(missing_ok=True)
        raise
    for each in earlier:
        if each != kept:
            each.unlink(missing_ok=True)


def put_back(path: Path) -> bool:
    """Give a file back what it held before `replace_for_now`; return False where another program changed it since, which stays.

    For one caller at a time. Killed anywhere, it is done by calling it again. Raises UnsafeFile, OSError.
    """
    former, now = former_files(path), _digest_of(path)
    fitting = next((each for each in former if now is None or each.suffix == f".{now}"), None)
    as_before = not former or now in {_digest_of(each) for each in former}
    if fitting is not None and fitting.stat().st_size:
        fitting.replace(path)
    elif fitting is not None:
        path.unlink(missing_ok=True)
    if former:
        sync_folder(path.parent)  # the file as it was, before the only other copy of it goes
    for each in (*former, *path.parent.glob(f"{DRAFT}{FORMER}{path.name}.*")):
        each.unlink(missing_ok=True)
    return fitting is not None or as_before


def former_files(path: Path) -> list[Path]:
    """Return the files beside `path` that hold what it held before `replace_for_now`; an empty one where there was no file."""
    return sorted(path.parent.glob(f"{FORMER}{path.name}.*"))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest_of(path: Path) -> str | None:
    try:
        return _digest(read_from(path, 0, _WHOLE))
    except FileNotFoundError:
        return None


def remove_drafts(path: Path) -> None:
    """Remove what killed writers of `path` left. For a caller that is the only writer."""
    for draft in path.parent.glob(f"{DRAFT}{path.name}.*"):
        draft.unlink(missing_ok=True)


def read(path: Path, most: int, *, owned: bool = False, private: bool = False, follow: bool = False) -> bytes:
    """Return the bytes of a regular file of at most `most` bytes.

    `owned`: of this user or root, not writable for others. `private`: owned, not readable for others, not executable. `follow`: a
    link may lead to it. It is the opened file that is checked, and no pipe is waited for. Raises UnsafeFile, OSError.
    """
    with _opened(path, follow) as (handle, facts):
        _check(path, facts, most, owned or private, private)
        return handle.read(most)


def read_from(path: Path, offset: int, most: int) -> bytes:
    """Return at most `most` bytes of a regular file from `offset` on, however large it is. Raises UnsafeFile, OSError."""
    with _opened(path) as (handle, facts):
        if offset >= facts.st_size:
            return b""
        handle.seek(offset)
        return handle.read(min(most, facts.st_size - offset))


def read_end(path: Path, most: int) -> bytes:
    """Return the last bytes of a regular file, at most `most`. Raises UnsafeFile, OSError."""
    with _opened(path) as (handle, facts):
        handle.seek(max(0, facts.st_size - most))
        return handle.read(most)


def only_root_writes(path: Path) -> bool:
    """Return whether a file or folder is there that is root's, and that nobody else can write or exchange: so is all on the way to it.

    In a sticky folder of root, such as /tmp, nobody else can exchange what is root's.
    """
    try:
        way = path.absolute()
        goal = way.resolve(strict=True)
        facts = [each.lstat() for each in {way, *way.parents, goal, *goal.parents}]
    except OSError:
        return False
    return all(each.st_uid == 0 and (stat.S_ISLNK(each.st_mode) or not each.st_mode & 0o022 or _is_sticky(each.st_mode)) for each in facts)


def path_of_root(path: str) -> str:
    """Return the folders of a PATH that only root can write; empty where there are none.

    Where no `secure_path` stands in the rules of sudo, the PATH is that of who asks: their programs would be started by their names.
    """
    return os.pathsep.join(each for each in path.split(os.pathsep) if Path(each).is_absolute() and only_root_writes(Path(each)))


def _is_sticky(mode: int) -> bool:
    return stat.S_ISDIR(mode) and bool(mode & stat.S_ISVTX)


def sync_folder(folder: Path) -> None:
    """Put a folder's names on disk: a file that was made or renamed is there after a power cut too. Windows does so by itself."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, portable.READ | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(path: Path, *, wait: float | None = 0.0, sleep: Callable[[float], None] = time.sleep) -> Iterator[int]:
    """Hold an exclusive lock on a file that is made for it, and that no other user can open: whoever can open it can hold it.

    Yields the descriptor. `wait`: seconds, None without end. Raises BlockingIOError where another process holds it for longer, OSError.
    """
    until = None if wait is None else int(wait / _PAUSE)
    while True:
        handle = os.open(path, portable.LOCK_FILE, 0o600)
        try:
            facts = os.fstat(handle)
            _own(path, handle, facts)
            if until is None:
                portable.lock(handle, wait=True)
            else:
                _try_lock(handle, until, sleep)
            if _is_still(path, facts):
                yield handle
                return
        finally:
            os.close(handle)


def _own(path: Path, handle: int, facts: os.stat_result) -> None:
    """Demand a plain file of this user; root leaves it to whom the folder belongs, whose runs come after. Raises PermissionError."""
    user, owner = portable.user_id(), path.parent.stat()
    if user is None:
        return
    if not stat.S_ISREG(facts.st_mode) or facts.st_uid not in (user, owner.st_uid):
        raise PermissionError(errno.EPERM, "it is not a plain file of this user")
    if user == 0 and facts.st_uid != owner.st_uid:
        os.fchown(handle, owner.st_uid, owner.st_gid)
    if stat.S_IMODE(facts.st_mode) & 0o077:
        os.fchmod(handle, 0o600)


def _is_still(path: Path, facts: os.stat_result) -> bool:
    """Return whether the name still leads to the file that was opened: a lock on a file that was removed keeps nobody out."""
    try:
        now = path.lstat()
    except FileNotFoundError:
        return False
    return (now.st_dev, now.st_ino) == (facts.st_dev, facts.st_ino)


def _try_lock(handle: int, looks: int, sleep: Callable[[float], None]) -> None:
    for _ in range(looks):
        try:
            portable.lock(handle, wait=False)
            return
        except BlockingIOError:
            sleep(_PAUSE)
    portable.lock(handle, wait=False)


def _create(path: Path, mode: int) -> BinaryIO:
    return os.fdopen(os.open(path, portable.NEW, mode), "wb")


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def _opened(path: Path, follow: bool = False) -> Iterator[tuple[BinaryIO, os.stat_result]]:
    """Open a regular file; its facts are the opened file's. Raises UnsafeFile for anything else, which nobody waits for."""
    handle = os.open(path, portable.READ) if follow else portable.open_plain(path)
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise UnsafeFile(f"{path} is not a regular file", "a regular file", "look what it is, then write it anew")
        with os.fdopen(handle, "rb", closefd=False) as file:
            yield file, facts
    finally:
        os.close(handle)


def _check(path: Path, facts: os.stat_result, most: int, owned: bool, private: bool) -> None:
    mode, user = stat.S_IMODE(facts.st_mode), portable.user_id()
    owned, private = owned and user is not None, private and user is not None
    if owned and facts.st_uid not in (user, 0):
        raise UnsafeFile(f"{path} belongs to uid {facts.st_uid}", f"owner uid {user} or root", f"give it to uid {user}")
    if private and mode & 0o077:
        raise UnsafeFile(f"{path} has mode {mode:04o}", "mode 0600: not readable for others", shell("chmod 0600 {}", path))
    if owned and mode & 0o022:
        raise UnsafeFile(f"{path} has mode {mode:04o}", "mode 0644: not writable for others", shell("chmod go-w {}", path))
    if private and mode & 0o100:
        raise UnsafeFile(f"{path} is executable", "a plain file: ansible-vault would run it", shell("chmod 0600 {}", path))
    if facts.st_size > most:
        raise UnsafeFile(f"{path} has {facts.st_size} bytes", f"at most {most} bytes", "name the right file")
