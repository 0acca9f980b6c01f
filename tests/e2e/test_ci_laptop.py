"""What ci.yml runs on macOS and Windows, run here as it stands: it names every command that works there, and finds what it looks for."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.test_other_systems import LAPTOP

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
STEPS: dict[str, dict[str, Any]] = {
    step["name"]: step
    for step in yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))["jobs"]["laptop"]["steps"]
    if "name" in step
}


def carry_out(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A step, as `shell: bash` runs it."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "RUNNER_TEMP": str(folder), **STEPS[name].get("env", {})}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS[name]["run"]]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["Every command starts", "From an empty repository to a caller"])
def test_a_step_passes(name: str, tmp_path: Path) -> None:
    done = carry_out(name, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_of_a_laptop_is_started() -> None:
    assert f"for command in {' '.join(LAPTOP)}; do" in STEPS["Every command starts"]["run"]


def test_the_tests_that_it_names_are_there() -> None:
    places = STEPS["Their own tests"]["run"].removeprefix("python -m pytest ")
    named = subprocess.run(["bash", "-c", f"printf '%s\\n' {places}"], capture_output=True, text=True, check=True).stdout.split()
    assert len(named) == 7
    assert [name for name in named if not (ROOT / name).is_file()] == []
