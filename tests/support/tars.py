"""Tars that the tests made themselves."""

from __future__ import annotations

import tarfile
from pathlib import Path


def unpack(tar: Path, to: Path) -> None:
    """Unpack a tar. From Python 3.12 on a filter has to be named, and 3.11.2 knows none."""
    with tarfile.open(tar) as opened:
        opened.extraction_filter = getattr(tarfile, "data_filter", None)
        opened.extractall(to)
