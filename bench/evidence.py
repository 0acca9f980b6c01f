"""Sealing and verifying a bundle of 400 MB, against `sha256sum` reading the same bytes in the same run.

Everything lies in memory where the machine has room for it, so that no disk is measured.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import bench
from hyops_ci.contracts.run import RefusalRecord, Result, State
from hyops_ci.evidence.bundle import seal
from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.evidence.verify import verify

FILES: Final = 40
MEGABYTES: Final = 10
ROUNDS: Final = 3
_ROOM: Final = Path("/dev/shm")  # noqa: S108 - memory, and a folder of our own in it


class _Clock:
    """A time that stands still."""

    def now(self) -> datetime:
        return datetime(2026, 11, 23, 3, 4, 31, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        return


def run() -> bench.Result:
    """The slower of sealing and verifying, as a share of what sha256sum does. Best of three of each, taken in turns."""
    with tempfile.TemporaryDirectory(dir=_room()) as name:
        folder, bundle, result = Path(name) / "run", Path(name) / "bundle.tar", _run_dir(Path(name) / "run")

        def peer() -> None:
            subprocess.run(["sha256sum", bundle], check=True, stdout=subprocess.DEVNULL)

        def sealing() -> None:
            seal(folder, result, to=bundle, clock=_Clock())

        def verifying() -> None:
            assert verify(bundle).ok

        tasks: dict[str, Callable[[], None]] = {"seal": sealing, "verify": verifying, "sha256sum": peer}
        best = dict.fromkeys(tasks, float("inf"))
        for _ in range(ROUNDS):
            for task, act in tasks.items():
                started = time.perf_counter()
                act()
                best[task] = min(best[task], time.perf_counter() - started)
        size = bundle.stat().st_size / 1e6
    rate = {task: size / took for task, took in best.items()}
    notes = tuple(f"{task:<10} {rate[task]:7.0f} MB/s, {rate[task] / rate['sha256sum']:.2f}x sha256sum" for task in tasks)
    share = min(rate["seal"], rate["verify"]) / rate["sha256sum"]
    return bench.Result("evidence", "throughput_vs_sha256sum", share, ">=", 0.7, (f"{size:.0f} MB in {FILES} files", *notes))


def _room() -> Path | None:
    """Memory with room for the files and the bundle, or None for the usual place."""
    import shutil

    needed = 3 * FILES * MEGABYTES * 1_000_000
    return _ROOM if _ROOM.is_dir() and shutil.disk_usage(_ROOM).free > needed else None


def _run_dir(root: Path) -> Result:
    """A run that was refused, with large logs."""
    refusal = RefusalRecord(gate="intake.json", reason="not JSON", exit_code=3)
    with PartRecorder(root, "plan", _Clock()) as part:
        part.enter(State.RECEIVED)
        part.refusal(refusal.gate, **refusal.document())
        part.enter(State.REJECTED)
    for name in ("environment.json", "objectives.json"):
        (root / name).write_text("{}")
    block = bytes(range(256)) * 3907
    for number in range(FILES):
        path = root / "hyops" / f"log-{number}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((number.to_bytes(2, "big") + block) * MEGABYTES)
    when = "2026-11-23T03:04:31Z"
    return Result(run_id="1-1", outcome=State.REJECTED, exit_code=3, headline="REFUSED", started_at=when, ended_at=when, refusal=refusal)
