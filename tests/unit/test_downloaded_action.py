"""What GitHub downloads for each job that uses an action of this repository: the archive of the commit."""

from __future__ import annotations

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).parents[2]
WHAT_RUNS = ("action.yml", "actions", "docs", "hyops_ci", "requirements", "schemas", "workflows-templates")


def test_it_holds_all_that_runs_and_nothing_that_tries_it() -> None:
    made = subprocess.run(["git", "archive", "--worktree-attributes", "HEAD"], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=BytesIO(made)) as tar:
        there = {entry.name for entry in tar if not entry.isdir()}
    tracked = subprocess.run(["git", "ls-tree", "-r", "--name-only", "-z", "HEAD"], cwd=ROOT, capture_output=True, check=True, text=True)
    committed = tracked.stdout.rstrip("\0").split("\0")
    assert {path for path in committed if path.split("/")[0] in WHAT_RUNS} <= there
    assert {path.split("/")[0] for path in set(committed) - there} == {"tests", "bench"}
