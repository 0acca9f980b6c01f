"""A configured host key signs the bundle; whatever is wrong with it never keeps a run from being sealed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hyops_ci.contracts.run import State
from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.evidence.verify import verify
from hyops_ci.redaction import Redactor
from hyops_ci.signing.dsse import new_key
from hyops_ci.stages.context import RunContext, SystemClock
from hyops_ci.stages.execution_state import ExecutionState
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.job import local_job
from hyops_ci.stages.runner import run_stage
from hyops_ci.stages.sealing import seal_run, signer_of
from tests.unit.evidence import sample_run

CONFIG = "services:\n  pg/lab:\n    failover: {lane: gcp, blueprint: dr/x@v1}\nevidence: {signer: %s, key: '%s'}\n"


def recorded(tmp_path: Path, signer: str, key: Path) -> tuple[RunDir, RunContext]:
    run = RunDir(tmp_path / "run")
    run.write("sources/config", (CONFIG % (signer, key)).encode())
    sample_run.leave(run.root, State.RECORDED)
    clock = SystemClock()
    return run, RunContext(local_job(clock.now(), "maria", {}), clock, tmp_path, tmp_path / "state", str(tmp_path / "none.git"))


def test_a_host_key_signs(tmp_path: Path) -> None:
    public = new_key(tmp_path / "evidence.pem")
    run, world = recorded(tmp_path, "host-key", tmp_path / "evidence.pem")
    end = run_stage("plan", run, world, lambda part: (part.enter(State.RECEIVED), part.enter(State.RECORDED))[0])
    sealed = seal_run(run, world, end, ExecutionState())
    assert verify(sealed.path, trusted_keys=[public], require_signature=True).ok
    stranger = new_key(tmp_path / "other.pem")
    assert verify(sealed.path, trusted_keys=[stranger], require_signature=True).exit_code == 11
    assert run.read_json("environment.json")["signed"] is True


def test_what_was_sealed_is_verified(tmp_path: Path) -> None:
    """Sealing says what is wrong with its own bundle, before anybody calls the run recovered."""
    run, world = recorded(tmp_path, "none", tmp_path / "absent.pem")
    end = run_stage("plan", run, world, lambda part: (part.enter(State.RECEIVED), part.enter(State.RECORDED))[0])
    assert seal_run(run, world, end, ExecutionState()).problems == ()
    assert seal_run(run, world, replace(end, state=State.DUPLICATE), ExecutionState()).problems == (
        "the events end in RECORDED, the manifest says DUPLICATE",
    )


@pytest.mark.parametrize("signer", ["none", "host-key", "vault-transit"])
def test_a_key_that_cannot_be_used_is_said(tmp_path: Path, signer: str) -> None:
    run, world = recorded(tmp_path, signer, tmp_path / "absent.pem")
    assert signer_of(run)[0] is None
    end = run_stage("plan", run, world, lambda part: (part.enter(State.RECEIVED), part.enter(State.RECORDED))[0])
    sealed = seal_run(run, world, end, ExecutionState())
    assert verify(sealed.path).ok
    assert run.read_json("environment.json")["unsigned_why"]


def test_what_the_ledger_keeps_of_a_run_has_no_secret_in_it(tmp_path: Path) -> None:
    """The words of a run are beside its times in the ledger, which is never rewritten."""
    run, world = recorded(tmp_path, "none", tmp_path / "absent.pem")

    def body(part: PartRecorder) -> None:
        part.enter(State.RECEIVED)
        part.note("ledger", alarm="somebody wrote c4n4ry-word-1 into it")
        part.enter(State.RECORDED)

    end = run_stage("plan", run, world, body)
    state = ExecutionState(plan=sample_run.plan(), redactor=Redactor(["c4n4ry-word-1"]))
    seal_run(run, world, end, state)
    assert state.figures is not None
    [kept] = state.figures.deviations
    assert kept.startswith("ALARM of the ledger: somebody wrote ")
    assert "c4n4ry" not in kept
