"""A lane's runner made or repaired outside a run: allowed, approved, by the same table, sealed; with a provider in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from hyops_ci.config.file import parsed_config
from hyops_ci.contracts.run import State
from hyops_ci.evidence.contents import read_files
from hyops_ci.evidence.verify import verify
from hyops_ci.operations.runner_bootstrap import Bootstrap
from hyops_ci.operations.runner_record import Occasion, Recorded, record
from hyops_ci.runners.ports import MachineState, Owner
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.job import local_job
from tests.runners.world import Trouble
from tests.security.incident import MACHINE
from tests.unit.stages.ensure_runner.scene import KEY, NAME, TOKEN, Scene, missing_runner


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with missing_runner(tmp_path) as made:
        made.comes_online = True
        yield made


def shell(scene: Scene) -> RunContext:
    """Maria at a terminal, with her token."""
    world = scene.context()
    job = replace(local_job(world.clock.now(), "maria", {}), repository="acme/recovery", repository_id=scene.incident.repository.id)
    return replace(world, job=job)


def carry_out(scene: Scene, world: RunContext, *, reason: str = "runner-recovery", dry_run: bool = False, **config: Any) -> Recorded:
    content = yaml.safe_dump({**yaml.safe_load(scene.incident.folder.read("sources/config")), **config}).encode()
    hidden: list[str] = []
    made = Bootstrap(parsed_config(content), "gcp", reason, world, scene.tools, hidden, dry_run=dry_run)  # type: ignore[arg-type]  # reasons come as text
    scene.number += 1
    folder = scene.incident.folder.root.parent / f"work-{scene.number}"
    return record(Occasion("ensure-runner", "work on the runner of lane gcp", content), folder, world, made.carry_out, hidden)


def ensured(done: Recorded) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(read_files(done.sealed.path)["ensured.json"])
    return found


def assert_sealed(done: Recorded) -> None:
    assert done.sealed.problems == ()
    assert verify(done.sealed.path).ok
    for content in read_files(done.sealed.path).values():
        assert TOKEN.encode() not in content
        assert KEY.encode() not in content


def test_a_missing_machine_is_made_and_registered(scene: Scene) -> None:
    done = carry_out(scene, shell(scene))
    assert (done.end.state, done.exit_code) == (State.RECORDED, 0), done.end.refusal
    assert scene.world.machines() == [NAME]
    found = ensured(done)
    assert (found["changed"], found["approved_by"], found["decided"][0].partition(":")[0]) == (True, ["maria"], "create")
    assert found["found"][-1]["agent"] == "online"
    assert_sealed(done)
    again = carry_out(scene, shell(scene))
    assert (again.exit_code, ensured(again)["changed"]) == (0, False), "what works is left alone"


def test_a_dry_run_changes_nothing(scene: Scene) -> None:
    done = carry_out(scene, shell(scene), dry_run=True)
    assert (done.exit_code, scene.world.machines(), scene.minted) == (0, [], [])
    assert ensured(done)["decided"] == ["create: there is no machine"]
    assert_sealed(done)


@pytest.mark.parametrize(("state", "action"), [(MachineState.STOPPED, "start"), (MachineState.RUNNING, "restart agent")])
def test_what_is_there_is_repaired(scene: Scene, state: MachineState, action: str) -> None:
    scene.registered("offline")
    scene.put(state)
    scene.boot_when_started()
    done = carry_out(scene, shell(scene))
    assert done.exit_code == 0, done.end.refusal
    assert ensured(done)["decided"][0].partition(":")[0] == action
    assert scene.world.machines() == [NAME], "never a second one"
    assert_sealed(done)


def test_a_strangers_machine_is_left_alone(scene: Scene) -> None:
    scene.put(MachineState.RUNNING, Owner(1, "gcp", NAME))
    done = carry_out(scene, shell(scene))
    assert done.end.refusal is not None
    assert (done.end.refusal.gate, done.exit_code, scene.minted) == ("runner.not-made", 7, [])
    assert_sealed(done)


def test_one_that_does_not_come_up_is_named(scene: Scene) -> None:
    scene.world.cause(Trouble.HALFWAY)
    done = carry_out(scene, shell(scene))
    assert done.end.refusal is not None
    assert NAME in done.end.refusal.found
    assert "hyops-ci runner reap --lane gcp" in done.end.refusal.fix
    assert_sealed(done)


def test_an_agent_that_does_not_come_online(scene: Scene) -> None:
    scene.comes_online = False
    done = carry_out(scene, shell(scene))
    assert done.end.refusal is not None
    assert done.end.refusal.gate == "runner.not-taken"
    assert len(scene.orders) <= 2, "no change is made twice"
    assert_sealed(done)


# ----------------------------------------------------------------------------------------------------- who may


@pytest.mark.parametrize(
    ("reason", "config", "gate"),
    [
        ("initial-bootstrap", {}, "bootstrap.reason"),
        ("runner-recovery", {"policy": {"bootstrap_reasons": []}}, "bootstrap.reason"),
        ("runner-recovery", {"lanes": {}}, "bootstrap.machine"),
    ],
)
def test_what_the_config_does_not_allow(scene: Scene, reason: str, config: dict[str, Any], gate: str) -> None:
    done = carry_out(scene, shell(scene), reason=reason, **config)
    assert done.end.refusal is not None
    assert (done.end.refusal.gate, done.exit_code, scene.world.calls) == (gate, 4, [])
    assert_sealed(done)


BASTION = {
    "host": "bastion.example.net",
    "user": "ops",
    "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHostHostHostHostHostHostHostHostHostHostHost",
    "reason": "VPN down since noon",
    "until": "2020-11-23T12:00:00Z",
}


@pytest.mark.parametrize(
    ("gate", "lane", "machine", "config"),
    [
        ("machine.bastion", {}, {"bastion": BASTION}, {}),
        ("machine.host", {}, {}, {"host": {"user": "somebody"}}),
        ("machine.name", {"names": ["GCP_Ops 01"]}, {}, {}),
        ("gcp.projects", {}, {}, {"gcp": None}),
        ("gcp.zones", {}, {"zones": ["europe-west2-a", "us-east1-b"]}, {}),
        ("gcp.accounts", {}, {"service_account": MACHINE["bootstrap_account"]}, {}),
    ],
)
def test_a_machine_that_no_run_would_make_is_not_made_here(
    scene: Scene, gate: str, lane: dict[str, Any], machine: dict[str, Any], config: dict[str, Any]
) -> None:
    """The gates that a run asks before its approval, and again before it makes the machine."""
    lanes = {"gcp": {"machine": MACHINE | machine, **lane}}
    done = carry_out(scene, shell(scene), lanes=lanes, **config)
    assert done.end.refusal is not None
    assert (done.end.refusal.gate, done.exit_code, scene.world.calls, scene.minted) == (gate, 4, [], [])
    assert_sealed(done)


def test_a_fallback_is_for_a_lab(scene: Scene) -> None:
    done = carry_out(scene, shell(scene), reason="lab-fallback", envs={})
    assert done.end.refusal is not None
    assert done.end.refusal.gate == "bootstrap.reason"


def test_a_job_that_somebody_let_through(scene: Scene) -> None:
    scene.approve()
    done = carry_out(scene, scene.context())
    assert done.exit_code == 0, done.end.refusal
    assert ensured(done)["approved_by"] == ["jonas"]


@pytest.mark.parametrize("how", ["nobody", "the requester", "a no", "an open gate"])
def test_a_job_that_nobody_let_through_changes_nothing(scene: Scene, how: str) -> None:
    match how:
        case "the requester":
            scene.gate.prevent_self_review = False
            scene.approve("maria")
        case "a no":
            scene.approve()
            scene.approve(state="rejected")
        case "an open gate":
            scene.approve()
            scene.gate.reviewers = []
    done = carry_out(scene, scene.context())
    assert done.end.refusal is not None
    gate = "bootstrap.gate" if how in ("an open gate", "the requester") else "recovery.gate"
    assert (done.end.refusal.gate, done.exit_code, scene.world.calls, scene.minted) == (gate, 4, [], [])
    assert_sealed(done)
