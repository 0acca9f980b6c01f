"""Why a run that was planned or checked went no further: denied, no runner, past its time, not approved, cancelled, in that order."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from hyops_ci.contracts.base import moment
from hyops_ci.contracts.run import RefusalRecord, State, may_follow
from hyops_ci.report.headline import stopped_state
from hyops_ci.stages.approval import keep_envelopes
from hyops_ci.stages.conclude.unfinished import stopped_because
from hyops_ci.stages.context import ShiftedClock
from hyops_ci.stages.watch.queue import Verdict
from hyops_ci.stages.watch.stage import Watched
from tests.security.incident import Incident, start_incident

CASES = sorted((Path(__file__).parents[3] / "cases" / "stopping").glob("*.yml"))


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Incident]:
    """maria's run at its gate; jonas or priya sign."""
    with start_incident(tmp_path_factory.mktemp("incident")) as incident:
        incident.approvers("jonas", "priya")
        incident.reach_gate()
        incident.known = incident.folder
        yield incident


def watched(said: dict[str, Any]) -> Watched:
    record = None
    if gate := said.get("refusal"):
        record = RefusalRecord(gate=gate, reason="nobody took it", exit_code=7, found="queued", expected="a runner", fix="start it")
    return Watched(watched=said["watched"], verdict=Verdict(said["verdict"]), job="job", attempt=1, refusal=record)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_why(path: Path, gate: Incident, tmp_path: Path) -> None:
    case = yaml.safe_load(path.read_text())
    gate.folder = type(gate.known)(tmp_path / "run")
    shutil.copytree(gate.known.root, gate.folder.root, dirs_exist_ok=True)
    answers = [gate.signed(each["by"], each["verdict"]) for each in case.get("answers", ())]
    if answers:
        keep_envelopes(json.dumps(answers), gate.folder)
    world = gate.world("conclude")
    clock = ShiftedClock(moment(gate.request.requested_at) + timedelta(minutes=case.get("minutes", 0), seconds=1))
    world = replace(world, clock=clock, ledger_remote=str(tmp_path / "gone.git") if case.get("ledger") == "gone" else world.ledger_remote)
    state = State(case["state"])
    error = stopped_because(state, gate.folder, world, case["results"], [watched(each) for each in case.get("watches", ())])
    expect = case["expect"]
    codes = expect["exit"] if isinstance(expect["exit"], list) else [expect["exit"]]
    assert error.gate == expect["gate"] or (error.gate.startswith(f"{expect['gate']}.") and isinstance(expect["exit"], list)), error
    assert int(error.exit_code) in codes
    assert error.found
    assert expect.get("reason", "") in error.reason
    assert stopped_state(state, error) == expect["state"]
    assert may_follow(state, State(expect["state"]))


def test_the_cases_are_told_from_each_other() -> None:
    told = {path.stem: yaml.safe_load(path.read_text())["expect"]["gate"] for path in CASES}
    gates = {"approval.denied", "runner.silent", "approval.expired", "approval.unsigned", "run.cancelled", "runner.lost", "ledger"}
    assert set(told.values()) == gates
