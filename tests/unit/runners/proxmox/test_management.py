"""Only a self-hosted runner reaches the API of a site."""

from __future__ import annotations

import pytest

from hyops_ci.contracts.runner_machine import ProxmoxMachine
from hyops_ci.errors import Exit, Refusal
from hyops_ci.runners.proxmox.management import refuse_hosted

MACHINE = ProxmoxMachine(
    provider="proxmox",
    api="https://pve1.example.net:8006",
    token="proxmox/bootstrap#token",
    node="pve1",
    template=9000,
    vmid=130,
    address="10.0.0.30/24",
    gateway="10.0.0.1",
    management_runner=("self-hosted", "mgmt"),
)


def test_a_runner_of_the_management_network_may() -> None:
    refuse_hosted(MACHINE, "self-hosted", "mgmt-1")


@pytest.mark.parametrize("environment", ["github-hosted", "", "Self-Hosted", "self-hosted "])
def test_anything_else_may_not(environment: str) -> None:
    with pytest.raises(Refusal) as caught:
        refuse_hosted(MACHINE, environment, "GitHub Actions 7")
    assert (caught.value.gate, caught.value.exit_code) == ("runner.management", Exit.RUNNER)
    assert "self-hosted, mgmt" in caught.value.expected
