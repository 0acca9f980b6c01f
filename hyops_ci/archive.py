"""The archive of handover and evidence: an uncompressed ustar, byte for byte determined by names and contents.

Beside it, how many files a zip lists.

It holds regular files with fixed owner, mode and time. The reader rebuilds each header and compares, so that every byte that was
changed, added or moved is detected, and with them links, sparse files and names in extensions.
"""

from __future__ import annotations

import hashlib
import os
import struct
import tarfile
from collections.abc import Callable, Container, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from hyops_ci.dataclass import dataclass

BLOCK: Final = 512
CHUNK: Final = 1 << 20
MAX_FILES: Final = 10_000
MAX_NAME: Final = 250
KEPT: Final = 4 << 20
"""Bytes of a file that a reader may hold in memory."""


Watcher = Callable[[bytes], object]
Watch = Callable[[str], Watcher | None]
"""Name of a file -> who is given its bytes, if anybody is."""
MAX_ZIP_LISTING: Final = 256 << 10
"""Bytes of the list of files at the end of a zip: a thousand names of the length that ours have."""
_ZIP_END: Final = struct.Struct("<4s4H2LH")


class BadArchive(ValueError):
    """Bytes that are not a valid archive; the text says where."""


class BadMember(BadArchive):
    """A member that is not a plain file as we write them, or not in a place for one."""


@dataclass(frozen=True)
class Member:
    """One file of an archive."""

    name: str
    size: int
    sha256: str
    content: bytes | None
    """The bytes, for a file of at most `keep` that was read; None for a larger one, or one that was written."""


def misplaced(name: str, taken: Container[str]) -> str:
    """Return why a file may not be unpacked as `name` beside those `taken`, or an empty text."""
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or path.as_posix() != name:
        return "leads out of it"
    if name in taken:
        return "is there twice"
    return "lies below a file" if any(parent.as_posix() in taken for parent in path.parents) else ""


def zip_entries(data: bytes) -> int:
    """Return how many files a zip lists, from its last 22 bytes alone. Raises BadArchive for a list that is longer than any of ours.

    A reader of zips goes through the whole list before it says how long it is. Comments and zip64 are refused: nothing of ours has
    them, and either makes readers look for the end elsewhere.
    """
    at = len(data) - _ZIP_END.size
    if at < 0:
        raise BadArchive("no end of a zip")
    mark, disk, first_disk, here, entries, size, _, comment = _ZIP_END.unpack_from(data, at)
    if mark != b"PK\x05\x06" or comment or disk or first_disk or here != entries or data[max(at - 20, 0) : at].startswith(b"PK\x06\x07"):
        raise BadArchive("the end of the zip is not that of a plain one")
    if size > MAX_ZIP_LISTING:
        raise BadArchive(f"a list of files of {size} bytes, more than {MAX_ZIP_LISTING}")
    return int(entries)


def header(name: str, size: int) -> bytes:
    """Return the 512 header bytes of a file. Raises BadMember for a name that ustar cannot hold."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    try:
        return info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")
    except (ValueError, UnicodeError):
        raise BadMember(f"{name[:80]} cannot be named in an archive") from None


def trailer(written: int) -> bytes:
    """Return what closes an archive of `written` bytes: two zero blocks, padded to tar's record size."""
    closing = written + 2 * BLOCK
    return bytes(2 * BLOCK + -closing % tarfile.RECORDSIZE)


class Writer:
    """Writes files one after another. `update` is called with every byte written."""

    def __init__(self, out: BinaryIO, update: Callable[[bytes], object]) -> None:
        self._out, self._update, self._written = out, update, 0

    def add(self, name: str, source: Path | bytes) -> Member:
        """Write one file, and return its size and digest. Raises BadArchive if it shrinks meanwhile, OSError if it cannot be read."""
        if isinstance(source, bytes):
            return self._add(name, len(source), iter((source,)))
        with source.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            return self._add(name, size, _chunks(file, size, name))

    def close(self) -> None:
        """Write the trailer."""
        self._put(trailer(self._written))

    def _add(self, name: str, size: int, chunks: Iterator[bytes]) -> Member:
        self._put(header(name, size))
        hasher = hashlib.sha256()
        for chunk in chunks:
            hasher.update(chunk)
            self._put(chunk)
        self._put(bytes(-size % BLOCK))
        return Member(name, size, "sha256:" + hasher.hexdigest(), None)

    def _put(self, data: bytes) -> None:
        self._out.write(data)
        self._update(data)
        self._written += len(data)


def read(stream: BinaryIO, *, keep: int | Callable[[str], int] = KEPT, watch: Watch | None = None) -> Iterator[Member]:
    """Yield the files in one pass, without writing anything, those of at most `keep` bytes with their content.

    `keep` may depend on the name. `watch` names who is given the bytes of a file while they are read, whatever its size. Raises
    BadArchive at the first byte that differs. Names are not judged: `misplaced` does.
    """
    at = 0
    for _ in range(MAX_FILES + 1):
        block = stream.read(BLOCK)
        if block == bytes(BLOCK):
            closing = trailer(at)[BLOCK:]
            if stream.read(len(closing) + 1) != closing:
                raise BadArchive(f"byte {at}: the end is not the end of an archive")
            return
        name, size = _described(block, at)
        if block != header(name, size):
            raise BadMember(f"byte {at}: the header of {name[:80]} is not ours")
        most = keep if isinstance(keep, int) else keep(name)
        member, padding = _body(stream, name, size, most, watch(name) if watch is not None else None)
        if padding != bytes(-size % BLOCK):
            raise BadArchive(f"byte {at}: bytes after the end of {name[:80]}")
        yield member
        at += BLOCK + size + len(padding)
    raise BadArchive(f"more than {MAX_FILES} files")


def _described(block: bytes, at: int) -> tuple[str, int]:
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.HeaderError, ValueError):
        raise BadArchive(f"byte {at}: no header{'' if at else ', so this is no tar'}") from None
    if not info.isreg() or info.size < 0 or len(info.name) > MAX_NAME:
        raise BadMember(f"byte {at}: {info.name[:80]} is not a plain file")
    return info.name, info.size


def _body(stream: BinaryIO, name: str, size: int, keep: int, watcher: Watcher | None) -> tuple[Member, bytes]:
    hasher, left, kept = hashlib.sha256(), size, []
    while left:
        chunk = stream.read(min(CHUNK, left))
        if not chunk:
            raise BadArchive(f"{name[:80]} is cut off")
        hasher.update(chunk)
        left -= len(chunk)
        if watcher is not None:
            watcher(chunk)
        if size <= keep:
            kept.append(chunk)
    content = b"".join(kept) if size <= keep else None
    return Member(name, size, "sha256:" + hasher.hexdigest(), content), stream.read(-size % BLOCK)


def _chunks(file: BinaryIO, size: int, name: str) -> Iterator[bytes]:
    """Yield exactly `size` bytes: a file that grows is cut, one that shrinks raises BadArchive."""
    while size:
        chunk = file.read(min(CHUNK, size))
        if not chunk:
            raise BadArchive(f"{name[:80]} became shorter while it was written")
        size -= len(chunk)
        yield chunk
