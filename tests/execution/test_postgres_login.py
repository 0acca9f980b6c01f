"""A probe that logs in, against real PostgreSQL servers: who takes writes, who does not, and whom no password is told."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
import trustme

from hyops_ci.contracts.config import Probe, ProbeLogin
from hyops_ci.execution.verification import ProbeResult, run_probes
from tests.execution.test_verification import RealClock
from tests.support import postgres
from tests.support.postgres import Server

USER, SECRET, PASSWORD = "dr_probe", "PG_PROBE_PASSWORD", "pröbe'\"\\-0123456789"
LOGIN = ProbeLogin(user=USER, secret=SECRET)
pytestmark = pytest.mark.slow


def look(target: str, login: ProbeLogin = LOGIN, password: str = PASSWORD, hold: str = "PT0S", timeout: str = "PT0S") -> ProbeResult:
    probe = Probe(kind="postgres", target=target, login=login, hold=hold, timeout=timeout)
    [result] = run_probes([probe], RealClock(), {SECRET: password}, interval=0.05).results
    assert PASSWORD not in result.text
    return result


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with postgres.programs() as folder:
        yield folder


@pytest.fixture(scope="module")
def primary(home: Path) -> Iterator[Server]:
    data = postgres.initialise(home)
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", common_name="pg")
    issued.private_key_pem.write_to_path(str(data / "server.key"))
    issued.cert_chain_pems[0].write_to_path(str(data / "server.crt"))
    postgres.own(data / "server.key", data / "server.crt")
    with postgres.running(home, data) as server:
        quoted = PASSWORD.replace("'", "''")
        server.sql(
            f"CREATE ROLE {USER} LOGIN PASSWORD '{quoted}'",
            f"CREATE ROLE reader LOGIN PASSWORD '{quoted}'",
            "ALTER ROLE reader SET default_transaction_read_only = on",
        )
        yield server


@pytest.fixture
def rules(primary: Server) -> Iterator[Callable[..., None]]:
    """Lets a test say who gets in how; afterwards all is as it was."""
    file = primary.data / "pg_hba.conf"
    before = file.read_text()

    def write(*lines: str) -> None:
        file.write_text("\n".join(lines) + "\n" + before)
        primary.configure()

    yield write
    file.write_text(before)
    primary.configure("ssl = off")


def test_a_primary_takes_writes(primary: Server) -> None:
    result = look(primary.target, hold="PT1S")
    assert (result.proven, result.text) == (True, f"PostgreSQL takes writes at {primary.target}, says {USER}'s login, held 1 s")


def test_a_standby_in_recovery_answers_and_is_not_proven(home: Path) -> None:
    data = postgres.initialise(home, "standby")
    with postgres.running(home, data) as server:
        quoted = PASSWORD.replace("'", "''")
        server.sql(f"CREATE ROLE {USER} LOGIN PASSWORD '{quoted}'", "CHECKPOINT")
        assert look(server.target).proven
    (data / "standby.signal").touch()
    with postgres.running(home, data) as server:
        assert run_probes([Probe(kind="postgres", target=server.target, hold="PT0S")], RealClock()).proven, "it answers all the same"
        result = look(server.target)
        assert (result.proven, result.text.partition(": ")[2]) == (
            False,
            "not there within 0 s: is in recovery: a standby, it takes no writes",
        )
        server.sql("SELECT pg_promote()")
        assert look(server.target, timeout="PT30S").proven


def test_one_that_was_set_to_read_only_is_not_proven(primary: Server) -> None:
    result = look(primary.target, ProbeLogin(user="reader", secret=SECRET))
    assert (result.proven, result.text.partition("0 s: ")[2]) == (False, "takes no writes: transaction_read_only is on")


@pytest.mark.parametrize(
    "login,password,said",
    [
        (LOGIN, "another-0123456789", 'PostgreSQL says 28P01: password authentication failed for user "dr_probe"'),
        (ProbeLogin(user="nobody", secret=SECRET), PASSWORD, 'PostgreSQL says 28P01: password authentication failed for user "nobody"'),
        (ProbeLogin(user=USER, secret=SECRET, database="none"), PASSWORD, 'PostgreSQL says 3D000: database "none" does not exist'),
    ],
    ids=["password", "user", "database"],
)
def test_a_login_that_is_refused_is_told_in_the_databases_words(primary: Server, login: ProbeLogin, password: str, said: str) -> None:
    result = look(primary.target, login, password)
    assert (result.proven, result.text.partition("0 s: ")[2]) == (False, said)


@pytest.mark.parametrize(
    "rule,said",
    [
        ("trust", "lets this login in without a password"),
        ("password", "asks for the password in a way that gives it away"),
    ],
)
def test_only_scram_is_answered(primary: Server, rules: Callable[..., None], rule: str, said: str) -> None:
    rules(f"host all {USER} 127.0.0.1/32 {rule}")
    result = look(primary.target)
    assert not result.proven
    assert f"{said}, and only scram-sha-256 is used" in result.text


def test_tls_is_used_where_it_is_offered_and_bound_to_its_certificate(primary: Server, rules: Callable[..., None]) -> None:
    rules(f"hostssl all {USER} 127.0.0.1/32 scram-sha-256", f"host all {USER} 127.0.0.1/32 reject")
    assert "no encryption" in look(primary.target).text
    primary.configure("ssl = on")
    assert look(primary.target).proven
    with between(primary) as target:
        result = look(target)
    assert not result.proven
    assert "SCRAM channel binding check failed" in result.text


class between:  # noqa: N801 - read as a word
    """Somebody in the middle: ends TLS with a certificate of its own, and speaks TLS to the database."""

    def __init__(self, server: Server) -> None:
        self.server, self.listener = server, socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self.relay)

    def __enter__(self) -> str:
        self.thread.start()
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self.listener.close()
        self.thread.join()

    def relay(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
        plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        plain.check_hostname, plain.verify_mode = False, ssl.CERT_NONE
        here, there = self.listener.accept()[0], socket.create_connection(("127.0.0.1", self.server.port))
        request = here.recv(8)
        there.sendall(request)
        here.sendall(there.recv(1))
        with closing(context.wrap_socket(here, server_side=True)) as left, closing(plain.wrap_socket(there)) as right:
            ways = [threading.Thread(target=pump, args=pair) for pair in ((left, right), (right, left))]
            for way in ways:
                way.start()
            for way in ways:
                way.join()


def pump(source: ssl.SSLSocket, to: ssl.SSLSocket) -> None:
    try:
        while data := source.recv(65536):
            to.sendall(data)
    except OSError:
        pass
    for each in (source, to):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def peer(answers: list[bytes], heard: list[bytes], pause: float = 0.0) -> tuple[socket.socket, threading.Thread]:
    """Somebody on a port who answers each message with the next of `answers`, whatever was asked."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection = listener.accept()[0]
        with closing(connection):
            try:
                for answer in answers:
                    heard.append(connection.recv(65536))
                    for byte in (answer[at : at + 1] for at in range(len(answer))) if pause else (answer,):
                        connection.sendall(byte)
                        time.sleep(pause)
                while data := connection.recv(65536):
                    heard.append(data)
            except OSError:
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    return listener, thread


def asked(answers: list[bytes], pause: float = 0.0) -> tuple[ProbeResult, bytes, float]:
    heard: list[bytes] = []
    listener, thread = peer(answers, heard, pause)
    began = time.monotonic()
    result = look(f"127.0.0.1:{listener.getsockname()[1]}")
    took = time.monotonic() - began
    thread.join()
    listener.close()
    return result, b"".join(heard), took


CLEAR, MD5, FREE = b"R\0\0\0\x08\0\0\0\x03", b"R\0\0\0\x0c\0\0\0\x05salt", b"R\0\0\0\x08\0\0\0\0"
SASL = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0"


@pytest.mark.parametrize(
    "answer,said",
    [
        (CLEAR, "gives it away"),
        (MD5, "gives it away"),
        (FREE, "without a password"),
        (SASL + FREE, "without a password"),
        (b"R\0\0\0\x08\0\0\0\x07", "gives it away"),
        (b"Z\0\0\0\x05I", "not one of PostgreSQL's protocol"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not one of PostgreSQL's protocol"),
        (b"", "no answer"),
    ],
)
def test_a_stranger_is_told_no_password_and_proves_nothing(answer: bytes, said: str) -> None:
    result, heard, took = asked([b"N", answer])
    assert not result.proven
    assert said in result.text
    assert took < 5
    assert PASSWORD.encode() not in heard
    assert b"md5" not in heard


def test_a_peer_that_drips_is_not_waited_for() -> None:
    result, _, took = asked([b"N", b"R\0\0\x01\0" + b"x" * 200], pause=0.1)
    assert not result.proven
    assert took < 5
