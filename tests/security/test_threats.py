"""The page of threats says what the tests do: each attack is in it, with its twin, and each gate of it is asked for by a test it names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import hyops_ci
from hyops_ci.errors import Exit

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "threats.md"
NAMED = re.compile(r"`(test_[a-z_]+\.py)::(test_[a-z0-9_]+)`")
GATE = re.compile(r"`([a-z]+\.[a-z-]+)` (\d+)")
ABOUT_THEMSELVES = {"test_threats.py", "test_hostile_text.py::test_every_case_says_what_it_is"}


def rows() -> list[list[str]]:
    """The attacks, cell by cell; not the headings between them."""
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]
    assert all(len(row) == 5 for row in cells)
    return [row for row in cells if not row[0].startswith("**")]


def attacks() -> set[str]:
    """Every test of this folder."""
    found = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        found |= {f"{path.name}::{node.name}" for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
    return {each for each in found if not {each, each.partition("::")[0]} & ABOUT_THEMSELVES}


def named(cell: str) -> set[str]:
    return {"::".join(found) for found in NAMED.findall(cell)}


def test_every_attack_is_in_the_page_and_the_page_names_no_other() -> None:
    assert set().union(*(named(row[3]) | named(row[4]) for row in rows())) == attacks()


def test_every_attack_has_a_test_and_a_twin() -> None:
    for row in rows():
        assert named(row[3]), row
        assert named(row[4]), row
        assert all(row[:3]), row


def test_every_gate_is_one_of_ours_and_is_expected_by_a_test_of_its_row() -> None:
    sources = "".join(path.read_text("utf-8") for path in Path(hyops_ci.__file__).parent.rglob("*.py"))
    for row in rows():
        files = {name.partition("::")[0] for name in named(row[3])}
        expected = "".join((Path(__file__).parent / name).read_text("utf-8") for name in files)
        for gate, code in GATE.findall(row[2]):
            assert f'"{gate}"' in sources, gate
            assert gate in expected or gate.replace(".", r"\.") in expected, f"{gate} is expected nowhere in {files}"
            assert int(code) in set(Exit), gate


def test_readers_find_the_page() -> None:
    assert "docs/threats.md" in (ROOT / "SECURITY.md").read_text("utf-8")
