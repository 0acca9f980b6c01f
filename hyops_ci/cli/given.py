"""Files that a person names: read up to a limit, and refused in words where they cannot be. Imports little: `validate` must start fast."""

from __future__ import annotations

from pathlib import Path
from typing import Final

MOST: Final = 1024 * 1024
"""Bytes. What reads configs, trust files and decisions takes less, and says its own limit."""


def given(path: Path, most: int = MOST) -> bytes:
    """Return the bytes of a file of at most `most`; a pipe, such as a shell's `<(...)`, is read to its end.

    Raises Refusal (exit 2) `intake.file` for what cannot be read, or is larger.
    """
    data = beginning(path, most + 1)
    if len(data) > most:
        raise _refuse(path, f"more than {most} bytes")
    return data


def beginning(path: Path, most: int) -> bytes:
    """Return at most the first `most` bytes of a file. Raises Refusal (exit 2) `intake.file` for what cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(most)
    except OSError as error:
        raise _refuse(path, str(error.strerror)) from None


def _refuse(path: Path, why: str) -> Exception:
    from hyops_ci.config.file import CONFIG_PATH
    from hyops_ci.errors import Exit, Refusal

    usual = path == Path(CONFIG_PATH)
    return Refusal(
        "intake.file",
        "the file cannot be read",
        exit_code=Exit.USAGE,
        found=f"{path}: {why}",
        expected="a readable file",
        fix="call it in the top folder of the checkout; hyops-ci init <name>/<env> writes the config" if usual else "name another",
        docs="adopt.md" if usual else "",
    )
