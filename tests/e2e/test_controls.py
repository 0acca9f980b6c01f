"""docs/controls.md: each field that a row names is filled in the records of rehearsals, as they are sealed and kept."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hyops_ci.evidence.contents import read_files
from tests.e2e.rehearsal import Rehearsal, Rehearsed, hyops_ci
from tools.controls_page import fields, norms
from tools.schema_paths import in_document

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
SCENARIOS = ("recovered", "failed-step", "failback", "drill")
RECOVERY = "recovery-record"
"""Its record is looked at where three services are recovered: tests/e2e/test_recovery_plans.py."""
NAMED = sorted({each for norm in norms() for row in norm.rows for each in fields(row)})


def sealed(rehearsal: Rehearsal) -> Iterator[tuple[str, Any]]:
    """Yield (kind, document) of what is in the sealed bundle."""
    for path, content in read_files(rehearsal.bundle).items():
        if path.endswith("events.jsonl"):
            yield from (("event", json.loads(line)) for line in content.splitlines())
        elif path == "readiness.json":
            yield "readiness", json.loads(b64decode(json.loads(content)["payload"]))
        elif path.startswith("approvals/") and path != "approvals/envelopes.json":
            yield "approval", json.loads(content)
        elif "/" not in path and path.endswith(".json"):
            yield path.removesuffix(".json"), json.loads(content)


def board_of(rehearsal: Rehearsal, folder: Path) -> Iterator[tuple[str, Any]]:
    """Yield the board of the rehearsal's ledger, long afterwards, and the config that owed a check by then."""
    config = yaml.safe_load((rehearsal.folder / "repository" / ".github" / "dr-dispatch.yml").read_text())
    owing = {**config, "drills": {"pg-ha/lab": {"check": {"every": "P1D"}}}}
    (folder / "dr-dispatch.yml").write_text(yaml.safe_dump(owing))
    places = ("--remote", rehearsal.folder / "ledger.git", "--config", folder / "dr-dispatch.yml", "--out", folder)
    ended = hyops_ci("board", "--offline", "--checkout", folder, "--at", "2099-01-01T00:00:00Z", *places, HOME=str(folder))
    assert ended.returncode == 4, ended.stderr
    yield "board", json.loads((folder / "board.json").read_text())
    yield "dispatch-config", owing


@pytest.fixture(scope="module")
def records(rehearsed: Rehearsed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Kind -> the real documents of that kind."""
    found: dict[str, list[Any]] = {}
    for scenario in SCENARIOS:
        rehearsal = rehearsed(scenario)
        kept = [*sealed(rehearsal), ("ledger-tip", rehearsal.tip().document()), *board_of(rehearsal, tmp_path_factory.mktemp(scenario))]
        for kind, document in kept:
            found.setdefault(kind, []).append(document)
    return found


@pytest.mark.parametrize(("kind", "path"), [each for each in NAMED if each[0] != RECOVERY], ids=lambda text: text)
def test_a_field_that_answers_a_demand_is_filled_in_a_real_record(kind: str, path: str, records: dict[str, list[Any]]) -> None:
    values = [value for document in records[kind] for value in in_document(document, path)]
    assert [value for value in values if value not in ("", None, [], {})], f"no {kind} of {SCENARIOS} has {path}"


def test_a_gate_keeps_drills_and_production_apart_where_the_page_says_so(records: dict[str, list[Any]]) -> None:
    passed = {each["id"] for document in records["check"] for each in document["gates"]}
    assert "drill.shares" in passed


def test_a_rehearsal_says_in_its_result_that_it_is_one(records: dict[str, list[Any]]) -> None:
    assert all(document["stand_in"] is True for document in records["result"])
