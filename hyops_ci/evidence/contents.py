"""Read the files of a bundle, from the container or from the folder it was unpacked into."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hyops_ci.archive import KEPT, read
from hyops_ci.evidence.recorder import EVENTS

MAX_EVENTS: Final = 64 << 20
"""Bytes of the events of one stage that a reader may hold in memory."""


def read_files(path: Path) -> dict[str, bytes]:
    """Return name -> bytes of every file of at most `KEPT` bytes, of events `MAX_EVENTS`. Raises BadArchive or OSError; verify first."""
    if path.is_dir():
        files = ((file.relative_to(path).as_posix(), file) for file in sorted(path.rglob("*")) if file.is_file() and not file.is_symlink())
        return {name: file.read_bytes() for name, file in files if file.stat().st_size <= _most(name)}
    with path.open("rb") as stream:
        return {member.name: member.content for member in read(stream, keep=_most) if member.content is not None}


def _most(name: str) -> int:
    return MAX_EVENTS if name.startswith("parts/") and name.endswith(f"/{EVENTS}") else KEPT
