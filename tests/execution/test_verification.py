"""Probes against real listeners and a real DNS server on the loopback."""

from __future__ import annotations

import http.server
import signal
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import dns.flags
import dns.message
import dns.rrset
import pytest

from hyops_ci.contracts.config import Probe
from hyops_ci.execution import verification
from hyops_ci.execution.verification import NOTHING_TO_PROVE, ProbeResult, run_probes
from tests.support.clock import Clock
from tests.support.ports import free_port


class RealClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def look(probe: Probe) -> ProbeResult:
    return run_probes([probe], RealClock(), interval=0.05).results[0]


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]  # type: ignore[index,misc]  # typeshed allows for a UNIX socket, whose address is a text
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Dns(socketserver.BaseRequestHandler):
    """Answers what `answers` says, which a test may change while it runs."""

    def handle(self) -> None:
        data, sock = self.request
        query = dns.message.from_wire(data)
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.AA
        for text in self.server.answers if query.question[0].rdtype == 1 else ():  # type: ignore[attr-defined]  # set by the test
            reply.answer.append(dns.rrset.from_text(query.question[0].name, 30, "IN", "A", text))
        sock.sendto(reply.to_wire(), self.client_address)


class DnsServer(socketserver.UDPServer):
    def __init__(self, *answers: str) -> None:
        super().__init__(("127.0.0.1", 0), Dns)
        self.answers = answers


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def look_in_steps(probe: Probe, *later: tuple[float, Callable[[], object]]) -> tuple[ProbeResult, float]:
    """Look each quarter of a second, by a clock that only these waits move; `later` happens on the way. Return the seconds, too."""
    clock = Clock()
    for seconds, action in later:
        clock.at(seconds, action)
    return run_probes([probe], clock, interval=0.25).results[0], clock.seconds


def test_an_open_port_held_for_its_time_is_proven(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    result, took = look_in_steps(Probe(kind="tcp", target=f"127.0.0.1:{port}", hold="PT2S", timeout="PT3S"))
    assert (result.proven, result.text) == (True, f"TCP 127.0.0.1:{port} open, held 2 s")
    assert (took, result.looks) == (2, 9)


def test_a_port_that_is_held_takes_its_time(listener: socket.socket) -> None:
    began = time.monotonic()
    assert look(Probe(kind="tcp", target=f"127.0.0.1:{listener.getsockname()[1]}", hold="PT1S", timeout="PT2S")).proven
    assert time.monotonic() - began >= 1


def test_a_port_that_closes_in_the_middle_is_not_proven() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result, _ = look_in_steps(Probe(kind="tcp", target=f"127.0.0.1:{port}", hold="PT3S", timeout="PT5S"), (1.25, server.close))
    assert not result.proven
    assert result.text == f"127.0.0.1:{port}: was there, gone after 1 s: Connection refused"


def test_a_port_that_opens_late_is_waited_for() -> None:
    port = free_port()
    servers: list[socket.socket] = []
    probe = Probe(kind="tcp", target=f"127.0.0.1:{port}", hold="PT0S", timeout="PT5S")
    result, took = look_in_steps(probe, (0.5, lambda: servers.append(socket.create_server(("127.0.0.1", port)))))
    servers[0].close()
    assert result.proven
    assert (took, result.looks) == (0.5, 3)


def test_a_port_that_never_opens_is_not_proven() -> None:
    result = look(Probe(kind="tcp", target=f"127.0.0.1:{free_port()}", timeout="PT1S"))
    assert not result.proven
    assert "not there within 1 s: Connection refused" in result.text


@pytest.mark.parametrize("target", ["nohost", "127.0.0.1:notaport", "127.0.0.1:99999", ":", ":1"])
def test_a_target_that_makes_no_sense_is_not_proven(target: str) -> None:
    assert not look(Probe(kind="tcp", target=target, timeout="PT0S")).proven


def test_a_name_is_asked_of_every_resolver() -> None:
    with serving(DnsServer("10.20.4.11")) as one, serving(DnsServer("10.20.4.11")) as two:
        resolvers = (f"127.0.0.1:{one}", f"127.0.0.1:{two}")
        result = look(Probe(kind="dns", target="pg.prod.example.net", expect="10.20.4.11", resolvers=resolvers, hold="PT0S"))
    assert (result.proven, result.text) == (True, "pg.prod.example.net = 10.20.4.11 on 2 resolvers, held 0 s")


@pytest.mark.parametrize(
    "answers,said",
    [
        (("10.10.4.11",), "says 10.10.4.11"),
        (("10.10.4.11", "10.20.4.11"), "says 10.10.4.11, 10.20.4.11"),
        ((), "knows no address"),
    ],
)
def test_a_resolver_that_still_points_to_the_old_side_is_not_proven(answers: tuple[str, ...], said: str) -> None:
    with serving(DnsServer("10.20.4.11")) as new, serving(DnsServer(*answers)) as old:
        resolvers = (f"127.0.0.1:{new}", f"127.0.0.1:{old}")
        result = look(Probe(kind="dns", target="pg.prod.example.net", expect="10.20.4.11", resolvers=resolvers, timeout="PT0S"))
    assert not result.proven
    assert said in result.text


def test_a_name_that_moves_back_in_the_middle_is_not_proven() -> None:
    server = DnsServer("10.20.4.11")
    with serving(server) as port:
        probe = Probe(kind="dns", target="pg.prod.example.net", expect="10.20.4.11", resolvers=(f"127.0.0.1:{port}",), hold="PT3S")
        result, _ = look_in_steps(probe, (0.5, lambda: setattr(server, "answers", ("10.10.4.11",))))
    assert not result.proven
    assert "was there, gone" in result.text


def test_a_resolver_that_is_not_there_is_not_proven() -> None:
    assert not look(Probe(kind="dns", target="pg.prod.example.net", resolvers=(f"127.0.0.1:{free_port()}",), timeout="PT0S")).proven
    assert not look(Probe(kind="dns", target="pg.prod.example.net", resolvers=("not an address",), timeout="PT0S")).proven


def test_the_system_resolver_is_the_default() -> None:
    assert look(Probe(kind="dns", target="localhost", hold="PT0S")).proven
    assert not look(Probe(kind="dns", target="no-such-name.invalid", timeout="PT0S")).proven


class Http(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(int(self.path.strip("/")))
        self.send_header("Location", "/200")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.mark.parametrize(
    "path,expect,proven",
    [("/200", None, True), ("/503", None, False), ("/302", None, False), ("/401", "401", True), ("/200", "204", False)],
)
def test_http_status(path: str, expect: str | None, proven: bool) -> None:
    with serving(http.server.HTTPServer(("127.0.0.1", 0), Http)) as port:
        probe = Probe(kind="http", target=f"http://127.0.0.1:{port}{path}", expect=expect, hold="PT0S", timeout="PT0S")
        assert look(probe).proven is proven


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/x", "http://", "file:///etc/passwd", "http://127.0.0.1:1/"])
def test_http_targets_that_are_not_proven(target: str) -> None:
    assert not look(Probe(kind="http", target=target, timeout="PT0S")).proven


def test_a_command_probe_is_said_to_be_not_run() -> None:
    result = look(Probe(kind="command", target="/usr/bin/true"))
    assert (result.proven, result.looks) == (False, 0)


def test_all_must_hold_and_none_is_not_proven(listener: socket.socket) -> None:
    good = Probe(kind="tcp", target=f"127.0.0.1:{listener.getsockname()[1]}", hold="PT0S")
    bad = Probe(kind="tcp", target=f"127.0.0.1:{free_port()}", timeout="PT0S")
    both = run_probes([good, bad], RealClock(), interval=0.05)
    assert (both.proven, len(both.proofs()), len(both.gaps())) == (False, 1, 1)
    assert run_probes([good], RealClock()).proven
    nothing = run_probes([], RealClock())
    assert (nothing.proven, nothing.gaps()) == (False, (NOTHING_TO_PROVE,))


class Interrupting(RealClock):
    """Time during which somebody cancels: this process is interrupted at the first wait."""

    def sleep(self, seconds: float) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(seconds)


def test_an_interrupt_ends_the_looking_at_once() -> None:
    """GitHub kills a cancelled step ten seconds later: the run has to seal its end in that time."""
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_probes([Probe(kind="tcp", target=f"127.0.0.1:{free_port()}", timeout="PT2M")], Interrupting(), interval=0.05)
    assert time.monotonic() - began < 5


class Peer(socketserver.BaseRequestHandler):
    """Speaks as `says` tells it: `close` and `reset` end the connection at once, bytes answer whatever is asked."""

    def handle(self) -> None:
        says: object = self.server.says  # type: ignore[attr-defined]  # set by the test
        if says == "reset":
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            self.request.close()
        elif says == "wait":
            self.request.recv(1)
        elif isinstance(says, bytes):
            asked = self.request.recv(8)
            # PostgreSQL, Message Flow: a server answers an SSLRequest, and nothing else, with one byte.
            self.request.sendall(says if asked == bytes.fromhex("0000000804d2162f") else b"E")


class PeerServer(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, says: object) -> None:
        super().__init__(("127.0.0.1", 0), Peer)
        self.says = says


@pytest.mark.parametrize(
    ("kind", "says", "proven", "words"),
    [
        ("tcp", "wait", True, "open, held 0 s"),
        ("tcp", b"220 hello", True, "open, held 0 s"),
        ("tcp", "close", False, "takes connections and closes them at once: nothing is behind it"),
        ("tcp", "reset", False, "onnection reset by peer"),
        ("postgres", b"S", True, "PostgreSQL answers at"),
        ("postgres", b"N", True, "PostgreSQL answers at"),
        ("postgres", b"HTTP/1.1 400", False, "does not speak PostgreSQL's protocol"),
        ("postgres", "close", False, ""),
        ("postgres", "wait", False, ""),
    ],
)
def test_what_a_peer_proves(kind: str, says: object, proven: bool, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy without a backend takes connections and ends them; a database is one that speaks its protocol."""
    if says in ("close", "reset"):  # it does so at once, which takes its thread here more than a tenth of a second now and then
        monkeypatch.setattr(verification, "SILENCE", 20.0)
    with serving(PeerServer(says)) as port:
        result = look(Probe.model_validate({"kind": kind, "target": f"127.0.0.1:{port}", "hold": "PT0S", "timeout": "PT0S"}))
    assert (result.proven, words in result.text) == (proven, True), result.text
