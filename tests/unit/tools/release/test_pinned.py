"""Requirements files are read whole: name, version, marker and every hash."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.requirements import InvalidRequirement

from tools.release.assets import INSTALLED
from tools.release.pinned import Pin, pins

ROOT = Path(__file__).parents[4]
A, B = "a" * 64, "b" * 64
TEXT = f"""\
cffi==2.1.1 ; platform_python_implementation != 'PyPy' \\
    --hash=sha256:{B} \\
    --hash=sha256:{A}
click==8.5.1 \\
    --hash=sha256:{A}
"""


def test_a_pin() -> None:
    first, second = pins([TEXT, TEXT])
    assert first == Pin("cffi", "2.1.1", 'platform_python_implementation != "PyPy"', (A, B))
    assert second.line() == f"click==8.5.1 --hash=sha256:{A}"
    assert first.counts({"platform_python_implementation": "CPython"})
    assert not first.counts({"platform_python_implementation": "PyPy"})


def test_none_of_the_projects_own_is_lost() -> None:
    for name in INSTALLED:
        text = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
        found = pins([text])
        assert len(found) == text.count("==") - text.count(" == ") > 40
        assert sum(len(pin.hashes) for pin in found) == text.count("--hash=sha256:")


@pytest.mark.parametrize("line", ["click>=8", "click", "-r other.txt", "click==8 ; nonsense"])
def test_what_is_no_pin_is_refused(line: str) -> None:
    with pytest.raises((ValueError, AssertionError, InvalidRequirement)):
        assert pins([f"{line} --hash=sha256:{A}"])[0].version == "8 or more"
