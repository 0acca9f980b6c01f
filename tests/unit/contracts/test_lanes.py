"""The table of lanes, and everything that follows from it: a lane that is added there is known everywhere."""

from __future__ import annotations

from typing import get_args

import pytest

from hyops_ci.cli import init, runner
from hyops_ci.config.settings import lane_settings
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.lanes import CLOUDS, LANES, ON_PREM, ON_PREM_LANES, LaneName, LaneOrNone, TargetCloud
from hyops_ci.stages.watch.refusals import restart_command

FAILOVER = {"failover": {"lane": "gcp", "blueprint": "dr/postgresql-ha-failover-gcp@v1"}}


def choices(command: object, option: str) -> list[str]:
    return next(list(each.type.choices) for each in command.params if each.name == option)  # type: ignore[attr-defined]  # a choice has them


def test_every_type_and_option_lists_the_table() -> None:
    assert get_args(LaneName) == tuple(LANES)
    assert get_args(LaneOrNone) == tuple(TargetCloud) == (*LANES, "none")
    assert choices(runner.status, "lane") == ["", *LANES]  # an action passes what was left out as an empty text
    assert choices(init.command, "lane") == list(CLOUDS)


def test_a_lane_is_in_a_cloud_or_on_prem_and_has_a_runner_of_its_own() -> None:
    assert sorted((*CLOUDS, *ON_PREM_LANES)) == sorted(LANES)
    assert len({lane.runner_ref for lane in LANES.values()}) == len(LANES)
    assert all(bool(lane.modules) == (lane.site == "cloud") for lane in LANES.values())


@pytest.mark.parametrize("name", LANES)
def test_a_config_may_use_it_and_its_runner_is_restarted_by_its_command(name: str) -> None:
    config = DispatchConfig.model_validate(
        {"services": {"pg-ha/prod": FAILOVER | {"data_home": name}}, "lanes": {name: {"enabled": True}}}, strict=False
    )
    lane = lane_settings(config, name)
    assert (lane.enabled, lane.runner_ref) == (True, LANES[name].runner_ref)
    assert restart_command("host", lane.runner_ref) == restart_command("host", "another", name)
    assert "host" in restart_command("host", lane.runner_ref)
    assert restart_command("host", "a-runner-of-no-lane") == restart_command("host", "", ON_PREM.name)
