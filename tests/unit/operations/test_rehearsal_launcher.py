from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import hyops_ci
from hyops_ci.operations.rehearse.sandbox import write_launcher
from hyops_ci.operations.rehearse.stand_in import VERSION


@pytest.mark.parametrize("name", ["quo'te", 'two"quotes', "dol$(lar", "back`tick\\", "new\nline"])
def test_the_stand_in_starts_from_a_checkout_of_any_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).symlink_to(Path(hyops_ci.__file__).parents[1])
    monkeypatch.setattr(Path, "resolve", lambda path: path)
    monkeypatch.setattr(hyops_ci, "__file__", str(tmp_path / name / "hyops_ci" / "__init__.py"))
    write_launcher(tmp_path / "hyops")
    said = subprocess.run([tmp_path / "hyops", "--version"], capture_output=True, text=True, check=False)
    assert (said.returncode, VERSION in said.stdout) == (0, True), said.stderr
