"""The commands that a person runs on a laptop, without what only Linux has: a run's own commands need a Linux runner, these do not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
LAPTOP = (
    "approve",
    "board",
    "config",
    "dispatch",
    "docs",
    "drill",
    "environment",
    "evidence",
    "init",
    "ledger",
    "readiness",
    "recovery",
    "status",
    "upgrade",
    "validate",
)
LOAD = """
import ast, importlib, inspect, sys
sys.path.insert(0, sys.argv[1])
from tests.support.other_system import elsewhere
for name in [name for name in sys.modules if name.partition(".")[0] == "hyops_ci"]:
    del sys.modules[name]
with elsewhere():
    from hyops_ci.cli import app
    module = importlib.import_module(f"hyops_ci.cli.{app.COMMANDS[sys.argv[2]][0]}")
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ImportFrom):
            importlib.import_module(node.module)
print("loaded")
"""


@pytest.mark.parametrize("command", LAPTOP)
def test_a_command_loads_without_the_modules_that_only_linux_has(command: str) -> None:
    loaded = subprocess.run([sys.executable, "-c", LOAD, str(ROOT), command], capture_output=True, text=True, check=False, cwd=ROOT)
    assert loaded.stdout == "loaded\n", loaded.stderr


@pytest.mark.parametrize("name", ["approve", "dispatch", "evidence", "init", "runner", "upgrade"])
def test_a_command_passes_its_own_tests_there(name: str) -> None:
    plugin = ("-p", "tests.support.other_system", "-p", "no:cacheprovider", "-q", "--no-header")
    command = [sys.executable, "-m", "pytest", *plugin, f"tests/unit/cli/test_{name}.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, " passed" in done.stdout) == (0, True), done.stdout[-4000:]
