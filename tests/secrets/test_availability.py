"""An authority that does not answer, answers late, is sealed, moves or is not who it says."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hyops_ci.contracts.config import EnvClass
from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.secrets.connect import open_authority
from hyops_ci.secrets.port import Access, Purpose
from tests.secrets.conftest import REFS, VALUES, fill, open_as, plan_for
from tests.support.openbao import OpenBao, TokenFor, start_openbao
from tests.support.ports import free_port

pytestmark = pytest.mark.bao


def fault(bao: OpenBao, *origins: str, seconds: float = 30.0) -> Fault:
    plan = plan_for(bao).model_copy(update={"addresses": tuple((origin, "x") for origin in origins)}) if origins else plan_for(bao)
    authority = open_as(bao, plan=plan, seconds=seconds)
    with pytest.raises(Fault) as failed:
        authority.read(REFS)
    assert (failed.value.gate, failed.value.exit_code) == ("secrets.authority", Exit.UNAVAILABLE)
    assert failed.value.__context__ is None
    authority.close()
    return failed.value


@contextmanager
def server(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A server on the loopback that is no Vault."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer(self)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_address[1]}"
    finally:
        http.shutdown()
        http.server_close()
        thread.join(5)


def status(code: int, body: bytes = b"", **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def test_nobody_listens(bao: OpenBao) -> None:
    origin = f"http://127.0.0.1:{free_port()}"
    assert fault(bao, origin).found == f"{origin} refused the connection"


def test_the_next_address_serves_and_is_the_one_named(bao: OpenBao) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    token_for = TokenFor(bao, {"environment": "dr-prod"})
    authority = open_as(bao, plan=plan_for(bao, dead), token_for=token_for)
    assert {secret.key: secret.value for secret in authority.read(REFS)} == VALUES
    assert authority.origin == bao.origin
    assert token_for.audiences == [dead, bao.origin]
    authority.close()
    assert authority.revoked is True


def test_a_refusal_is_an_answer_and_the_next_address_is_not_tried(bao: OpenBao) -> None:
    asked: list[str] = []
    with server(lambda handler: asked.append(handler.path)) as other:
        plan = plan_for(bao).model_copy(update={"addresses": ((bao.origin, "a"), (other, "b"))})
        with pytest.raises(Refusal):
            open_as(bao, plan=plan, token_for=TokenFor(bao, {"environment": "dr-stage"})).read(REFS)
    assert asked == []


def test_all_addresses_are_told(bao: OpenBao) -> None:
    with server(status(503, b'{"errors":["Vault is sealed"]}')) as sealed, server(status(502)) as broken:
        assert fault(bao, sealed, broken).found == f"{sealed} HTTP 503: sealed; {broken} HTTP 502"


def test_slow(bao: OpenBao) -> None:
    begun = time.monotonic()
    with server(lambda handler: time.sleep(0.8)) as slow:
        assert fault(bao, slow, seconds=0.5).found == f"{slow} no answer in time"
    assert time.monotonic() - begun < 6


def test_one_byte_now_and_then(bao: OpenBao) -> None:
    """A timeout from byte to byte would wait for days."""

    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        try:
            for _ in range(100):
                handler.wfile.write(b" ")
                time.sleep(0.1)
        except OSError:
            pass  # the client has gone

    begun = time.monotonic()
    with server(trickle) as slow:
        assert fault(bao, slow, seconds=0.5).found == f"{slow} no answer in time"
    assert time.monotonic() - begun < 6


def test_an_answer_without_end_is_not_kept(bao: OpenBao) -> None:
    def flood(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b" " * 65536)
        except OSError:
            pass  # the client has gone

    with server(flood) as endless:
        assert fault(bao, endless).found == f"{endless} more than {1 << 20} bytes"


def test_a_passing_trouble_is_waited_out(bao: OpenBao) -> None:
    calls: list[int] = []

    def flaky(handler: BaseHTTPRequestHandler) -> None:
        calls.append(1)
        status(500 if len(calls) < 3 else 400, b'{"errors":["role \\"dr-prod\\" could not be found"]}')(handler)

    with server(flaky) as origin:
        plan = plan_for(bao).model_copy(update={"addresses": ((origin, "a"),)})
        with pytest.raises(Refusal, match="no such role"):
            open_as(bao, plan=plan).read(REFS)
    assert len(calls) == 3


def test_a_redirect_is_never_followed(bao: OpenBao) -> None:
    reached: list[str] = []
    with (
        server(lambda handler: reached.append(handler.path)) as other,
        server(lambda handler: status(307, Location=other + handler.path)(handler)) as standby,
    ):
        assert "redirects (HTTP 307), which is never followed" in fault(bao, standby).found
    assert reached == []


def test_an_answer_that_repeats_the_token_does_not_get_it_printed(bao: OpenBao) -> None:
    token_for = TokenFor(bao, {"environment": "dr-prod"})

    def echo(handler: BaseHTTPRequestHandler) -> None:
        status(400, b'{"errors":["bad token %s in request"]}' % token_for.tokens[-1].encode())(handler)

    with server(echo) as origin:
        plan = plan_for(bao).model_copy(update={"addresses": ((origin, "a"),)})
        with pytest.raises(Refusal) as refused:
            open_as(bao, plan=plan, token_for=token_for).read(REFS)
    assert "bad token *** in request" in refused.value.found


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"auth": null}', b'{"auth": {"client_token": 7}}', b'{"errors": 5}', b"\xff", b"[" * 100_000]
)
def test_an_answer_that_is_no_answer(bao: OpenBao, body: bytes) -> None:
    with server(status(200, body)) as origin:
        plan = plan_for(bao).model_copy(update={"addresses": ((origin, "a"),)})
        with pytest.raises(Refusal, match=r"secrets\.login"):
            open_as(bao, plan=plan).read(REFS)


def test_neither_proxy_nor_netrc_of_the_environment_is_used(bao: OpenBao, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    reached: list[str] = []
    with server(lambda handler: reached.append(handler.path)) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy)
        monkeypatch.setenv("no_proxy", "")
        authority = open_as(bao)
        assert len(authority.read(REFS)) == len(REFS)
        authority.close()
    assert reached == []


def test_an_authority_without_subkeys_is_told_from_a_missing_secret(bao: OpenBao) -> None:
    def old(handler: BaseHTTPRequestHandler) -> None:
        if handler.path.endswith("/login"):
            status(200, b'{"auth": {"client_token": "s.canary"}}')(handler)
        elif handler.path.endswith("/lookup-self"):
            status(200, b'{"data": {"policies": ["dr-prod"], "type": "service", "explicit_max_ttl": 900}}')(handler)
        else:
            status(404, b'{"errors": ["1 error occurred: * unsupported path"]}')(handler)

    with server(old) as origin:
        plan = plan_for(bao).model_copy(update={"addresses": ((origin, "a"),)})
        with pytest.raises(Refusal) as refused:
            open_as(bao, plan=plan).names(REFS)
    assert refused.value.gate == "secrets.subkeys"
    assert "unsupported path" in refused.value.found


def test_sealed(own_bao: OpenBao) -> None:
    own_bao.seal()
    assert fault(own_bao).found == f"{own_bao.origin} HTTP 503: sealed"


def test_gone_between_login_and_read_then_restarted(own_bao: OpenBao) -> None:
    authority = open_as(own_bao)
    authority.names([])
    own_bao.stop()
    with pytest.raises(Fault, match=r"secrets\.authority"):
        authority.read(REFS)
    authority.close()
    assert authority.revoked is False
    port = int(own_bao.origin.rsplit(":", 1)[1])
    with start_openbao(port=port, key=own_bao.key) as again:
        fill(again)
        later = open_as(again)
        assert len(later.read(REFS)) == len(REFS)
        later.close()


def test_a_connection_that_is_cut_off(bao: OpenBao) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)
        stop = threading.Event()

        def cut() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listening.accept()
                except TimeoutError:
                    continue
                connection.close()

        thread = threading.Thread(target=cut, daemon=True)
        thread.start()
        origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
        assert "no connection (ConnectionError)" in fault(bao, origin).found
        stop.set()
        thread.join(5)


def test_tls_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    with start_openbao(tls=True) as secure:
        fill(secure)
        for name in ("VAULT_SKIP_VERIFY", "VAULT_CACERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
            monkeypatch.setenv(name, "1" if name.endswith("VERIFY") else str(secure.ca_bundle))
        with pytest.raises(Fault) as failed:
            open_as(secure).read(REFS)
        assert "TLS: " in failed.value.found
        authority = open_authority(
            plan_for(secure),
            Access(
                EnvClass.PRODUCTION,
                Purpose.EXECUTE,
                token_for=secure.token_for(environment="dr-prod"),
                ca_bundle=secure.ca_bundle,
            ),
        )
        assert len(authority.read(REFS)) == len(REFS)
        authority.close()
        assert authority.revoked is True


def test_a_standby_that_has_not_heard_of_the_login_yet_is_waited_for(bao: OpenBao) -> None:
    """412: the token is right, and the standby's index is behind."""
    calls: list[str] = []

    def late(handler: BaseHTTPRequestHandler) -> None:
        calls.append(handler.path)
        if handler.path.endswith("/login"):
            return status(200, b'{"auth": {"client_token": "hvs.canary-token"}}')(handler)
        if handler.path.endswith("/lookup-self") and len(calls) > 2:
            return status(403, b'{"errors": ["the token is heard of"]}')(handler)
        return status(412, b'{"errors": ["required index state not present"]}')(handler)

    with server(late) as origin:
        plan = plan_for(bao).model_copy(update={"addresses": ((origin, "a"),)})
        with pytest.raises(Refusal) as refused:
            open_as(bao, plan=plan).read(REFS)
    assert "the token is heard of" in refused.value.found
    assert [path.rpartition("/")[2] for path in calls[:3]] == ["login", "lookup-self", "lookup-self"]


def test_a_standby_that_never_hears_of_it_is_left_for_the_next_address(bao: OpenBao) -> None:
    def late(handler: BaseHTTPRequestHandler) -> None:
        login = handler.path.endswith("/login")
        status(*(200, b'{"auth": {"client_token": "hvs.canary-token"}}') if login else (412, b"{}"))(handler)

    with server(late) as standby:
        authority = open_as(bao, plan=plan_for(bao, standby))
        assert {secret.key: secret.value for secret in authority.read(REFS)} == VALUES
        assert authority.origin == bao.origin
        authority.close()


# ------------------------------------------------------------------------------------------------------------ proxies


@contextmanager
def connect_proxy() -> Iterator[tuple[str, list[str]]]:
    """A proxy that only tunnels (CONNECT); yields its address and what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            asked.append(self.path)
            host, _, port = self.path.partition(":")
            with socket.create_connection((host, int(port))) as there:
                self.send_response(200)
                self.end_headers()
                back = threading.Thread(target=pump, args=(there, self.connection), daemon=True)
                back.start()
                pump(self.connection, there)
                back.join(5)
            self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_address[1]}", asked
    finally:
        http.shutdown()
        http.server_close()
        thread.join(5)


def test_the_proxy_of_the_config_is_used_and_sees_no_secret_in_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    with start_openbao(tls=True) as bao, connect_proxy() as (proxy, asked):
        fill(bao)
        monkeypatch.setenv("no_proxy", "*")  # the environment has no say
        access = Access(EnvClass.LAB, Purpose.EXECUTE, TokenFor(bao, {"environment": "dr-prod"}), ca_bundle=bao.ca_bundle)
        authority = open_authority(plan_for(bao).model_copy(update={"proxy": proxy}), access)
        assert {secret.key: secret.value for secret in authority.read(REFS)} == VALUES
        authority.close()
        assert set(asked) == {bao.origin.removeprefix("https://")}


def test_a_proxy_that_is_not_there_is_named_and_one_of_the_environment_is_said_to_be_ignored(bao: OpenBao) -> None:
    gone = f"http://127.0.0.1:{free_port()}"
    plan = plan_for(bao).model_copy(update={"addresses": (("https://vault.example.net", "x"),), "proxy": gone})
    with pytest.raises(Fault) as failed:
        open_as(bao, plan=plan).read(REFS)
    assert f"through vault.proxy {gone}" in failed.value.fix
    assert "not HTTPS_PROXY" in fault(bao, f"http://127.0.0.1:{free_port()}").fix
