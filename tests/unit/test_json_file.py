"""JSON of other programs: an object in a plain file, within bounds, or ValueError."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hyops_ci.json_file import MAX_LEVELS, read_object

DEEPEST = "[" * (MAX_LEVELS - 1) + "]" * (MAX_LEVELS - 1)


def test_an_object_is_read_as_python_reads_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(f'{{"a": NaN, "b": [{{}}], "b": {DEEPEST}}}')
    assert sorted(read_object(tmp_path / "file", 10_000)) == ["a", "b"]


@pytest.mark.parametrize("text", ["", "[]", "{", " " * 10_001, f'{{"a": [{DEEPEST}]}}', '{"a": ' * MAX_LEVELS + "{}" + "}" * MAX_LEVELS])
def test_whatever_else_is_there_is_one_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(ValueError, match=r"^file "):
        read_object(tmp_path / "file", 10_000)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("elsewhere")])
def test_what_is_no_plain_file(make: Callable[[Path], object], tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("{}")
    make(tmp_path / "file")
    with pytest.raises(ValueError, match=r"^file cannot be read"):
        read_object(tmp_path / "file", 100)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_object(tmp_path / "file", 100)
