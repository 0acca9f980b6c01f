"""The config that init writes: what was asked for, nothing that is a default."""

from __future__ import annotations

import pytest

from hyops_ci.config.file import read_config
from hyops_ci.config.settings import lane_settings
from hyops_ci.operations.init.commands import Adopter
from tests.unit.operations.init.adopting import KEY, smallest


@pytest.mark.parametrize("lane", ["gcp", "azure", "aws"])
def test_the_lane_of_a_new_config_is_open(lane: str) -> None:
    config = read_config(smallest(lane=lane).encode())[0]
    assert lane_settings(config, lane).enabled
    assert ("lanes" in smallest(lane=lane)) == (lane != "gcp"), "nothing is said that is a default"


def test_a_config_without_a_way_back() -> None:
    assert read_config(smallest(failback="").encode())[0].services["pg-ha/prod"].failback is None


def test_keys_open_the_signed_channel_beside_the_environment() -> None:
    config = read_config(smallest(adopter=Adopter(keys={"jonas": KEY})).encode())[0]
    assert config.approvals.channels == ("environment", "signed")
    assert config.approvals.approvers == {"jonas": KEY}
