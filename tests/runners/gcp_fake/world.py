"""Google Cloud as the contract suite needs it: the real client library talks to the fake over TLS."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

import requests

from hyops_ci.contracts.gcp_projects import GcpProjects
from hyops_ci.contracts.runner_machine import GcpMachine
from hyops_ci.runners.gcp import connect
from hyops_ci.runners.gcp.instance import ordered
from hyops_ci.runners.gcp.site import Site
from hyops_ci.runners.ports import Adapters, MachineOrder, MachineState, Owner
from tests.runners.gcp_fake.accounts import ACCOUNT, PROVIDER, Accounts
from tests.runners.gcp_fake.compute import Box, Compute, expires
from tests.runners.gcp_fake.relay import Relay
from tests.runners.gcp_fake.server import Services, server
from tests.runners.world import OWNER, Cut, Trouble
from tests.support.clock import Clock

PROJECTS = GcpProjects(host="net-prod-1", control="ctl-prod-1", workload="wl-prod-1")
ZONES = ("europe-west1-b", "europe-west1-c", "europe-west1-d")
SETTINGS: dict[str, Any] = {
    "provider": "gcp",
    "zones": ZONES,
    "image": "projects/debian-cloud/global/images/family/debian-12",
    "network": "prod-vpc",
    "subnetwork": "mgmt-ew1",
    "tags": ("iap-ssh",),
    "service_account": "dr-runner@net-prod-1.iam.gserviceaccount.com",
    "identity_provider": PROVIDER,
    "bootstrap_account": ACCOUNT,
    "nat": {"router": "prod-router", "name": "prod-nat"},
}
STATES = {MachineState.RUNNING: "RUNNING", MachineState.STOPPED: "TERMINATED", MachineState.STARTING: ""}


def greeted(query: dict[str, str]) -> socket.socket:
    """Return a port that says what an SSH server says first."""
    mine, theirs = socket.socketpair()

    def greet() -> None:
        with suppress(OSError), theirs:
            theirs.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
            theirs.recv(1)

    Thread(target=greet, daemon=True).start()
    return mine


@dataclass
class GcpWorld:
    """One project with its memory."""

    settings: dict[str, Any]
    relay_port: int = 0
    clock: Clock = field(default_factory=Clock)
    places: int = len(ZONES)
    troubles: set[Trouble] = field(default_factory=set)
    said: list[str] = field(default_factory=list)
    reach: Callable[[dict[str, str]], socket.socket] = greeted
    compute: Compute = field(init=False)
    accounts: Accounts = field(init=False)
    services: Services = field(init=False)
    relay: Relay = field(init=False)

    def __post_init__(self) -> None:
        self.compute = Compute(self.clock, self.troubles, first_zone=ZONES[0])
        self.accounts = Accounts(self.clock)
        self.services = Services(self.compute, self.accounts)
        self.relay = Relay(self._port, lambda bearer: self.accounts.tokens.get(bearer, -1.0) >= self.clock.seconds)
        self.way_out(True)

    def machine(self, **changes: Any) -> GcpMachine:
        """Return the config's settings, asking this fake."""
        ports = server().ports
        endpoints = {
            "compute": f"https://127.0.0.1:{ports['compute.v1']}",
            "sts": f"https://127.0.0.1:{ports['sts.v1']}",
            "iam_credentials": f"https://127.0.0.1:{ports['iamcredentials.v1']}",
            "os_login": f"https://127.0.0.1:{ports['oslogin.v1']}",
            "tunnel": f"https://127.0.0.1:{self.relay_port}",
        }
        return GcpMachine.model_validate({**SETTINGS, **self.settings, "endpoints": endpoints, **changes})

    def connect(self, owner: Owner = OWNER, *, may_make_egress: bool = False) -> Adapters:
        machine = self.machine(nat={**SETTINGS["nat"], "make": may_make_egress})
        return connect(machine, PROJECTS, owner, self.accounts.identity_token, self.clock, self.said.append)

    def put(self, name: str, owner: Owner | None, state: MachineState = MachineState.RUNNING, *, place: int = 0) -> None:
        from hyops_ci.runners.gcp.clients import compute_v1

        site = Site(self.machine(), PROJECTS, owner or OWNER, self.clock, self.said.append)
        order = MachineOrder(name, "00000000-0000-5000-8000-000000000000", owner or OWNER, "opsadmin", "")
        body = compute_v1.Instance.to_dict(ordered(site, ZONES[place], order), use_integers_for_enums=False)
        del body["metadata"]
        resource = {key: value for key, value in _camel(body).items() if value}
        resource["labels"] = owner.labels() if owner else {}
        items = {"enable-guest-attributes": "TRUE", "enable-oslogin": "TRUE" if site.machine.login == "os-login" else "FALSE"}
        resource["metadata"] = {"items": [{"key": key, "value": value} for key, value in items.items()]}
        box = self.compute.box("net-prod-1", ZONES[place], resource, running_at=self.clock.seconds + 30)
        box.stands = STATES[state]

    def machines(self) -> list[str]:
        return sorted(box.resource["name"] for box in self.compute.there() if not (box.gone_at and box.stands == ""))

    def disks(self) -> int:
        return len(self.machines())

    def logins(self, name: str) -> set[str]:
        (box,) = [each for each in self.compute.there() if each.resource["name"] == name]
        items = {each["key"]: each["value"] for each in box.resource["metadata"].get("items", [])}
        if items.get("enable-oslogin") == "TRUE":
            return self.accounts.live_keys()
        entries = [line.partition(":")[2] for line in items.get("ssh-keys", "").splitlines()]
        return {" ".join(entry.split()[:2]) for entry in entries if (until := expires(entry)) is None or until > self.clock.now()}

    def boots(self, name: str, keys: tuple[str, ...], console: str) -> None:
        box = self.box(name)
        box.keys, box.console = keys, console

    def box(self, name: str) -> Box:
        return next(each for each in self.compute.there() if each.resource["name"] == name)

    def cause(self, trouble: Trouble) -> None:
        self.troubles.add(trouble)

    def heal(self) -> None:
        """What was on its way for ever goes on."""
        self.troubles.clear()
        for operation in self.compute.operations.values():
            if operation.done_at is None:
                operation.done_at = self.clock.seconds + 10
        for box in self.compute.there():
            box.shown_at = min(box.shown_at, self.clock.seconds + 20) if box.shown_at == float("inf") else box.shown_at
            if box.running_at is None and box.gone_at is None:
                box.running_at = self.clock.seconds + 15

    def way_out(self, there: bool) -> None:
        self.compute.routers.clear()
        if there:
            nat = {"name": "prod-nat", "natIpAllocateOption": "AUTO_ONLY", "sourceSubnetworkIpRangesToNat": "ALL_SUBNETWORKS_ALL_IP_RANGES"}
            self.compute.routers["net-prod-1", "europe-west1", "prod-router"] = {
                "kind": "compute#router",
                "name": "prod-router",
                "network": "https://www.googleapis.com/compute/v1/projects/net-prod-1/global/networks/prod-vpc",
                "nats": [nat],
            }

    def ways_out(self) -> int:
        return sum(len(router.get("nats", [])) for router in self.compute.routers.values())

    @contextmanager
    def cut(self, at: int, *, done: bool) -> Iterator[Cut]:
        """At the library that every client of Google's sends its requests with."""
        cut, send = Cut(at, done), requests.Session.send

        def sent(session: requests.Session, request: Any, **arguments: Any) -> requests.Response:
            return cut.around(lambda: send(session, request, **arguments))

        requests.Session.send = sent  # type: ignore[method-assign]  # for as long as the block lasts
        try:
            yield cut
        finally:
            requests.Session.send = send  # type: ignore[method-assign]  # for as long as the block lasts

    def _port(self, query: dict[str, str]) -> socket.socket:
        for box in self.compute.there():
            if (box.resource["name"], box.zone, box.project) == (query["instance"], query["zone"], query["project"]):
                return self.reach(query)
        raise ConnectionRefusedError("no such instance")


@contextmanager
def gcp_world(clock: Clock | None = None, **settings: Any) -> Iterator[GcpWorld]:
    """Yield a cloud; afterwards, every request and answer had the published form."""
    bundle = str(server().bundle)
    before = {name: os.environ.get(name) for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")}
    os.environ |= dict.fromkeys(before, bundle)
    world = GcpWorld(settings, clock=clock or Clock())
    try:
        with server().serving(world.services), world.relay.serving() as world.relay_port:
            yield world
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    assert world.services.violations == []
    assert world.relay.violations == []


def _camel(node: Any) -> Any:
    if isinstance(node, dict):
        made = {}
        for key, value in node.items():
            words = key.split("_")
            made[words[0] + "".join(word.capitalize() for word in words[1:])] = _camel(value)
        return {key: str(value) if key == "diskSizeGb" else value for key, value in made.items() if value not in ([], {}, "")}
    return [_camel(each) for each in node] if isinstance(node, list) else node
