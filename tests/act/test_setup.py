"""`actions/setup`: built once per host and requirements, then there at once; isolated from the workspace."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.act.rewriting import ROOT
from tests.act.running import TOOLS, host_environment

pytestmark = [pytest.mark.act, pytest.mark.slow]
SCRIPT = ROOT / "actions" / "setup" / "setup.sh"


@dataclass
class Done:
    """What one call of the script left."""

    rc: int
    said: str
    outputs: dict[str, str]
    path: str
    seconds: float


def setup(folder: Path, tools: Path = TOOLS, **settings: str) -> Done:
    """Call the script as the action does, in a workspace whose files would be imported by a Python that is not isolated."""
    workspace = hostile(folder / "workspace")
    path, output = folder / "path", folder / "output"
    files = {"GITHUB_PATH": str(path), "GITHUB_OUTPUT": str(output), "RUNNER_TOOL_CACHE": str(tools), "RUNNER_TEMP": str(folder)}
    began = time.monotonic()
    environment = host_environment(folder) | files | {"PYTHONPATH": str(workspace)} | settings
    done = subprocess.run(["bash", str(SCRIPT)], cwd=workspace, env=environment, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    outputs = dict(line.split("=", 1) for line in output.read_text().splitlines()) if output.exists() else {}
    return Done(done.returncode, done.stdout + done.stderr, outputs, path.read_text().strip() if path.exists() else "", seconds)


def hostile(workspace: Path) -> Path:
    """A workspace with modules of the names that setup and hyops-ci import."""
    workspace.mkdir(parents=True)
    for name in ("json.py", "click.py", "hyops_ci.py", "sitecustomize.py", "venv.py", "ensurepip.py", "pip/__init__.py", "pip/__main__.py"):
        (workspace / name).parent.mkdir(exist_ok=True)
        (workspace / name).write_text("raise SystemExit('code of the workspace')\n")
    return workspace


def test_the_second_job_finds_it_at_once(tmp_path: Path) -> None:
    first = setup(tmp_path / "first")
    assert first.rc == 0, first.said
    marker = Path(first.outputs["python"]).parents[1] / "complete"
    built = marker.stat()
    second = setup(tmp_path / "second")
    assert (second.rc, second.outputs["python"]) == (0, first.outputs["python"]), second.said
    assert (marker.stat().st_ino, marker.stat().st_mtime_ns) == (built.st_ino, built.st_mtime_ns), "built once"
    assert second.seconds < 5, "0.05 s on an idle machine, where building takes seconds"


def test_the_command_is_this_commit_and_nothing_of_the_workspace(tmp_path: Path) -> None:
    done = setup(tmp_path / "job")
    workspace = tmp_path / "job" / "workspace"
    environment = {"PATH": f"{done.path}{os.pathsep}{os.defpath}", "PYTHONPATH": str(workspace), "HOME": str(tmp_path)}
    said = subprocess.run(["hyops-ci", "--version"], cwd=workspace, env=environment, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (0, "")
    assert re.match(r"hyops-ci, version \d+\.", said.stdout)


def test_what_one_job_compiled_is_used_by_the_next_unless_the_source_is_another(tmp_path: Path) -> None:
    """Each job has its action downloaded anew, into a folder of its own."""
    python = setup(tmp_path / "job").outputs["python"]
    environment = tmp_path / "environment"
    subprocess.run([python, "-I", "-m", "venv", "--without-pip", "--symlinks", str(environment)], check=True)
    packages = next((environment / "lib").glob("python3.*/site-packages"))
    (packages / "all.pth").write_text(str(next((Path(python).parents[1] / "lib").glob("python3.*/site-packages"))))

    def start(checkout: Path) -> str:
        for part in ("actions/setup", "hyops_ci"):
            shutil.copytree(ROOT / part, checkout / part, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        return said_by([environment / "bin" / "python", "-I", checkout / "actions/setup/start.py", "--version"])

    first, second = tmp_path / "first", tmp_path / "second"
    assert re.match(r"hyops-ci, version \d+\.", start(first))
    compiled = {path: path.stat().st_mtime_ns for path in (environment / "compiled").rglob("*.pyc")}
    assert {path.name.partition(".")[0] for path in compiled} >= {"__init__", "app", "errors"}
    start(second)
    assert {path: path.stat().st_mtime_ns for path in (environment / "compiled").rglob("*.pyc")} == compiled
    assert not [*first.rglob("*.pyc"), *second.rglob("*.pyc")]

    version = second / "hyops_ci" / "__init__.py"
    version.write_text(version.read_text().replace('__version__ = "', '__version__ = "77.'))
    os.utime(version, ns=(compiled_at := next(iter(compiled.values())), compiled_at))
    command = [environment / "bin" / "python", "-I", second / "actions/setup/start.py", "--version"]
    assert said_by(command).startswith("hyops-ci, version 77."), "another source of the same age"


def said_by(command: Sequence[str | Path]) -> str:
    """What a command printed."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_without_index_and_wheelhouse_it_says_what_is_missing(tmp_path: Path) -> None:
    done = setup(tmp_path / "job", tmp_path / "tools", DR_INDEX="never")
    assert done.rc == 7
    assert "REFUSED setup.packages (exit 7)" in done.said
    assert "no wheelhouse" in done.said
    assert done.path == ""


@pytest.mark.parametrize("marked", [False, True])
def test_a_half_built_or_broken_environment_is_not_used(tmp_path: Path, marked: bool) -> None:
    whole = Path(setup(tmp_path / "whole").outputs["python"]).parents[1]
    broken = tmp_path / "tools" / "hyops-ci" / whole.name
    (broken / "bin").mkdir(parents=True)
    (broken / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    (broken / "bin" / "python").chmod(0o755)
    if marked:
        (broken / "complete").touch()
    done = setup(tmp_path / "job", tmp_path / "tools", DR_INDEX="never")
    assert done.rc == 7, done.said
    assert not broken.exists()


def test_a_python_that_is_too_old_is_named(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "uname", "cat", "sha256sum", "mkdir", "flock", "rm"):
        (programs / name).symlink_to(Path("/usr/bin") / name)
    (programs / "python3").write_text("#!/bin/sh\nexit 1\n")
    (programs / "python3").chmod(0o755)
    done = setup(tmp_path / "job", tmp_path / "tools", PATH=str(programs))
    assert done.rc == 7
    assert "REFUSED setup.python (exit 7)" in done.said


def test_with_arguments_it_becomes_the_command(tmp_path: Path) -> None:
    setup(tmp_path / "job")
    files = {"RUNNER_TOOL_CACHE": str(TOOLS), "RUNNER_TEMP": str(tmp_path)}
    command = ["bash", str(SCRIPT), "plan", "--at", "no time"]
    environment = host_environment(tmp_path) | files
    said = subprocess.run(command, cwd=tmp_path / "job" / "workspace", env=environment, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout) == (2, "")
    assert "'no time' is not a time in UTC" in said.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job"], "nothing is written for later steps"


def test_an_environment_of_another_python_is_built_again(tmp_path: Path) -> None:
    whole = Path(setup(tmp_path / "whole").outputs["python"]).parents[1]
    other = tmp_path / "tools" / "hyops-ci" / whole.name
    (other / "bin").mkdir(parents=True)
    (other / "bin" / "python").symlink_to((whole / "bin" / "python").resolve())
    (other / "complete").write_text("3.10.0 of before the upgrade")
    done = setup(tmp_path / "job", tmp_path / "tools", DR_INDEX="never")
    assert (done.rc, other.exists()) == (7, False), done.said
