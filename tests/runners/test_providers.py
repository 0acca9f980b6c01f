"""Providers are found by the name that the config gives; a further one is a model and a package, and nobody else learns of it."""

from __future__ import annotations

import importlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Annotated, Literal, get_args

import pytest
from pydantic import Field, TypeAdapter

from hyops_ci.config.bootstrap import bootstrap_places
from hyops_ci.contracts.config import DispatchConfig, Lane
from hyops_ci.contracts.runner_machine import HOSTED, LaneMachine, Machine
from hyops_ci.errors import Refusal
from hyops_ci.planning.case import GatePass
from hyops_ci.planning.gates.machine import machine_lane
from hyops_ci.runners import providers
from hyops_ci.runners.ports import Adapters, MachineState, Reach
from tests.runners.memory_provider import MemoryWorld
from tests.runners.proxmox_fake.server import TOKEN
from tests.runners.proxmox_fake.world import machine, proxmox_world
from tests.runners.world import HOST_KEY, NAME, ORDER, OWNER
from tests.support.clock import Clock
from tests.unit.planning.gate_cases import gate_case

UNION = get_args(Machine)[0]
ROOT = Path(__file__).parents[2]


class ToyMachine(LaneMachine):
    """A third provider's: all that the rest of the program sees of it."""

    stands = ("gcp",)
    provider: Literal["toy"]
    key: str
    bastion: None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.key,)


TOY = ToyMachine(provider="toy", key="toy/account#key")


CASE = gate_case({"facts": {"bootstrap_reason": "runner-recovery"}}).plan_case()


def with_toy(toy: LaneMachine) -> DispatchConfig:
    return CASE.config.model_copy(update={"lanes": {**CASE.config.lanes, "gcp": Lane().model_copy(update={"machine": toy})}})


CONFIG = with_toy(TOY)


def reach(**changes: object) -> Reach:
    secrets = {"toy/account#key": "s3cret"}
    found = Reach(CONFIG, OWNER, Clock(), lambda _: None, secret=secrets.__getitem__, identity=lambda: None)
    return replace(found, **changes)  # type: ignore[arg-type]  # keywords of several types


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> MemoryWorld:
    world, package = MemoryWorld(), ModuleType("hyops_ci.runners.toy")

    def adapters_for(wanted: ToyMachine, given: Reach) -> Adapters:
        assert given.secret(wanted.key) == "s3cret"
        return world.connect(given.owner)

    package.adapters_for = adapters_for  # type: ignore[attr-defined]  # a module that the test makes
    monkeypatch.setitem(sys.modules, "hyops_ci.runners.toy", package)
    return world


def test_a_third_provider_is_a_model_and_a_package(toy: MemoryWorld) -> None:
    read = TypeAdapter(Annotated[UNION | ToyMachine, Field(discriminator="provider")]).validate_python(
        {"provider": "toy", "key": "toy/account#key"}
    )
    assert read == TOY
    made = providers.adapters_for(read, reach()).provider.create(ORDER)
    assert made.state is MachineState.RUNNING
    assert toy.machines() == [NAME]


def test_nobody_else_asks_which_provider_it_is() -> None:
    assert TOY.made_on == HOSTED
    assert bootstrap_places(CONFIG, "gcp") == ("toy/account#key",)
    passed = machine_lane(replace(CASE, config=CONFIG))
    assert isinstance(passed, GatePass)
    assert passed.note == "toy"


def test_a_third_provider_stands_where_its_model_says() -> None:
    class Elsewhere(ToyMachine):
        stands = ("azure",)

    refused = machine_lane(replace(CASE, config=with_toy(Elsewhere(provider="toy", key="a#b"))))
    assert isinstance(refused, Refusal)
    assert refused.expected == "toy in lane azure"


@pytest.mark.parametrize("model", get_args(UNION), ids=lambda model: model.__name__)
def test_each_provider_of_the_config_has_its_package(model: type[LaneMachine]) -> None:
    (name,) = get_args(model.model_fields["provider"].annotation)
    assert callable(importlib.import_module(f"hyops_ci.runners.{name}").adapters_for)
    assert model.stands


# ------------------------------------------------------------------------------------------- Proxmox VE's own


def test_the_token_of_proxmox_ve_is_read_on_the_management_runner_only() -> None:
    asked: list[str] = []

    def secret(place: str) -> str:
        asked.append(place)
        return TOKEN

    with proxmox_world() as world:
        wanted = machine(world.fake)
        for environment in ("github-hosted", ""):
            with pytest.raises(Refusal, match=r"runner\.management"):
                providers.adapters_for(wanted, reach(secret=secret, runner="GitHub Actions 7", runner_environment=environment))
        assert (asked, world.fake.seen) == ([], [])
        for fine in ("self-hosted", None):
            found = providers.adapters_for(wanted, reach(secret=secret, clock=world.clock, runner_environment=fine)).provider.describe(NAME)
            assert found.state is MachineState.ABSENT
    assert asked == ["proxmox/bootstrap#token"] * 2


def test_a_bastion_of_the_config_is_the_way_in_instead_and_says_so() -> None:
    bastion = {
        "host": "bastion.example.net",
        "user": "ops",
        "host_key": HOST_KEY,
        "reason": "VPN down since noon",
        "until": "2026-11-23T04:00:00Z",
    }
    with proxmox_world() as world:
        direct = world.connect().access
        wanted = machine(world.fake, bastion=bastion)
        given = reach(secret=lambda _: TOKEN, clock=world.clock, runner_environment="self-hosted")
        way = providers.adapters_for(wanted, given).access
        assert (direct.words, way.words) == (
            "directly on the management network",
            "bastion bastion.example.net until 2026-11-23T04:00:00Z: VPN down since noon",
        )
        world.clock.sleep(3600)
        found = replace(world.connect().provider.describe(NAME), address="10.0.0.30")
        with pytest.raises(Refusal, match=r"runner\.bastion"), way.connect(found, 1):
            pass


PROGRAM = """
import sys
from hyops_ci.contracts.runner_machine import ProxmoxMachine
from hyops_ci.errors import Fault
from hyops_ci.runners.ports import Owner, Reach
from hyops_ci.runners.providers import adapters_for

class Clock:
    def monotonic(self): return 0.0
    def sleep(self, seconds): pass

machine = ProxmoxMachine(
    provider="proxmox", api="https://127.0.0.1:1", token="proxmox/bootstrap#token", node="pve1", template=9000, vmid=130,
    address="10.0.0.30/24", gateway="10.0.0.1", management_runner=("self-hosted", "mgmt"),
)
reach = Reach(None, Owner(1, "onprem", "proxmox-ops-runner"), Clock(), print, secret=lambda place: sys.argv[1], identity=lambda: None)
found = adapters_for(machine, reach)
print(*{name.split(".")[0] for name in sys.modules})
try:
    found.provider.describe("proxmox-ops-runner")
except Fault as fault:
    assert fault.gate == "runner.provider", fault
print(*{name.split(".")[0] for name in sys.modules})
"""


def test_a_lane_pays_for_its_own_client_alone_and_not_before_it_is_asked() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, TOKEN], capture_output=True, text=True, check=True, cwd=ROOT)
    before, after = (set(line.split()) for line in done.stdout.splitlines())
    clients = {"proxmoxer", "requests", "google", "grpc", "fabric", "paramiko", "github", "hvac"}
    assert "hyops_ci" in before
    assert clients & before == set()
    assert clients & after == {"proxmoxer", "requests"}
