"""Attack: a peer on the network holds a run with a trickle or a flood, or is believed because of a certificate that the job names.

The servers are real ones on the loopback; deadlines are shortened, so that a test takes a second and not half a minute.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from hyops_ci.contracts.config import EnvClass
from hyops_ci.contracts.plan import SecretPlan
from hyops_ci.errors import Exit, Fault
from hyops_ci.identity import issuer_keys
from hyops_ci.identity.issuer_keys import IssuerKeys
from hyops_ci.secrets.authorities import vault
from hyops_ci.secrets.connect import open_authority
from hyops_ci.secrets.port import Access, Purpose
from tests.support.issuer import DISCOVERY, JWKS, signing_key

SECONDS = 0.6
KEY = signing_key()
"""Made before anybody waits for it, which takes a while."""
Handler = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def peer(answer: Handler, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that answers every request with `answer`."""

    class Requests(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                answer(self)
            except OSError:
                pass  # the client has gone

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *args: object) -> None:
            pass  # a client that does not trust the certificate

    server = Server(("127.0.0.1", 0), Requests)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def sends(status: int, body: bytes) -> Handler:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def trickle(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    for _ in range(200):
        handler.wfile.write(b" ")
        time.sleep(0.1)


def flood(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * 65536)


def an_issuer(handler: BaseHTTPRequestHandler) -> None:
    scheme = "https" if isinstance(handler.connection, ssl.SSLSocket) else "http"
    url = f"{scheme}://{handler.headers['Host']}"
    documents = {DISCOVERY: {"issuer": url, "jwks_uri": url + JWKS}, JWKS: {"keys": [KEY.jwk()]}}
    sends(200, json.dumps(documents[handler.path]).encode())(handler)


HOLDING = {"trickle": trickle, "flood": flood, "nested": sends(200, b"[" * 100_000)}


@pytest.fixture
def short_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuer_keys, "LIMITS", replace(issuer_keys.LIMITS, seconds=SECONDS))
    monkeypatch.setattr(vault, "LIMITS", replace(vault.LIMITS, seconds=SECONDS, max_bytes=1 << 20))


def keys_of(issuer: str, folder: Path) -> IssuerKeys:
    return IssuerKeys(issuer, folder, datetime(2026, 11, 24, tzinfo=UTC), sleep=lambda _: None)


# ------------------------------------------------------------------------------------------------------ issuer


@pytest.mark.usefixtures("short_deadlines")
@pytest.mark.parametrize("how", HOLDING)
def test_an_issuer_that_holds_the_run(how: str, tmp_path: Path) -> None:
    begun = time.monotonic()
    with peer(HOLDING[how]) as issuer, pytest.raises(Fault) as failed:
        keys_of(issuer, tmp_path)("key-1")
    assert (failed.value.gate, failed.value.exit_code) == ("host.issuer", Exit.UNAVAILABLE)
    assert time.monotonic() - begun < 3 * SECONDS + 5, "three attempts, each with its deadline"


def test_an_issuer_that_answers(tmp_path: Path) -> None:
    with peer(an_issuer) as issuer:
        assert keys_of(issuer, tmp_path)("key-1") is not None


# ------------------------------------------------------------------------------------------------- certificates


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's certificate, and the bundle of the CA that signed it."""
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return context, tmp_path / "ca.pem"


def test_certificates_that_the_job_names_are_not_the_hosts(
    certificate: tuple[ssl.SSLContext, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With them a job would choose which issuer signs its tokens, and which Vault gets them."""
    context, bundle = certificate
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(bundle))
    with peer(an_issuer, context) as issuer, pytest.raises(Fault) as failed:
        keys_of(issuer, tmp_path)("key-1")
    assert failed.value.gate == "host.issuer"
    assert "TLS: " in failed.value.found


def test_certificates_of_the_host_are_trusted(
    certificate: tuple[ssl.SSLContext, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, bundle = certificate
    monkeypatch.setattr(issuer_keys, "host_ca", lambda: str(bundle))
    with peer(an_issuer, context) as issuer:
        assert keys_of(issuer, tmp_path)("key-1") is not None


# ------------------------------------------------------------------------------------------------------- Vault


def names_of(origin: str) -> None:
    plan = SecretPlan(kind="vault", addresses=((origin, "gcp"),), role="dr-prod", check_role="dr-check", refs=())
    access = Access(EnvClass.LAB, Purpose.CHECK, token_for=lambda _: "a.b.c", sleep=lambda _: None)
    open_authority(plan, access).names([])


@pytest.mark.usefixtures("short_deadlines")
@pytest.mark.parametrize("how", ["trickle", "flood"])
def test_an_authority_that_holds_the_run(how: str) -> None:
    begun = time.monotonic()
    with peer(HOLDING[how]) as origin, pytest.raises(Fault) as failed:
        names_of(origin)
    assert (failed.value.gate, failed.value.exit_code) == ("secrets.authority", Exit.UNAVAILABLE)
    assert time.monotonic() - begun < 3 * SECONDS + 5


def test_an_authority_that_answers() -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        login = {"auth": {"client_token": "s.canary"}}
        facts = {"data": {"policies": ["dr-check"], "type": "service", "explicit_max_ttl": 900}}
        sends(200, json.dumps(login if handler.path.endswith("/login") else facts).encode())(handler)

    with peer(answer) as origin:
        names_of(origin)
