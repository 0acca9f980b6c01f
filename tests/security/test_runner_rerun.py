"""A run that made a runner, or was to, started again: the reviews of its first attempt are in GitHub's history still."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hyops_ci.errors import Exit
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.ensure_runner.stage import ensure_runner
from tests.unit.operations.test_runner_bootstrap import carry_out
from tests.unit.stages.ensure_runner.scene import NAME, Scene, missing_runner


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """Jonas has let the first attempt through; an administrator who bypasses the gate of the next one leaves no review."""
    with missing_runner(tmp_path) as made:
        made.comes_online = True
        made.approve()
        yield made


def attempt(scene: Scene, number: int) -> RunContext:
    world = scene.context()
    run = world.job.run_id.partition("-")[0]
    return replace(world, job=replace(world.job, run_id=f"{run}-{number}", attempt=number))


def test_a_rerun_of_the_job_in_a_run_makes_no_machine(scene: Scene) -> None:
    end = ensure_runner(scene.incident.folder, attempt(scene, 2), scene.tools)
    assert end.refusal is not None
    assert (end.refusal.gate, end.refusal.exit_code) == ("run.attempt", Exit.RUNNER)
    assert (scene.world.calls, scene.orders, scene.minted) == ([], [], [])


def test_a_rerun_outside_a_recovery_makes_no_machine(scene: Scene) -> None:
    done = carry_out(scene, attempt(scene, 2))
    assert done.end.refusal is not None
    assert (done.end.refusal.gate, done.exit_code) == ("run.attempt", Exit.APPROVAL)
    assert (scene.world.calls, scene.orders, scene.minted) == ([], [], [])


def test_the_first_attempt_in_a_run_makes_its_machine(scene: Scene) -> None:
    end = ensure_runner(scene.incident.folder, attempt(scene, 1), scene.tools)
    assert (end.refusal, scene.world.machines()) == (None, [NAME])


def test_the_first_attempt_outside_a_recovery_makes_its_machine(scene: Scene) -> None:
    done = carry_out(scene, attempt(scene, 1))
    assert (done.exit_code, scene.world.machines()) == (0, [NAME]), done.end.refusal
