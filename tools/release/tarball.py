"""A tar whose bytes follow from names, contents and one time: sorted, of nobody, with two modes. Pure but for the file it fills."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from io import BytesIO
from typing import BinaryIO


def fill(file: BinaryIO, entries: Mapping[str, bytes], seconds: int, executable: frozenset[str] = frozenset()) -> None:
    """Write the entries (path to content), all of the same time: `seconds` since 1970."""
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(entries):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mtime, entry.mode = len(entries[path]), seconds, 0o755 if path in executable else 0o644
            tar.addfile(entry, BytesIO(entries[path]))
