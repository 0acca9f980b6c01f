"""The runtime copy of the overlay: written for one run, guards opened, removed afterwards (docs/design/workflows.md 4).

HyOps reads `--file` only below `<root>/config/blueprints` (HyOps `blueprint/command.py`). The committed
overlay keeps its guards closed; the copy exists for as long as the run does, readable by its owner alone.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from hyops_ci.errors import Exit, Refusal
from hyops_ci.files import write_new

PREFIX: Final = "dr-dispatch-"
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,79}")


def overlay_path(root: Path, run_id: str) -> Path:
    """Return where the copy of a run lies: `<root>/config/blueprints/dr-dispatch-<run>.yml`. Raises ValueError for any other text."""
    if not _RUN.fullmatch(run_id):
        raise ValueError("a run id is letters, digits and dashes")
    return root / "config" / "blueprints" / f"{PREFIX}{run_id}.yml"


def write_overlay(root: Path, run_id: str, content: bytes) -> Path:
    """Write the copy (0600). `runtime_overlay` or the supervisor (`remove_after`) removes it.

    Raises Refusal (`hyops.overlay`, exit 4) when the folder leads elsewhere or the copy exists already.
    """
    path = overlay_path(root, run_id)
    _own_folder(root, path.parent)
    try:
        write_new(path, content)
    except FileExistsError:
        raise _refused(f"{path} exists", "no copy of this run: a run id is used once") from None
    return path


@contextmanager
def runtime_overlay(root: Path, run_id: str, content: bytes) -> Iterator[Path]:
    """The copy, there for the length of the block and removed however the block ends.

    A killed process removes nothing: the supervisor removes the copy then, and `remove_leftovers` what is left of both.
    """
    path = write_overlay(root, run_id, content)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def remove_leftovers(root: Path, *, keep: Iterable[str] = ()) -> tuple[Path, ...]:
    """Remove copies that killed runs left behind, except those of the run ids in `keep`; the paths removed.

    Called at the start of a run, under the host lock: no other run of this env is alive then.
    """
    kept = {overlay_path(root, run_id).name for run_id in keep}
    removed = []
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(root / "config" / "blueprints") as entries:
        for entry in sorted(entries, key=lambda each: each.name):
            ours = entry.name.startswith(PREFIX) and entry.name.endswith(".yml") and entry.name not in kept
            if ours and not entry.is_dir(follow_symlinks=False):
                Path(entry.path).unlink(missing_ok=True)
                removed.append(Path(entry.path))
    return tuple(removed)


def _own_folder(root: Path, folder: Path) -> None:
    """`config/blueprints` below the root, made if absent, and nowhere else even through links."""
    for part in (folder.parent, folder):
        with suppress(FileExistsError):
            part.mkdir(mode=0o700)
    if folder.resolve() != root.resolve() / "config" / "blueprints" or not stat.S_ISDIR(folder.lstat().st_mode):
        raise _refused(f"{folder} leads to {folder.resolve()}", "a folder inside the env's runtime")


def _refused(found: str, expected: str) -> Refusal:
    return Refusal(
        "hyops.overlay",
        "the overlay cannot be copied for HyOps",
        exit_code=Exit.POLICY,
        found=found,
        expected=expected,
        fix="look at the folder on the runner; remove what does not belong there",
        docs="hyops.md",
    )
