"""From an order to a proven host on Google Cloud: made, known by its guest attributes, logged in to through the tunnel."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hyops_ci.errors import Refusal
from hyops_ci.runners.ports import MachineOrder
from hyops_ci.runners.ssh import Candidate, new_login, prove
from tests.runners.gcp_fake.world import GcpWorld, gcp_world
from tests.runners.world import NAME, OWNER
from tests.support.clock import Clock
from tests.support.ssh_server import SshServer, line_of, new_key

TEXT = "a\nb\n" * 40_000


class TrueClock(Clock):
    """Waits take no time; the day is the real one, since the clock of a real machine is compared with it."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def sshd(server: SshServer, world: GcpWorld) -> None:
    """Put the server at the machine's port, which listens after three looks at it."""
    looks = iter(range(3))

    def reach(query: dict[str, str]) -> socket.socket:
        if next(looks, None) is not None:
            raise ConnectionRefusedError("port 22")
        world.boots(NAME, (line_of(server.host_key),), "")
        ours, theirs = socket.socketpair()
        server._begin(server._serve, theirs)
        return ours

    world.reach = reach


@pytest.mark.parametrize("break_every", [0, 60_000], ids=["whole", "broken"])
def test_a_machine_is_made_and_proven_through_the_tunnel(tmp_path: Path, break_every: int) -> None:
    login = new_login("opsadmin")
    server = SshServer("opsadmin", login.public, tmp_path)
    with gcp_world() as world:
        world.relay.break_every = break_every
        sshd(server, world)
        adapters = world.connect()
        made = adapters.provider.create(MachineOrder(NAME, "5f0f5a54-7b0e-5d1c-8f2b-0d6a3c9e1b77", OWNER, "opsadmin", login.public))
        assert adapters.provider.admit(made, "opsadmin", login.public) == "opsadmin"
        candidate = Candidate(made, adapters.access, lambda: adapters.provider.host_keys(made), lambda: adapters.provider.console(made))
        with prove(candidate, login, limit=120, clock=TrueClock()) as host:
            done = host.run("cat", stdin=TEXT)
            assert (done.rc, done.out) == (0, TEXT)
        assert bool([path for path, _ in world.relay.asked if path == "/v4/reconnect"]) is bool(break_every)
    server.close()


def test_a_stranger_at_the_machines_port_is_not_logged_in_to(tmp_path: Path) -> None:
    login = new_login("opsadmin")
    server = SshServer("opsadmin", login.public, tmp_path)
    with gcp_world() as world:
        sshd(server, world)
        adapters = world.connect()
        made = adapters.provider.create(MachineOrder(NAME, "5f0f5a54-7b0e-5d1c-8f2b-0d6a3c9e1b77", OWNER, "opsadmin", login.public))
        known = line_of(new_key())
        with pytest.raises(Refusal) as caught:
            prove(Candidate(made, adapters.access, lambda: (known,)), login, limit=120, clock=TrueClock())
        assert caught.value.gate == "runner.ssh"
    server.close()
    assert server.commands == []
