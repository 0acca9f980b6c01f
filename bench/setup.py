"""`actions/setup` with and without an environment on the host, beside `python -m venv` and `pip install` of the same wheels.

Both take the wheels from a folder, so that nothing is downloaded while the clock runs, and the same interpreter. Seconds are wall time of
the fastest round, since whatever else this machine does can only add to them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from bench import Result

ROOT: Final = Path(__file__).parents[1]
SCRIPT: Final = ROOT / "actions" / "setup" / "setup.sh"
REQUIREMENTS: Final = ROOT / "requirements" / "runtime.txt"
STRICT: Final = (
    "--require-hashes",
    "--only-binary",
    ":all:",
    "--no-deps",
    "--disable-pip-version-check",
    "--quiet",
    "-r",
    str(REQUIREMENTS),
)
WARM_ROUNDS: Final = 10
COLD_ROUNDS: Final = 3
WARM_GOAL: Final = 0.3
COLD_GOAL: Final = 3.0
"""Seconds of the whole step, the creation of the environment included."""


def run() -> tuple[Result, Result]:
    """Measure cold beside the peer in turn, then warm."""
    with tempfile.TemporaryDirectory(prefix="bench-setup-") as folder:
        root = Path(folder)
        host, wheels = _host(root), root / "wheels"
        subprocess.run([sys.executable, "-m", "pip", "download", *STRICT, "--dest", str(wheels)], check=True)
        cold, peer = [], []
        for number in range(COLD_ROUNDS):
            shutil.rmtree(root / "tools", ignore_errors=True)
            cold.append(_setup(root, host, wheels))
            peer.append(_peer(root / f"peer-{number}", host, wheels))
        warm = [_setup(root, host, wheels) for _ in range(WARM_ROUNDS)]
    notes = (
        f"cold {_each(cold)} s, {min(cold) / min(peer):.2f} of the peer's",
        f"peer (python -m venv, pip install of the same {len(_pins())} wheels) {_each(peer)} s",
    )
    return (
        Result("setup", "warm_seconds", min(warm), "<=", WARM_GOAL, (f"warm {_each(warm)} s",)),
        Result("setup", "cold_seconds", min(cold), "<=", COLD_GOAL, notes),
    )


def _host(root: Path) -> dict[str, str]:
    """A runner's environment, in which every name that setup tries is the interpreter that the wheels are for."""
    programs = root / "bin"
    programs.mkdir()
    python = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    for name in ("python3", *(f"python3.{minor}" for minor in range(11, 15))):
        (programs / name).symlink_to(python)
    return {"PATH": f"{programs}{os.pathsep}{os.defpath}", "HOME": str(root), "LANG": "C.UTF-8"}


def _setup(root: Path, host: dict[str, str], wheels: Path) -> float:
    """Run the step as the runner does; seconds. The environment is in `root`/tools."""
    names = {"RUNNER_TOOL_CACHE": "tools", "RUNNER_TEMP": ".", "GITHUB_PATH": "path", "GITHUB_OUTPUT": "output"}
    files = {name: str(root / path) for name, path in names.items()}
    return _seconds(["bash", str(SCRIPT)], host | files | {"DR_WHEELHOUSE": str(wheels)})


def _peer(folder: Path, host: dict[str, str], wheels: Path) -> float:
    install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--no-index", "--find-links", str(wheels), *STRICT]
    return _seconds(["python3", "-m", "venv", str(folder)], host) + _seconds(install, host)


def _seconds(command: list[str], environment: dict[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.perf_counter() - begun


def _pins() -> list[str]:
    return [line for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines() if "==" in line]


def _each(seconds: list[float]) -> str:
    return " ".join(f"{one:.2f}" for one in seconds)
