"""The fake as a server over TLS: it knows one token, asks for every privilege, and keeps to the API's own models in both directions."""

from __future__ import annotations

import hashlib
import json
import re
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import trustme

from tests.runners.proxmox_fake import models
from tests.runners.proxmox_fake.calls import ROUTES, Calls, Failed
from tests.runners.proxmox_fake.privileges import Denied
from tests.runners.proxmox_fake.state import TOKEN_ID, TOKEN_USER, Cluster
from tests.runners.world import Trouble

SECRET = "0c5e4b1a-6d2f-4a3b-9c8d-7e6f5a4b3c2d"
TOKEN = f"{TOKEN_USER}!{TOKEN_ID}={SECRET}"
Answer = tuple[int, str, bytes]
PATTERNS = [
    (method, template, re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(template)) + "$")) for method, template in ROUTES
]


@dataclass
class Fake:
    """One server. `override` sees each request first and may answer in its place."""

    cluster: Cluster
    port: int = 0
    fingerprint: str = ""
    token: str = TOKEN
    seen: list[str] = field(default_factory=list)
    """Method and path of each request."""
    wrong: list[str] = field(default_factory=list)
    """What the API's description does not have; empty at the end, or the test fails."""
    override: Callable[[str, str], Answer | None] = lambda method, path: None
    requests: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def answer(self, method: str, target: str, body: str, authorization: str) -> Answer:
        url = urlsplit(target)
        path = unquote(url.path.removeprefix("/api2/json"))
        self.seen.append(f"{method} {path}")
        self.requests += 1
        if answered := self.override(method, path):
            return answered
        if authorization != f"PVEAPIToken={self.token}":
            return failure(401, "Authentication failed!" if authorization else "No ticket")
        troubles = self.cluster.troubles
        self.counts[method, path] += 1
        hiccups = Trouble.HICCUP in troubles and self.counts[method, path] % 3
        if Trouble.SILENT in troubles or hiccups == 1:
            return failure(595, "Connection refused")
        found = self.routed(method, path, dict(parse_qsl(url.query if method in ("GET", "DELETE") else body, keep_blank_values=True)))
        return failure(596, "Connection timed out") if hiccups else found

    def routed(self, method: str, path: str, values: dict[str, str]) -> Answer:
        if Trouble.NONSENSE in self.cluster.troubles:
            return success({"purple": True}) if self.requests % 2 else (200, "OK", b"<html>purple</html>")
        for verb, template, pattern in PATTERNS:
            if verb == method and (match := pattern.match(path)):
                return self.called(method, template, match.groupdict(), values)
        self.wrong.append(f"{method} {path}")
        return failure(501, f"Method '{method} {path}' not implemented")

    def called(self, method: str, template: str, names: dict[str, str], values: dict[str, str]) -> Answer:
        try:
            models.check_request(method, template, values)
            self.cluster.pass_time()
            if method != "GET" and Trouble.DENIED in self.cluster.troubles:
                raise Denied("Permission check failed")
            found = getattr(Calls(self.cluster), ROUTES[method, template])(values, **names)
            models.check_answer(method, template, found)
        except models.NotOfTheApiError as error:
            self.wrong.append(str(error))
            return failure(400, "Parameter verification failed.", {"fake": str(error)})
        except Denied as error:
            return failure(403, str(error))
        except Failed as error:
            return failure(error.status, error.words, error.errors)
        return success(found)


def success(data: Any) -> Answer:
    return 200, "OK", json.dumps({"data": data}).encode()


def failure(status: int, words: str, errors: dict[str, str] | None = None) -> Answer:
    return status, words.replace("\n", " "), json.dumps({"data": None, **({"errors": errors} if errors else {})}).encode()


@cache
def certificate() -> tuple[trustme.CA, trustme.LeafCert]:
    ca = trustme.CA()
    return ca, ca.issue_cert("127.0.0.1")


def fingerprint(leaf: trustme.LeafCert) -> str:
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())).hexdigest().upper()
    return ":".join(digest[at : at + 2] for at in range(0, 64, 2))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    context: ssl.SSLContext

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went, or did not like the certificate."""

    def finish_request(self, request: Any, client_address: Any) -> None:
        with self.context.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)


@contextmanager
def serving(cluster: Cluster) -> Iterator[Fake]:
    fake = Fake(cluster)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *args: Any) -> None:
            pass

        def serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            with lock:
                try:
                    status, words, content = fake.answer(self.command, self.path, body, self.headers.get("Authorization", ""))
                except Exception as error:  # noqa: BLE001 - the test is to fail, not the connection
                    fake.wrong.append(f"{self.command} {self.path}: {error!r}")
                    status, words, content = failure(500, "the fake failed")
            self.send_response(status, words)
            self.send_header("Content-Type", "application/json;charset=UTF-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = serve  # noqa: N815 - what http.server calls them

    _, leaf = certificate()
    server = _Server(("127.0.0.1", 0), Handler)
    server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(server.context)
    fake.port, fake.fingerprint = server.server_address[1], fingerprint(leaf)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
    assert fake.wrong == []
