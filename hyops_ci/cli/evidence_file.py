"""Find the bundle that a person names: the container, the folder it was unpacked into, or the zip that GitHub gives for its artifact."""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hyops_ci.archive import BadArchive
from hyops_ci.errors import Exit, Refusal
from hyops_ci.evidence.bundle import BUNDLE, bundle_among

_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")


@contextmanager
def bundle_in(path: Path) -> Iterator[Path]:
    """Yield the container or folder in `path`: itself or, of an artifact's zip, the container in it.

    Raises Refusal (exit 2) where there is nothing to read, BadArchive for a zip that holds no bundle.
    """
    try:
        packed = _container(path)
    except OSError as error:
        raise Refusal(
            "evidence.file",
            f"{path}: {error.strerror}",
            exit_code=Exit.USAGE,
            found=f"nothing that can be read at {path}",
            expected="a bundle: dr-evidence-<run>-<attempt>.tar, its artifact's zip, or the folder it was unpacked into",
            fix="name the file; of a run on GitHub: gh run download <run> -n dr-evidence-<run>-<attempt>",
            docs="evidence.md",
        ) from None
    if packed is None:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="dr-evidence-") as folder:
        container = Path(folder, BUNDLE)
        container.write_bytes(packed)
        yield container


def _container(path: Path) -> bytes | None:
    """Return the container in an artifact's zip, None for what is no zip. Raises OSError for what cannot be read, and BadArchive."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        if not stat.S_ISDIR(mode):
            raise BadArchive("neither a file nor a folder")  # a pipe or device may have no end
        next(path.iterdir(), None)
        return None
    with path.open("rb") as file:
        if file.read(4) not in _ZIP:
            return None
    from hyops_ci.github.artifacts import MOST_PACKED, BadZip, unzip

    if path.stat().st_size > MOST_PACKED:
        raise BadArchive(f"a zip of more than {MOST_PACKED} bytes")
    try:
        files = unzip(path.read_bytes())
    except BadZip as error:
        raise BadArchive(str(error)) from None
    if (name := bundle_among(files)) is None:
        raise BadArchive(f"a zip without one dr-evidence-<run>-<attempt>.tar: it holds {', '.join(sorted(files)[:5]) or 'nothing'}")
    return files[name]
