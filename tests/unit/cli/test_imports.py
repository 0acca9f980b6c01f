"""What a stage loads before it does anything: each package is a part of every dispatch, whether it is needed or not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LOAD = """
import sys
before = set(sys.modules)  # what the interpreter brings: Debian's has a sitecustomize
import ast, importlib, inspect
sys.path.insert(0, sys.argv[2])
from hyops_ci.cli import app
command = importlib.import_module(f"hyops_ci.cli.{sys.argv[1]}").command
for node in ast.walk(ast.parse(inspect.getsource(command.callback))):
    if isinstance(node, ast.ImportFrom):
        importlib.import_module(node.module)
print(*sorted(set(sys.modules) - before))
"""
ALWAYS = {"annotated_types", "click", "hyops_ci", "pydantic", "pydantic_core", "rfc8785", "typing_extensions", "typing_inspection", "yaml"}
INTAKE = {"jsonschema_rs"}


@pytest.mark.parametrize(("stage", "more"), [("plan", INTAKE), ("watch", set()), ("check", set()), ("execute", set()), ("conclude", set())])
def test_a_stage_loads_what_it_needs(stage: str, more: set[str]) -> None:
    """HTTP, the authority's client, signatures and templates are loaded where they are used."""
    loaded = modules_of(stage)
    packages = {name.partition(".")[0] for name in loaded if not name.startswith("_")}
    assert packages - set(sys.stdlib_module_names) - {"cython_runtime"} == ALWAYS | more
    if stage in ("plan", "watch"):
        assert [
            name for name in loaded if name.startswith(("hyops_ci.execution", "hyops_ci.secrets.authorities", "hyops_ci.operations"))
        ] == []


def modules_of(stage: str) -> list[str]:
    command = [sys.executable, "-I", "-c", LOAD, stage, str(ROOT)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_the_supervisor_of_hyops_loads_no_model() -> None:
    """It starts while the service is down: what only the commands need stays out of it."""
    load = "import sys; before = set(sys.modules); sys.path.insert(0, sys.argv[1]); import hyops_ci.execution.supervisor"
    command = [sys.executable, "-I", "-c", f"{load}; print(*sorted(set(sys.modules) - before))", str(ROOT)]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    packages = {name.partition(".")[0] for name in loaded if not name.startswith("_")}
    assert packages - set(sys.stdlib_module_names) == {"hyops_ci"}
    assert [name for name in loaded if name.startswith("hyops_ci.contracts")] == []
