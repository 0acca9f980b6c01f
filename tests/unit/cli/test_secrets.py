"""`hyops-ci secrets check` tells names that are there from names that are not, and shows no value."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyops_ci.operations.rehearse.sandbox import Site, endpoint, set_up
from hyops_ci.operations.rehearse.scenarios import example_decision
from hyops_ci.stages.context import SystemClock
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.plan.stage import Ask, plan


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "site", SystemClock())
    with endpoint() as port:
        set_up(made, port)
        plan(Ask(made.repository, example_decision("failover", made.clock, 1)), RunDir(tmp_path / "run"), made.world())
        yield made


def ask(tmp_path: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "hyops_ci", "secrets", "check", "--folder", str(tmp_path / "run"), "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"})
    return done.returncode, done.stdout + done.stderr


def test_all_there(site: Site, tmp_path: Path) -> None:
    code, said = ask(tmp_path)
    assert code == 0, said
    assert json.loads(said)["missing"] == []
    assert "lab-" not in said


def test_one_missing(site: Site, tmp_path: Path) -> None:
    path = site.root / "authority.json"
    values = json.loads(path.read_text())
    del values["POWERDNS_API_KEY"]
    path.write_text(json.dumps(values))
    code, said = ask(tmp_path)
    assert code == 8, said
    assert json.loads(said)["missing"] == ["POWERDNS_API_KEY"]


def test_a_folder_without_a_plan(site: Site, tmp_path: Path) -> None:
    (tmp_path / "run" / "plan.json").unlink()
    code, said = ask(tmp_path)
    assert code == 2
    assert json.loads(said)["error"]["gate"] == "handover.file"
    assert json.loads(said)["error"]["fix"].startswith("hyops-ci plan ")  # who checks names has no run to start anew
