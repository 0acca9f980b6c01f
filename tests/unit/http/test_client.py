"""One request and what comes of it, over real sockets: it ends in time and in bytes, and says what happened in words."""

from __future__ import annotations

import gc
import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Self

import pytest
import trustme

from hyops_ci.http.client import HttpClient, Limits, Reply, host_ca, proxies_of

LIMITS = Limits(seconds=30.0, connect=30.0, max_bytes=1000)
HURRIED = replace(LIMITS, seconds=0.6, connect=0.6)
"""For those who get no answer."""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def server(*parts: bytes, pause: float = 0.0) -> Iterator[str]:
    """A server that answers each connection with `parts`, and the last one for ever where there is a pause between them."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65536)
                for part in parts:
                    connection.sendall(part)
                while pause and not stop.wait(pause):
                    connection.sendall(parts[-1])
            except OSError:
                pass  # the client has gone

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            answer(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/x"
    finally:
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


@pytest.fixture
def http() -> Iterator[HttpClient]:
    made = HttpClient(LIMITS, proxies={})
    yield made
    made.close()


@pytest.mark.timeout(15)  # without the deadline it would wait for the limit of every test
@pytest.mark.parametrize(
    "parts",
    [
        (b"H", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (b"HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 900\r\n\r\n", b" "),
        (b"HTTP/1.1 503 No\r\n\r\n", b" "),
    ],
    ids=["status line", "headers", "body", "chunks", "redirect", "failure"],
)
def test_one_byte_now_and_then_ends_at_the_deadline(parts: tuple[bytes, ...]) -> None:
    """Each byte comes well before a timeout from byte to byte would end."""
    begun = time.monotonic()
    with server(*parts, pause=0.1) as url, closing(HttpClient(HURRIED, proxies={})) as http:
        reply = http.send("GET", url)
    assert (reply.status, reply.error, reply.problem, reply.unsent) == (0, "ReadTimeout", "no answer in time", False)
    assert 0.5 < time.monotonic() - begun < 3


def test_a_deadline_begins_anew_with_each_request() -> None:
    with server(OK) as url, closing(HttpClient(replace(LIMITS, seconds=1.5), proxies={})) as http:
        for _ in range(3):
            assert http.send("GET", url).ok
            time.sleep(0.8)


def test_a_body_without_end_is_not_kept(http: HttpClient) -> None:
    with server(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 5000, pause=0.001) as url:
        reply = http.send("GET", url)
    assert (reply.status, reply.error, reply.problem, reply.body) == (0, "TooLargeError", "more than 1000 bytes", b"")


def test_the_limit_counts_what_was_unpacked(http: HttpClient) -> None:
    packed = gzip.compress(b"x" * 100_000)
    with server(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed), packed) as url:
        assert http.send("GET", url).problem == "more than 1000 bytes"


def test_a_body_of_exactly_the_limit_is_whole(http: HttpClient) -> None:
    with server(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x" * 1000) as url:
        assert http.send("GET", url).body == b"x" * 1000


def test_the_body_of_a_redirect_is_bounded_and_nobody_is_followed(http: HttpClient) -> None:
    with server(b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/y\r\n\r\n", b"x" * 5000, pause=0.001) as url:
        assert http.send("GET", url).problem == "more than 1000 bytes"
    with server(b"HTTP/1.1 307 Go\r\nLocation: http://[\r\nContent-Length: 2\r\n\r\n{}") as url:
        reply = http.send("GET", url)
    assert (reply.status, reply.headers["location"], reply.ok, reply.passing) == (307, "http://[", False, False)


@pytest.mark.parametrize("url", ["http://example.net/x", "ftp://127.0.0.1/x", "http://127.0.0.1.example.net/x"])
def test_nothing_travels_in_the_clear(url: str, http: HttpClient) -> None:
    reply = http.send("GET", url, headers={"Authorization": "token canary-77"})
    assert reply.problem == "neither https nor on the loopback"
    assert "canary" not in repr(reply)


def test_nobody_there_had_no_effect(http: HttpClient) -> None:
    reply = http.send("POST", "http://127.0.0.1:1/x", data="{}")
    assert (reply.error, reply.problem, reply.unsent, reply.passing) == ("ConnectionError", "refused the connection", True, True)


@pytest.mark.parametrize("url", ["https://[", "http://127.0.0.1:99999/", "https://", "x"])
def test_what_is_not_an_address_is_a_problem_and_not_an_exception(url: str, http: HttpClient) -> None:
    assert http.send("GET", url).problem


def test_a_certificate_that_is_not_trusted_is_final(tmp_path: Path) -> None:
    trusted, other = trustme.CA(), trustme.CA()
    for name, ca in (("trusted", trusted), ("other", other)):
        ca.cert_pem.write_to_path(str(tmp_path / name))
    context = _tls_context(trusted)
    with _tls_server(context) as url:
        good = HttpClient(replace(LIMITS, seconds=5.0), ca=str(tmp_path / "trusted"), proxies={})
        assert good.send("GET", url).ok
        good.close()
        strange = HttpClient(replace(LIMITS, seconds=5.0), ca=str(tmp_path / "other"), proxies={})
        reply = strange.send("GET", url)
        strange.close()
    assert (reply.error, reply.passing) == ("SSLError", False)
    assert reply.problem.startswith("TLS: ")


def test_a_pinned_certificate_is_the_only_one_whoever_signed_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also where the environment names CAs, and where another certificate would be accepted by its CA: no byte is sent to it."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca"))
    pinned, other = ca.issue_cert("another.name.example"), ca.issue_cert("127.0.0.1")
    patient = replace(LIMITS, seconds=5.0)
    heard: list[bytes] = []
    for shown, fits in ((pinned, True), (other, False)):
        with _tls_server(_serving(shown, heard)) as url:
            http = HttpClient(patient, fingerprint=_fingerprint(pinned))
            reply = http.send("GET", url, headers={"Authorization": "canary"})
            http.close()
        assert (reply.ok, bool(heard)) == (fits, fits)
        heard.clear()
    assert (reply.problem, reply.passing) == ("TLS: another certificate than the pinned one", False)


def test_a_pin_holds_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tunnel is the proxy's, the certificate at its other end is compared all the same."""
    ca, heard = trustme.CA(), []  # type: ignore[var-annotated]  # what is heard has any type
    pinned, other = ca.issue_cert("127.0.0.1"), ca.issue_cert("127.0.0.1")
    for shown, fits in ((pinned, True), (other, False)):
        secure = _serving(shown, heard)

        def tunnel(connection: socket.socket, secure: Callable[[socket.socket], socket.socket] = secure) -> socket.socket:
            assert connection.recv(65536).startswith(b"CONNECT pve.example:8006 ")
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            return secure(connection)

        with _tls_server(tunnel) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.replace("https:", "http:"))
            http = HttpClient(replace(LIMITS, seconds=5.0), fingerprint=_fingerprint(pinned))
            reply = http.send("GET", "https://pve.example:8006/x")
            http.close()
        assert (reply.ok, bool(heard)) == (fits, fits)
        heard.clear()


def _fingerprint(leaf: trustme.LeafCert) -> str:
    import hashlib
    import ssl

    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())).hexdigest()


class _Heard:
    """A socket that remembers what it read."""

    def __init__(self, secure: socket.socket, heard: list[bytes]) -> None:
        self._secure, self._heard = secure, heard

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self._secure.close()

    def recv(self, size: int) -> bytes:
        data = self._secure.recv(size)
        if data:
            self._heard.append(data)
        return data

    def sendall(self, data: bytes) -> None:
        self._secure.sendall(data)


def _serving(leaf: trustme.LeafCert, heard: list[bytes]) -> Callable[[socket.socket], socket.socket]:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    return lambda connection: _Heard(context.wrap_socket(connection, server_side=True), heard)  # type: ignore[return-value]  # a socket, as far as the server uses it


def test_the_words_behind_a_status_are_kept_and_not_shown(http: HttpClient) -> None:
    with server(b"HTTP/1.1 500 VM 130 is canary\r\nContent-Length: 0\r\n\r\n") as url:
        reply = http.send("GET", url)
    assert (reply.status, reply.reason) == (500, "VM 130 is canary")
    assert "canary" not in repr(reply)


def _tls_context(ca: trustme.CA) -> Callable[[socket.socket], socket.socket]:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    return lambda connection: context.wrap_socket(connection, server_side=True)


@contextmanager
def _tls_server(wrap: Callable[[socket.socket], socket.socket]) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                with wrap(connection) as secure:
                    secure.recv(65536)
                    secure.sendall(OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"))
            except OSError:
                connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def test_the_environment_names_no_certificates_of_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job could otherwise choose whom its host believes: the issuer of its tokens, and Vault."""
    before = host_ca()
    (tmp_path / "ca-certificates.crt").write_text("of the job")
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(tmp_path / "ca-certificates.crt"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert host_ca() == before


def test_a_hosts_own_certificates_come_before_those_of_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = SimpleNamespace(openssl_cafile=str(tmp_path / "cert.pem"), openssl_capath=str(tmp_path / "certs"))
    monkeypatch.setattr("ssl.get_default_verify_paths", lambda: paths)
    assert host_ca() is True
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "ca-certificates.crt").write_text("debian")
    assert host_ca() == str(tmp_path / "certs" / "ca-certificates.crt")
    (tmp_path / "cert.pem").write_text("fedora")
    assert host_ca() == str(tmp_path / "cert.pem")


def test_neither_proxy_nor_certificates_of_the_environment_count(monkeypatch: pytest.MonkeyPatch, http: HttpClient) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    with server(OK) as url:
        assert http.send("GET", url).ok


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("REQUESTS_CA_BUNDLE", "/gone/ca.pem", "REQUESTS_CA_BUNDLE names no file of this host"),
        ("CURL_CA_BUNDLE", "/gone/ca.pem", "CURL_CA_BUNDLE names no file of this host"),
        ("ALL_PROXY", "socks5://127.0.0.1:9", "the proxy that the environment names is none of http or https"),
        ("HTTPS_PROXY", "http://", "the proxy that the environment names is none of http or https"),
    ],
)
def test_what_the_environment_says_wrongly_is_named_and_not_tried_again(
    name: str, value: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("NO_PROXY", "")
    found = HttpClient(LIMITS, ca=host_ca()).send("GET", "https://127.0.0.1:9/")
    assert (found.problem, found.misled, found.passing) == (problem, True, False)


def test_the_proxy_of_a_given_environment() -> None:
    url = "https://token.example/x"
    assert proxies_of({}, url) == {}
    assert proxies_of({"HTTPS_PROXY": "http://proxy:3128"}, url) == {"https": "http://proxy:3128"}
    assert proxies_of({"https_proxy": "http://proxy:3128", "no_proxy": "token.example"}, url) == {}


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b"\xff", b'{"a": NaN}', b"[" * 100_000], ids=lambda body: repr(body[:9]))
def test_what_is_not_json(body: bytes) -> None:
    gc.collect()  # what earlier tests left has finalizers, which cannot run where the stack is full
    with pytest.raises(ValueError, match=r"char|codec|JSON|nested"):
        Reply(200, body=body).document()
    assert Reply(200, body=body).fields() == {}


def test_the_fields_of_an_object() -> None:
    assert Reply(200, body=b'{"a": 1}').fields() == {"a": 1}
    assert Reply(200, body=b"[1]").fields() == {}


def test_a_body_is_not_shown() -> None:
    assert "canary" not in repr(Reply(200, body=b"canary"))


@pytest.mark.parametrize("status", [0, 429, 500, 502, 503, 504])
def test_what_may_pass(status: int) -> None:
    assert Reply(status).passing


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403, 404, 501])
def test_what_stays(status: int) -> None:
    assert not Reply(status).passing
