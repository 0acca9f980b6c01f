from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LATER = """
import datetime, sys
class Later(datetime.date):
    @classmethod
    def today(cls):
        return cls(int(sys.argv[1]), 8, 1)
datetime.date = Later
import {module}
from google.api_core import check_python_version
"""


def load(module: str, year: int) -> subprocess.CompletedProcess[str]:
    """Load a module on a day of that year, where each warning is an error."""
    command = [sys.executable, "-W", "error", "-c", LATER.format(module=module), str(year)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("year", [2027, 2039])
def test_the_age_of_this_python_is_no_warning(year: int) -> None:
    done = load("hyops_ci.runners.gcp.clients", year)
    assert (done.returncode, done.stderr) == (0, "")


def test_google_warns_by_the_date() -> None:
    assert "FutureWarning: You are using a" in load("google.api_core", 2039).stderr


MODULES = sorted(path for path in (ROOT / "hyops_ci" / "runners").rglob("*.py") if path.name != "clients.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_else_loads_them(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    readers = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    for_readers = [each for node in readers for each in node.body]
    loaded = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom | ast.Import) and node not in for_readers]
    assert not [line for line in map(ast.unparse, loaded) if "google.api_core" in line or "google.cloud" in line]
