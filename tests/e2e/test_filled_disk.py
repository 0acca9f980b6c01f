"""A disk that fills up on the runner takes neither the recovery along nor its end."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
ROOT = Path(__file__).parents[2]


def recovery(folder: Path, how: str) -> dict[str, Any]:
    """What a recovery came to whose disk was filled once, or is kept full."""
    unshare = shutil.which("unshare")
    assert unshare, "unshare of util-linux is needed"
    command = [unshare, "-Urm", sys.executable, "-m", "tests.e2e.filled_disk", str(folder), how]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def test_what_was_set_aside_is_enough_for_the_end(tmp_path: Path) -> None:
    said = recovery(tmp_path, "once")
    assert said["state"] == "COMPLETED_WITH_EXCEPTIONS", said
    assert (said["sealed"], said["problems"], said["ledger"]) == (True, [], "COMPLETED_WITH_EXCEPTIONS")


def test_without_any_room_the_end_is_unknown_and_said(tmp_path: Path) -> None:
    """Somebody takes every byte that comes free: no evidence can be written, and the ledger, elsewhere, keeps the lock."""
    said = recovery(tmp_path, "always")
    assert (said["state"], said["sealed"], said["ledger"]) == ("INDETERMINATE", False, "INDETERMINATE"), said
    assert (said["refusal"]["gate"], said["refusal"]["exit_code"]) == ("evidence.unwritten", 10)
