"""Who stands where the API of Proxmox VE should be: it gets no token, and a token that it has got goes nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hyops_ci.contracts.run import State
from hyops_ci.errors import Exit
from hyops_ci.runners.ports import MachineState
from tests.runners.proxmox_fake.server import SECRET, TOKEN, failure
from tests.runners.proxmox_fake.world import ProxmoxWorld, proxmox_world
from tests.unit.stages.ensure_runner.scene import NAME, Scene, missing_runner


@contextmanager
def approved(folder: Path) -> Iterator[tuple[Scene, ProxmoxWorld]]:
    """A run whose runner is missing, may be made on Proxmox VE, and somebody agreed."""
    with missing_runner(folder) as scene, proxmox_world(scene.clock) as world:
        scene.world = world  # type: ignore[assignment] - what the scene asks of it, both have
        scene.approve()
        yield scene, world


def test_another_server_in_the_place_of_the_api(tmp_path: Path) -> None:
    with approved(tmp_path) as (scene, world):
        world.changes = {"fingerprint": ":".join(["AB"] * 32)}
        end = scene.ensure()
        assert end.refusal is not None
        assert (end.refusal.gate, end.refusal.exit_code) == ("runner.not-made", Exit.RUNNER)
        assert world.fake.seen == [], "not one request, and so no token"
        assert world.machines() == []


@pytest.mark.parametrize("where", ["words", "errors", "data"])
def test_an_api_that_repeats_the_token(where: str, tmp_path: Path) -> None:
    with approved(tmp_path) as (scene, world):
        world.fake.override = lambda method, path: {
            "words": failure(403, f"no rights for {TOKEN}"),
            "errors": failure(400, "no", {SECRET: TOKEN}),
            "data": (200, "OK", json.dumps({"data": [{"vmid": 130, "type": TOKEN}]}).encode()),
        }[where]
        end = scene.ensure()
        assert end.refusal is not None
        assert end.refusal.gate.startswith("runner.")
        assert SECRET not in scene.left()
        assert scene.orders == []


def test_the_pinned_api_makes_the_machine(tmp_path: Path) -> None:
    with approved(tmp_path) as (scene, world):
        end = scene.ensure()
        assert end.refusal is None, end.refusal
        assert end.state is not State.NO_RUNNER
        assert world.machines() == [NAME]
        assert world.connect(scene.owner).provider.describe(NAME).state is MachineState.RUNNING
        assert world.logins(NAME) == set(), "the key of the run is taken back"
        assert SECRET not in scene.left()
