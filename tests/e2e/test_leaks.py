"""A HyOps that prints a secret: it is gone before it is written anywhere, not only when the bundle is sealed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hyops_ci.evidence.contents import read_files
from hyops_ci.operations.rehearse.sandbox import Site, endpoint, set_up
from hyops_ci.operations.rehearse.scenarios import RESTORE, SCENARIOS, example_decision, one_run
from hyops_ci.redaction import Redactor
from hyops_ci.stages.context import SystemClock

pytestmark = pytest.mark.e2e
NAME = "PATRONI_SUPERUSER_PASSWORD"


def test_a_secret_that_hyops_prints_is_named_and_not_shown(tmp_path: Path) -> None:
    printed: list[str] = []
    site = Site(tmp_path, SystemClock(), printed.append, printed.append)
    with endpoint() as port:
        set_up(site, port)
        site.script({RESTORE: {"leak": NAME}})
        ended = one_run(site, tmp_path / "run-1", example_decision("failover", site.clock, 1), SCENARIOS["recovered"])
    assert ended.verdict.ok, ended.verdict.problems
    values = json.loads((tmp_path / "authority.json").read_text())
    seeker = Redactor(values)
    files = read_files(ended.bundle)
    everywhere = {**files, "printed": "\n".join(printed).encode(), "report": ended.report.read_bytes()}
    everywhere |= {str(path): path.read_bytes() for path in (tmp_path / "run-1").rglob("*") if path.is_file()}
    assert [name for name, content in everywhere.items() if seeker.find(content)] == []
    mark = f"[redacted:{NAME}]"
    assert any(line.startswith("hyops | ") and "stand-in: postgresql_restore error" in line and mark in line for line in printed), (
        "no end of HyOps' log"
    )
    assert any(mark in line for line in printed)
    assert mark.encode() in files["steps.jsonl"]
    assert mark.encode() in files["parts/execute/events.jsonl"]
    redactions = json.loads(files["redactions.json"])
    assert redactions["counts"][NAME] > 0
    assert "changed_at_sealing" not in redactions, "a secret reached the disk, and only sealing took it out"
