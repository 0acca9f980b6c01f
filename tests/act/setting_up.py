"""Calls `actions/setup/setup.sh` as the action does, in a workspace whose files would be imported by a Python that is not isolated."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.act.rewriting import ROOT
from tests.act.running import TOOLS, host_environment

SCRIPT = ROOT / "actions" / "setup" / "setup.sh"


@dataclass
class Done:
    """What one call of the script left."""

    rc: int
    said: str
    outputs: dict[str, str]
    path: str
    seconds: float


def setup(folder: Path, tools: Path = TOOLS, *, script: Path = SCRIPT, inside: Sequence[str] = (), **settings: str) -> Done:
    """Call the script in a workspace below `folder`, with what a runner has. `settings` are its inputs and other variables."""
    workspace = hostile(folder / "workspace")
    path, output = folder / "path", folder / "output"
    files = {"GITHUB_PATH": str(path), "GITHUB_OUTPUT": str(output), "RUNNER_TOOL_CACHE": str(tools), "RUNNER_TEMP": str(folder)}
    began = time.monotonic()
    environment = host_environment(folder) | files | {"PYTHONPATH": str(workspace)} | settings
    done = subprocess.run([*inside, "bash", str(script)], cwd=workspace, env=environment, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    outputs = dict(line.split("=", 1) for line in output.read_text().splitlines()) if output.exists() else {}
    return Done(done.returncode, done.stdout + done.stderr, outputs, path.read_text().strip() if path.exists() else "", seconds)


def wheels(folder: Path) -> Path:
    """A folder of the wheels, as somebody brings them to a host without an index. `folder` is for this call alone."""
    done = setup(folder)
    assert done.rc == 0, done.said
    return Path(done.outputs["python"]).parents[2] / "wheels"


def hostile(workspace: Path) -> Path:
    """A workspace with modules of the names that setup and hyops-ci import."""
    workspace.mkdir(parents=True)
    for name in ("json.py", "click.py", "hyops_ci.py", "sitecustomize.py", "venv.py", "ensurepip.py", "pip/__init__.py", "pip/__main__.py"):
        (workspace / name).parent.mkdir(exist_ok=True)
        (workspace / name).write_text("raise SystemExit('code of the workspace')\n")
    return workspace
