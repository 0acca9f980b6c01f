"""The generated files of the checkout are fresh, and a stale folder is found and left as it is."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tools import docs, schema


@pytest.mark.parametrize("generator", [docs, schema], ids=lambda module: module.__name__)
def test_what_is_generated_is_fresh(generator: ModuleType, tmp_path: Path) -> None:
    assert generator.main(["--check"]) == 0
    assert generator.main(["--check"], tmp_path) == 2
    assert list(tmp_path.iterdir()) == []
