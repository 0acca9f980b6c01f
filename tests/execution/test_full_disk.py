"""A disk that fills up while HyOps works: HyOps goes on to its end, and the journal knows it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, time
for number in range({chunks}):
    print("x" * 60_000, flush=True)
    time.sleep(0.01)
print("step=a status=running", flush=True)
print("blueprint=dr/contract@v1 mode=hybrid status=ok steps=1", flush=True)
"""


def run_on_a_small_disk(folder: Path, program: str) -> dict[str, Any]:
    """One program under the supervisor, whose journal lies on a disk of one MiB, in a mount namespace of its own."""
    unshare = shutil.which("unshare")
    assert unshare, "unshare of util-linux is needed"
    command = [unshare, "-Urm", sys.executable, "-m", "tests.execution.filling", str(folder), program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_a_full_disk_ends_nothing(tmp_path: Path) -> None:
    """Six MiB of output into one: what finds no room is dropped and said to be, HyOps' end is known."""
    said = run_on_a_small_disk(tmp_path, PROGRAM.format(chunks=100))
    assert said["ended"] == {"rc": 0, "by_itself": True}
    assert (said["cut"], said["signals"], said["full"], said["errors"]) == (True, [], False, "")
    assert 0 < said["kept"] < 1 << 20
    assert any("FinalLine" in line for line in said["lines"]), "what HyOps says of its steps is read past the cut"


def test_a_disk_with_room_keeps_everything(tmp_path: Path) -> None:
    said = run_on_a_small_disk(tmp_path, PROGRAM.format(chunks=2))
    assert said["ended"] == {"rc": 0, "by_itself": True}
    assert (said["cut"], said["full"]) == (False, False)
    assert said["kept"] > 120_000
