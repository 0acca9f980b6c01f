"""The libraries of earlier releases on a host where HyOps runs as a user of its own: each would still answer whoever asks for it.

Loaded on any system: a laptop that upgrades a repository has none of them, and no users as Linux has.
"""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from hyops_ci.dataclass import dataclass
from hyops_ci.hyops_access.rule import RELEASES, release_of


@dataclass(frozen=True)
class FormerLibraries:
    """What became of the libraries of other releases, by their digests."""

    removed: tuple[str, ...] = ()
    at_work: tuple[str, ...] = ()
    """Kept, since a program of theirs runs."""


def remove_former(root: Path = Path("/"), proc: Path = Path("/proc")) -> FormerLibraries:
    """Remove the libraries of all releases but this one, where this one is there: who may ask names the release that answers.

    An earlier one would answer as it always did, whatever a later one mends. Raises OSError.
    """
    folder, own = root / RELEASES.lstrip("/"), release_of()
    if not (folder / own).is_dir():
        return FormerLibraries()
    commands = [_command(each) for each in proc.glob("[0-9]*")]
    former = sorted(each.name for each in folder.iterdir() if each.name != own and not each.name.startswith("."))
    busy = tuple(name for name in former if any(f"{RELEASES}/{name}" in command for command in commands))
    removed = tuple(name for name in former if name not in busy)
    for name in removed:
        gone = folder / f".{name}.{secrets.token_hex(8)}"  # in one step: nobody starts half a library
        (folder / name).rename(gone)
        shutil.rmtree(gone)
    return FormerLibraries(removed, busy)


def _command(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:  # it has ended
        return ""
