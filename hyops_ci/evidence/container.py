"""The bundle's container: an uncompressed ustar whose every byte follows from names and contents.

Sorted plain files, fixed owner, mode and time. Reading rebuilds each header and compares, so that no byte
can be changed, added or moved without being seen.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

BLOCK: Final = 512
CHUNK: Final = 1 << 20
MAX_FILES: Final = 10_000
MAX_NAME: Final = 250
KEPT: Final = 4 << 20
"""Bytes of a file that a reader may hold in memory."""


class BadContainer(ValueError):
    """Bytes that are no container of ours; the text says where."""


@dataclass(frozen=True)
class Member:
    """One file that was read."""

    name: str
    size: int
    sha256: str
    content: bytes | None
    """The bytes, for a file of at most `KEPT`; None for a larger one."""


def header(name: str, size: int) -> bytes:
    """The 512 header bytes of a file. Raises BadContainer for a name that ustar cannot hold."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    try:
        return info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")
    except (ValueError, UnicodeError):
        raise BadContainer(f"{name[:80]} cannot be named in a bundle") from None


def end(written: int) -> bytes:
    """What closes a container of `written` bytes: two zero blocks, filled up to tar's record."""
    closing = written + 2 * BLOCK
    return bytes(2 * BLOCK + -closing % tarfile.RECORDSIZE)


def write(files: Iterable[tuple[str, Path | bytes]], out: BinaryIO, update: Callable[[bytes], object]) -> None:
    """Write files in the order given; `update` sees every byte written."""
    written = 0

    def put(data: bytes) -> None:
        nonlocal written
        out.write(data)
        update(data)
        written += len(data)

    for name, source in files:
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        put(header(name, size))
        for chunk in (source,) if isinstance(source, bytes) else _chunks(source):
            put(chunk)
        put(bytes(-size % BLOCK))
    put(end(written))


def read(stream: BinaryIO) -> Iterator[Member]:
    """The files of a container, one pass, nothing written anywhere. Raises BadContainer at the first byte that is not ours."""
    at = 0
    for _ in range(MAX_FILES + 1):
        block = stream.read(BLOCK)
        if block == bytes(BLOCK):
            closing = end(at)[BLOCK:]
            if stream.read(len(closing) + 1) != closing:
                raise BadContainer(f"byte {at}: the end is not the end of a bundle")
            return
        name, size = _claims(block, at)
        if block != header(name, size):
            raise BadContainer(f"byte {at}: the header of {name[:80]} is not ours")
        member, padding = _body(stream, name, size)
        if padding != bytes(-size % BLOCK):
            raise BadContainer(f"byte {at}: bytes after the end of {name[:80]}")
        yield member
        at += BLOCK + size + len(padding)
    raise BadContainer(f"more than {MAX_FILES} files")


def _claims(block: bytes, at: int) -> tuple[str, int]:
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.HeaderError, ValueError):
        raise BadContainer(f"byte {at}: no header") from None
    if not info.isreg() or info.size < 0 or len(info.name) > MAX_NAME:
        raise BadContainer(f"byte {at}: {info.name[:80]} is no plain file")
    return info.name, info.size


def _body(stream: BinaryIO, name: str, size: int) -> tuple[Member, bytes]:
    hasher, left, kept = hashlib.sha256(), size, []
    while left:
        chunk = stream.read(min(CHUNK, left))
        if not chunk:
            raise BadContainer(f"{name[:80]} is cut off")
        hasher.update(chunk)
        left -= len(chunk)
        if size <= KEPT:
            kept.append(chunk)
    content = b"".join(kept) if size <= KEPT else None
    return Member(name, size, "sha256:" + hasher.hexdigest(), content), stream.read(-size % BLOCK)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
