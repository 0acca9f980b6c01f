"""SHA256SUMS, in the form that `sha256sum --check` reads."""

from __future__ import annotations

from hashlib import file_digest
from pathlib import Path
from typing import Final

NAME: Final = "SHA256SUMS"


def checksums(folder: Path) -> str:
    """Return a line for each file of a folder but the list itself, by name."""
    lines = []
    for path in sorted(each for each in folder.iterdir() if each.name != NAME):
        with path.open("rb") as file:
            lines.append(f"{file_digest(file, 'sha256').hexdigest()}  {path.name}\n")
    return "".join(lines)
