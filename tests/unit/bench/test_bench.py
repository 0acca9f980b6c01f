"""The form of a benchmark's answer."""

from __future__ import annotations

from typing import Literal

import pytest

import bench
from bench.__main__ import main, names, table


@pytest.mark.parametrize(
    ("value", "op", "goal", "word"),
    [(0.4, "<=", 0.5, "ok"), (0.5, "<=", 0.5, "ok"), (0.50001, "<=", 0.5, "short"), (812.3, ">=", 200, "ok"), (199.99, ">=", 200, "short")],
)
def test_the_closing_line(value: float, op: Literal["<=", ">="], goal: float, word: str) -> None:
    result = bench.Result("validate", "ratio", value, op, goal)
    assert result.line() == f"validate ratio={value:.4g} {op} {goal:g}: {word}"


def test_the_table_has_a_row_for_each() -> None:
    rows = table([bench.Result("a", "ratio", 0.4, "<=", 0.5), bench.Result("b", "mb_per_s", 12.0, ">=", 200)]).splitlines()
    assert len(rows) == 4
    assert len({len(row) for row in rows}) == 1
    assert "short" in rows[3]


def test_an_unknown_name_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no-such-benchmark"]) == 2
    assert "no-such-benchmark" in capsys.readouterr().err


def test_benchmarks_are_the_modules_of_the_package() -> None:
    assert "__main__" not in names()
    assert "__init__" not in names()
