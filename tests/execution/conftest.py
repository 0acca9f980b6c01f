from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.execution.rig import Rig, double_rig, real_hyops, real_rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """The double."""
    yield double_rig(tmp_path)
    _nobody_is_left(tmp_path)


@pytest.fixture(params=["double"] if isinstance(real_hyops(), str) else ["double", "real"])
def each(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """The double, then the real HyOps where there is one (`test_the_real_hyops_was_asked_too` says so where not)."""
    found = real_hyops()
    if request.param == "double":
        yield double_rig(tmp_path)
    elif not isinstance(found, str):
        yield real_rig(tmp_path, *found)
    _nobody_is_left(tmp_path)


def _nobody_is_left(tmp_path: Path) -> None:
    """No test leaves a process behind that works on its env."""
    marker = str(tmp_path).encode()
    left = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if marker in (path / "cmdline").read_bytes() and int(path.name) != os.getpid():
                left.append((path.name, re.sub(rb"\0", b" ", (path / "cmdline").read_bytes())))
        except OSError:
            continue
    assert left == []
