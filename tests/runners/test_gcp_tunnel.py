"""The tunnel of Identity-Aware Proxy: bytes arrive whole and in order, whatever the connection does; a no is an OSError that says why."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import time
from contextlib import suppress
from threading import Thread, get_ident
from typing import Any

import pytest

from hyops_ci.runners.gcp.tunnel import Target, Tunnel, TunnelError
from tests.runners.gcp_fake.world import GcpWorld, gcp_world
from tests.runners.world import NAME, OWNER

SIZE = 600_000


def taking_and_giving(query: dict[str, str]) -> socket.socket:
    """A port that takes all that it is sent, and then gives it back."""
    mine, theirs = socket.socketpair()

    def talk() -> None:
        with theirs, suppress(OSError):
            taken = bytearray()
            while len(taken) < SIZE and (data := theirs.recv(4096)):
                taken += data
            theirs.sendall(taken)

    Thread(target=talk, daemon=True).start()
    return mine


def tunnel(world: GcpWorld, bearer: str = "ya29.test", timeout: float = 10) -> Tunnel:
    world.accounts.tokens["ya29.test"] = 1e9
    return Tunnel(f"https://127.0.0.1:{world.relay_port}", Target("net-prod-1", "europe-west1-b", NAME), lambda: bearer, timeout)


@pytest.mark.parametrize("break_every", [0, 50_000], ids=["whole", "broken"])
def test_bytes_arrive_whole_and_in_order(break_every: int) -> None:
    with gcp_world() as world:
        world.reach = taking_and_giving
        world.relay.break_every = break_every
        world.put(NAME, OWNER)
        sent, found = os.urandom(SIZE), bytearray()
        with world.connect().access.connect(world.connect().provider.describe(NAME), 10) as way:
            way.sendall(sent)
            while len(found) < SIZE and (data := way.recv(65536)):
                found += data
        assert hashlib.sha256(found).digest() == hashlib.sha256(sent).digest()
        resumed = [query for path, query in world.relay.asked if path == "/v4/reconnect"]
        assert bool(resumed) is bool(break_every)
        assert all(query["sid"] == "session-0" and query["zone"] == "europe-west1-b" for query in resumed)
        # What it is told on a connection that breaks it may never read: then it is told by the next one.
        told = [int(query["ack"]) for query in resumed] if break_every else world.relay.acks
        until = time.monotonic() + 60  # the relay reads in its own thread, and has more to carry
        while not any(told) and time.monotonic() < until:
            time.sleep(0.01)
        assert told == sorted(told)
        assert any(told), "the relay is told what arrived"


def test_one_thread_alone_uses_a_connections_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of them, one that reads while the other writes, tear records apart before Python 3.13, and end processes."""
    used: dict[int, tuple[object, set[int]]] = {}

    def seen_by(kind: type[Any], name: str) -> None:
        true = getattr(kind, name)

        def seen(self: object, *args: Any, **more: Any) -> Any:
            used.setdefault(id(self), (self, set()))[1].add(get_ident())
            return true(self, *args, **more)

        monkeypatch.setattr(kind, name, seen)

    for kind, names in ((ssl.SSLObject, ("read", "write")), (ssl.SSLSocket, ("recv", "recv_into", "send", "sendall"))):
        for name in names:
            seen_by(kind, name)
    with gcp_world() as world:
        world.reach = taking_and_giving
        world.put(NAME, OWNER)
        with tunnel(world).opened() as way:
            way.settimeout(60)
            Thread(target=way.sendall, args=(os.urandom(SIZE),), daemon=True).start()
            left = SIZE
            while left and (data := way.recv(65536)):
                left -= len(data)
    assert left == 0
    assert sum(isinstance(one, ssl.SSLObject) for one, _ in used.values()) == 2, "the tunnel's end, and the relay's"
    assert all(len(threads) == 1 for _, threads in used.values())


def test_a_relay_that_answers_late_is_asked_again() -> None:
    with gcp_world() as world:
        world.reach, world.relay.break_every, world.relay.silent = taking_and_giving, 300_000, 6.0
        world.put(NAME, OWNER)
        sent, found = os.urandom(SIZE), bytearray()
        with tunnel(world, timeout=3).opened() as way:
            way.settimeout(60)
            way.sendall(sent)
            while len(found) < SIZE and (data := way.recv(65536)):
                found += data
        assert bytes(found) == sent
        assert [path for path, _ in world.relay.asked].count("/v4/reconnect") >= 1


def test_it_asks_for_the_machines_ssh_port() -> None:
    with gcp_world() as world:
        world.put(NAME, OWNER)
        with world.connect().access.connect(world.connect().provider.describe(NAME), 10):
            pass
        ((path, query),) = world.relay.asked
        assert path == "/v4/connect"
        assert query == {
            "project": "net-prod-1",
            "zone": "europe-west1-b",
            "instance": NAME,
            "interface": "nic0",
            "port": "22",
            "newWebsocket": "True",
        }


def test_an_account_that_may_not_is_a_permission_error() -> None:
    with (
        gcp_world() as world,
        pytest.raises(PermissionError, match=r"403: iap\.tunnelInstances\.accessViaIAP"),
        tunnel(world, "ya29.stolen").opened(),
    ):
        pass


def test_a_port_that_nobody_listens_at_is_an_oserror_with_the_relays_words() -> None:
    with gcp_world() as world, pytest.raises(TunnelError, match="4003 failed to connect to backend"), tunnel(world).opened():
        pass


def test_a_relay_that_does_not_answer_ends_in_time() -> None:
    with gcp_world() as world:
        world.put(NAME, OWNER)
        world.relay.keeps_quiet = True
        began = time.monotonic()
        with pytest.raises(TunnelError, match="no answer from"), tunnel(world, timeout=2).opened():
            pass
        assert time.monotonic() - began < 10


def test_a_relay_that_is_not_there_is_an_oserror() -> None:
    with gcp_world() as world:
        world.relay_port = 1
        with pytest.raises(OSError, match=r"."), tunnel(world).opened():
            pass


def test_another_certificate_is_not_talked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    with gcp_world() as world:
        with monkeypatch.context() as without:
            without.delenv("SSL_CERT_FILE")
            with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"), tunnel(world).opened():
                pass
        assert world.relay.asked == []


def test_the_end_of_the_port_is_the_end_of_the_socket() -> None:
    with gcp_world() as world:
        world.put(NAME, OWNER)
        with tunnel(world).opened() as way:
            way.settimeout(60)
            assert way.recv(100).startswith(b"SSH-2.0-")
            way.sendall(b"x")
            assert way.recv(100) == b""
