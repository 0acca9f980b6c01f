"""What a recovery will need of this host, looked at before anyone approves, and nothing of it taken: bundle, password, lock, room."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hyops_ci.contracts.facts import DiskSpace, Trouble
from hyops_ci.errors import DispatchError
from hyops_ci.execution.command import Runtime
from hyops_ci.execution.leftovers import BUNDLE
from hyops_ci.ledger.host_lock import require_unlocked
from hyops_ci.secrets.bundle import require_usable
from hyops_ci.stages.planned_run import PlannedRun

PASSWORD_FILE: Final = "HYOPS_VAULT_PASSWORD_FILE"
"""Names the file on a host whose config names none."""


def troubles_of(run: PlannedRun, runtime: Runtime) -> tuple[Trouble, ...]:
    """Return what execute would be refused for on this host after the approval: it is asked by the same functions, and nothing is held."""
    asked: tuple[Callable[[], None], ...] = (
        lambda: require_usable(runtime.root / BUNDLE, password_file(run)),
        lambda: require_unlocked(runtime.root),
    )
    return tuple(trouble for ask_now in asked if (trouble := _trouble(ask_now)) is not None)


def _trouble(require: Callable[[], None]) -> Trouble | None:
    try:
        require()
    except DispatchError as error:
        return Trouble(gate=error.gate, reason=error.reason, found=error.found, expected=error.expected, fix=error.fix)
    return None


def password_file(run: PlannedRun) -> str:
    """Return the file with the password of the env's bundle: the plan's, else the one that this host names; empty for none."""
    return run.plan.vault_password_file or run.context.environ.get(PASSWORD_FILE, "")


def disks_of(run: PlannedRun, root: Path) -> tuple[DiskSpace, ...]:
    """Return the room where this run writes, each file system once: the env's first, then of its folder and of temporary files."""
    environ = run.context.environ
    places = (root, run.folder.root, Path(environ.get("TMPDIR") or tempfile.gettempdir()), run.context.state_dir)
    there = {place.stat().st_dev: place for place in reversed(places) if place.is_dir()}
    measured = [DiskSpace(place=str(place), free_bytes=shutil.disk_usage(place).free, holds_env=place == root) for place in there.values()]
    return tuple(sorted(measured, key=lambda disk: not disk.holds_env))
