"""Attack: a runner is made for somebody whose config, gate or reason nobody reviewed for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.errors import Exit
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.ensure_runner.stage import ensure_runner
from tests.security.incident import BOOTSTRAP_GATE, CHECK_GATE, GATE, may_make_its_runner, start_incident
from tests.unit.operations.test_runner_bootstrap import carry_out
from tests.unit.stages.ensure_runner.scene import NAME, Scene, missing_runner

BRANCH = "refs/heads/let-me-in"
PRODUCTION = {"pg-ha/prod": {"failover": {"lane": "gcp", "blueprint": "dr/postgresql-ha-failover-gcp@v1"}}}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """Jonas has approved at `dr-bootstrap`."""
    with missing_runner(tmp_path) as made:
        made.approve()
        yield made


def on_a_branch(scene: Scene) -> RunContext:
    """Whatever the gate lets through: it is open for every branch."""
    world = scene.context()
    return replace(world, job=replace(world.job, ref=BRANCH))


def planned_otherwise(scene: Scene, **changes: Any) -> None:
    """What is outside of the plan's digest was written by somebody else."""
    path = scene.incident.folder.root / "plan.json"
    plan = json.loads(path.read_bytes())
    plan["bootstrap"] |= changes
    path.write_text(json.dumps(plan))


@pytest.mark.parametrize("gate", [CHECK_GATE, GATE])
def test_a_yes_that_was_given_at_another_gate(gate: str, scene: Scene) -> None:
    """The plan names the gate at which somebody said yes to something else."""
    scene.begin_again()
    scene.incident.review("jonas", "approved", scene.incident.repository.environments[gate])
    planned_otherwise(scene, gate=gate)
    end = ensure_runner(scene.incident.folder, scene.context(), scene.tools)
    assert end.refusal is not None
    assert (end.refusal.gate, end.refusal.exit_code, end.refusal.reason) == ("runner.not-made", Exit.RUNNER, "nobody approved it")
    assert (scene.world.calls, scene.minted) == ([], [])


def test_a_machine_that_was_planned_otherwise(scene: Scene) -> None:
    planned_otherwise(scene, settings="sha256:" + "5" * 64)
    end = ensure_runner(scene.incident.folder, scene.context(), scene.tools)
    assert end.refusal is not None
    assert (end.refusal.gate, end.refusal.exit_code) == ("runner.settings", Exit.RUNNER)
    assert (scene.world.calls, scene.minted) == ([], [])


@pytest.mark.parametrize("within", [True, False], ids=["in a run", "outside of one"])
@pytest.mark.parametrize("envs", [{}, {"lab": {"class": "production"}}], ids=["lab", "production"])
def test_a_config_of_a_branch(within: bool, envs: dict[str, Any], scene: Scene) -> None:
    """It may name another project, zone, account or template, and what class its envs are."""
    world = on_a_branch(scene)
    if within:
        end = ensure_runner(scene.incident.folder, world, scene.tools)
        refusal, code = end.refusal, Exit.RUNNER
    else:
        refusal, code = carry_out(scene, world, **({"envs": envs} if envs else {})).end.refusal, Exit.POLICY
    assert refusal is not None
    assert (refusal.gate, refusal.exit_code) == ("bootstrap.gate", code)
    assert f"the config of {BRANCH}" in refusal.found
    assert (scene.world.calls, scene.minted) == ([], [])


def test_the_runner_of_a_production_lane_as_a_fallback_of_a_lab(tmp_path: Path) -> None:
    """Both have one machine: what a lab may do about it is what production may."""

    def production_too(config: dict[str, Any]) -> None:
        may_make_its_runner(config)
        config["services"] |= PRODUCTION
        config["envs"] = {**config.get("envs", {}), "prod": {"class": "production"}}

    with start_incident(tmp_path) as incident:
        incident.configure(production_too)
        incident.repository.add_environment(BOOTSTRAP_GATE, reviewers=[incident.fake.account("jonas")], prevent_self_review=True)
        end = incident.plan(bootstrap_reason="lab-fallback")
    assert end.refusal is not None
    assert (end.refusal.gate, end.refusal.exit_code) == ("bootstrap.reason", Exit.POLICY)
    assert "env prod, class production" in end.refusal.found


def test_what_was_reviewed_for_it(scene: Scene) -> None:
    scene.comes_online = True
    end = ensure_runner(scene.incident.folder, scene.context(), scene.tools)
    assert (end.refusal, scene.world.machines()) == (None, [NAME])


def test_what_was_reviewed_for_it_outside_of_a_run(scene: Scene) -> None:
    scene.comes_online = True
    done = carry_out(scene, scene.context())
    assert (done.exit_code, scene.world.machines()) == (0, [NAME]), done.end.refusal


def test_a_fallback_in_a_lab(tmp_path: Path) -> None:
    with missing_runner(tmp_path, reason="lab-fallback") as scene:
        scene.approve()
        scene.comes_online = True
        end = ensure_runner(scene.incident.folder, scene.context(), scene.tools)
        assert (end.refusal, scene.world.machines()) == (None, [NAME])
