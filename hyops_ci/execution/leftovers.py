"""What a run leaves in an env that holds secrets: removed, and the runtime bundle put back, once nothing of HyOps runs (docs/secrets.md).

By the supervisor when HyOps has ended, by the step where there is no supervisor, and by the next run where both were killed.
Names are unlinked and nothing is overwritten: a file may have another name elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from hyops_ci import files
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import shown
from hyops_ci.execution.run_ids import started_at

BUNDLE: Final = Path("vault", "bootstrap.vault.env")
PLAINTEXT: Final = "hyops.vaultenv.*"
"""The bundle's text in clear, beside it, where HyOps was killed in the moment of writing (HyOps `runtime/vault.py`)."""
KEY: Final = "runtime.ssh.key"
"""A private key out of HyOps' environment, in the work folder of a run (HyOps `drivers/config/ansible/runtime_env.py`)."""
STATE: Final = ".tfstate"
"""Part of the name of Terraform's own record of what there is, which is kept whatever it holds."""
MAX_FILE: Final = 4 << 20
MAX_FILES: Final = 20_000
NAMED: Final = 50
"""Names of files that are told; the rest is a count."""


@dataclass(frozen=True, slots=True)
class CleanedUp:
    """What was done."""

    removed: tuple[str, ...] = ()
    """Files that held secrets, relative to the env."""
    kept: tuple[str, ...] = ()
    """Files of this run that hold a secret and are HyOps' own record: its logs, Terraform's state."""
    bundle_kept: bool = False
    """Whether the bundle was left as it is: another program changed it while the run had it."""

    def facts(self) -> dict[str, object]:
        """Return it for the journal and the evidence."""
        return {"removed": _told(self.removed), "kept": _told(self.kept), "bundle_kept": self.bundle_kept}


def clean_up(root: Path, since: datetime | None = None, holds: Callable[[bytes], object] | None = None) -> CleanedUp:
    """Put the bundle of the env in `root` back and remove what holds secrets.

    That is known by its name, in any run's folder; and with `since` and `holds`, which finds this run's secrets in bytes, by what
    it holds, in the folders of runs begun since then. Never raises for a file: the next run tries again.
    """
    removed, kept = [], []
    for path in [*_plain(root / "vault", PLAINTEXT), *(path for folder in _runs(root / "work") for path in _plain(folder, KEY))]:
        removed += _removed(path)
    for place in ("work", "logs/module") if holds is not None and since is not None else ():
        for path in _written(root / place, since):
            if not _holds(path, holds):
                continue
            if place == "work" and STATE not in path.name:
                removed += _removed(path)
            else:
                kept.append(path)
    try:
        bundle_kept = not files.put_back(root / BUNDLE)
    except (OSError, files.UnsafeFile):
        bundle_kept = True
    return CleanedUp(_relative(root, removed), _relative(root, kept), bundle_kept)


def _runs(folder: Path) -> Iterator[Path]:
    """Yield the folders `<module>/<run>`; links lead elsewhere and are not followed."""
    for module in _folders(folder):
        yield from _folders(module)


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _plain(folder: Path, pattern: str) -> list[Path]:
    return [path for path in sorted(folder.glob(pattern)) if not folder.is_symlink() and not path.is_dir()]


def _written(folder: Path, since: datetime | None) -> Iterator[Path]:
    """Yield the files of runs begun since then, at most `MAX_FILES`."""
    count = 0
    for run in _runs(folder):
        began = started_at(run.name)
        if since is None or began is None or began < since.replace(microsecond=0):
            continue
        for inside, _, names in os.walk(run):
            for name in sorted(names):
                count += 1
                if count > MAX_FILES:
                    return
                yield Path(inside, name)


def _holds(path: Path, holds: Callable[[bytes], object] | None) -> bool:
    try:
        return holds is not None and bool(holds(files.read(path, MAX_FILE)))
    except (OSError, files.UnsafeFile):
        return False


def _removed(path: Path) -> list[Path]:
    try:
        path.unlink()
    except OSError:
        return []
    return [path]


def _relative(root: Path, paths: list[Path]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(shown(path.relative_to(root).as_posix()) for path in paths))


def _told(names: tuple[str, ...]) -> list[str]:
    more = len(names) - NAMED
    return [*names[:NAMED], *([f"and {more} more"] if more > 0 else [])]
