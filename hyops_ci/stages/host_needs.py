"""The room that a run needs on this host."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from hyops_ci.contracts.facts import DiskSpace
from hyops_ci.hyops_access.port import HyOpsAccess
from hyops_ci.stages.planned_run import PlannedRun


def disks_of(run: PlannedRun, access: HyOpsAccess) -> tuple[DiskSpace, ...]:
    """Return the room where this run writes, each file system once: the env's first, then of its folder and of temporary files."""
    environ = run.context.environ
    device, free = access.room()
    env = DiskSpace(place=str(access.place.runtime.root), free_bytes=free, holds_env=True)
    return (env, *others(device, (run.folder.root, Path(environ.get("TMPDIR") or tempfile.gettempdir()), run.context.state_dir)))


def others(device: int, places: Iterable[Path]) -> tuple[DiskSpace, ...]:
    """Return the room of those places that are there, each file system once and that of `device` not at all."""
    found = {place.stat().st_dev: place for place in reversed(tuple(places)) if place.is_dir()}
    return tuple(DiskSpace(place=str(place), free_bytes=shutil.disk_usage(place).free) for at, place in found.items() if at != device)
