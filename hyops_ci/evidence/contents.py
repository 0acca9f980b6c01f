"""Read the files of a bundle, from the container or from the folder it was unpacked into."""

from __future__ import annotations

from pathlib import Path

from hyops_ci.archive import KEPT, read


def read_files(path: Path) -> dict[str, bytes]:
    """Return name -> bytes of every file of at most `KEPT` bytes. Raises BadArchive or OSError; verify first."""
    if path.is_dir():
        files = (file for file in sorted(path.rglob("*")) if file.is_file() and not file.is_symlink())
        return {file.relative_to(path).as_posix(): file.read_bytes() for file in files if file.stat().st_size <= KEPT}
    with path.open("rb") as stream:
        return {member.name: member.content for member in read(stream) if member.content is not None}
