"""Work on a runner outside a run leaves a bundle that anyone verifies, signed where the host has a key, without a secret."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hyops_ci.contracts.run import State
from hyops_ci.errors import Exit, Refusal
from hyops_ci.evidence.contents import read_files
from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.evidence.verify import verify
from hyops_ci.operations.runner_record import Occasion, record
from hyops_ci.signing.dsse import new_key
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.job import local_job
from tests.support.clock import START, Clock

SECRET = "a-canary-that-nobody-may-read"
CONFIG = b"services: {pg-ha/prod: {failover: {lane: gcp, blueprint: dr/postgresql-ha-failover-gcp@v1}}}\n"


def context(tmp_path: Path) -> RunContext:
    job = replace(local_job(START, "maria", {}), repository="acme/shop", repository_id=4711)
    return RunContext(job=job, clock=Clock(), home=tmp_path, state_dir=tmp_path, ledger_remote="")


def looked(part: PartRecorder, run: RunDir) -> None:
    part.note("looked", said=f"the token is {SECRET}")
    run.write_json("look.json", {"said": f"the token is {SECRET}", "ok": True})


@pytest.mark.parametrize("stage", ["check", "ensure-runner"])
def test_it_ends_recorded_and_verifies(tmp_path: Path, stage: str) -> None:
    done = record(Occasion(stage, "A look at lane gcp", CONFIG), tmp_path / "out", context(tmp_path), looked, [SECRET])
    assert (done.end.state, done.exit_code, done.sealed.problems) == (State.RECORDED, 0, ())
    verdict = verify(done.sealed.path)
    assert verdict.ok, verdict.problems
    assert verdict.facts["headline"] == "RECORDED"
    kept = read_files(done.sealed.path)
    assert {"look.json", "result.json", "environment.json", "sources/config"} <= set(kept)
    assert not any(SECRET.encode() in content for content in kept.values())


def test_a_refusal_is_sealed_too(tmp_path: Path) -> None:
    def refused(part: PartRecorder, run: RunDir) -> None:
        part.note("looked", said="nothing")
        raise Refusal("runner.not-made", "nobody approved it", exit_code=Exit.RUNNER, found=SECRET, expected="x", fix="y")

    done = record(Occasion("ensure-runner", "Recovery of lane gcp", CONFIG), tmp_path / "out", context(tmp_path), refused, [SECRET])
    assert (done.exit_code, done.sealed.problems) == (7, ())
    assert done.end.state is State.BLOCKED
    assert verify(done.sealed.path).facts["headline"] == "REFUSED runner.not-made (exit 7): nobody approved it"
    assert not any(SECRET.encode() in content for content in read_files(done.sealed.path).values())


def test_a_bug_is_sealed_too(tmp_path: Path) -> None:
    def broken(part: PartRecorder, run: RunDir) -> None:
        raise KeyError(SECRET)

    done = record(Occasion("check", "A look", CONFIG), tmp_path / "out", context(tmp_path), broken, [])
    assert done.end.refusal is not None
    assert (done.end.refusal.gate, done.sealed.problems) == ("internal.error", ())
    assert not any(SECRET.encode() in content for content in read_files(done.sealed.path).values())


def test_a_host_with_a_key_signs_it(tmp_path: Path) -> None:
    public = new_key(tmp_path / "host.key")
    text = CONFIG + f'evidence: {{signer: host-key, key: "{tmp_path / "host.key"}"}}\nhost_keys: {{x: "{public}"}}\n'.encode()
    done = record(Occasion("check", "A look", text), tmp_path / "out", context(tmp_path), looked, [SECRET])
    assert verify(done.sealed.path, trusted_keys=[public], require_signature=True).ok
    other = new_key(tmp_path / "other.key")
    assert not verify(done.sealed.path, trusted_keys=[other]).ok
