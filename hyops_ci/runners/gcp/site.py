"""What the config says of the machine, as Google's interfaces name it."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from hyops_ci.contracts.base import seconds
from hyops_ci.contracts.clock import Clock
from hyops_ci.contracts.gcp_projects import GcpProjects
from hyops_ci.contracts.runner_machine import GcpMachine
from hyops_ci.dataclass import dataclass
from hyops_ci.runners.ports import Owner

Say = Callable[[str], object]


@dataclass(frozen=True)
class Site:
    """One lane's machine, with what is needed to ask for it."""

    machine: GcpMachine
    projects: GcpProjects
    owner: Owner
    clock: Clock
    say: Say

    @property
    def project(self) -> str:
        """Return the project of the machine."""
        return {"host": self.projects.host, "control": self.projects.control, "workload": self.projects.workload}[self.machine.project]

    @property
    def network_project(self) -> str:
        """Return the project of the network, its router and its NAT."""
        return self.projects.host

    @property
    def region(self) -> str:
        """Return the region of the zones."""
        return self.machine.zones[0].rpartition("-")[0]

    @property
    def network(self) -> str:
        """Return the network's name for the interface."""
        return f"projects/{self.network_project}/global/networks/{self.machine.network}"

    @property
    def subnetwork(self) -> str:
        """Return the subnetwork's name for the interface."""
        return f"projects/{self.network_project}/regions/{self.region}/subnetworks/{self.machine.subnetwork}"

    @property
    def boot_seconds(self) -> float:
        """Return how long a machine may take to be called running."""
        return float(seconds(self.machine.installation.boot_timeout))

    def resource(self, zone: str, name: str) -> str:
        """Return what people call a machine that is not described yet."""
        return f"{self.project}/{zone}/{name}"


def derived(request_id: str, *parts: str) -> str:
    """Return the UUID of one request of an order: the same for the same parts, whoever asks again."""
    return str(uuid.uuid5(uuid.UUID(request_id), "/".join(parts)))


def same_resource(one: str, other: str) -> bool:
    """Return whether two names of a resource, each a whole URL or its end, are of the same one."""
    return _tail(one) == _tail(other)


def _tail(name: str) -> str:
    return "projects/" + name.rpartition("projects/")[2]
