"""A stand-in for the HyOps CLI that behaves as the real one was recorded to behave, traps included (docs/hyops.md).

`install` puts a `hyops` executable and a core root of our own module specs into a directory. What it does
differently from a plain success is written into `<core root>/double.json`, because the environment of HyOps is
an allow-list and no test may widen it.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Double:
    """An installed double."""

    hyops: Path
    core_root: Path

    def script(self, **scenario: Any) -> None:
        """What happens from now on; see `program/scenario.py` for the words."""
        (self.core_root / "double.json").write_text(json.dumps(scenario))


def install(directory: Path) -> Double:
    """Install the double below `directory`."""
    core = directory / "core"
    shutil.copytree(HERE / "core", core)
    hyops = directory / "bin" / "hyops"
    hyops.parent.mkdir()
    hyops.write_text(
        f"#!{sys.executable} -I\nimport runpy, sys\nsys.path.insert(0, {str(HERE)!r})\nrunpy.run_module('program', run_name='__main__')\n"
    )
    hyops.chmod(0o755)
    return Double(hyops, core)
