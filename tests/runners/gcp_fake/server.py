"""Google's interfaces over TLS on the loopback. Each request and each answer is held against Google's own description."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import mkdtemp
from threading import Lock, Thread
from typing import Any

import trustme

from tests.runners.gcp_fake.accounts import Accounts, OAuthError
from tests.runners.gcp_fake.answers import Answer
from tests.runners.gcp_fake.compute import Compute
from tests.runners.gcp_fake.discovery import Call, Method, check_answer, parsed
from tests.runners.world import Trouble

HTML = b"<html><title>502</title>a proxy between</html>"


@dataclass
class Services:
    """What answers."""

    compute: Compute
    accounts: Accounts
    calls: list[Call] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    """Requests and answers that have not the published form."""
    garbage: bytes | None = None
    """What is answered under `Trouble.NONSENSE` when a machine is asked for; None: a machine in a state that nobody knows."""
    refused: dict[str, Answer] = field(default_factory=dict)
    """Errors of single methods, by id."""
    lost: set[str] = field(default_factory=set)
    """Methods whose next answer is lost, by id: the request is carried out."""
    _hiccups: int = 0
    _lock: Lock = field(default_factory=Lock)

    def serve(self, api: str, verb: str, target: str, body: bytes, headers: Any) -> tuple[int, bytes]:
        """Return status and body of an answer."""
        with self._lock:
            try:
                method, call = parsed(api, verb, target, body, form="form-urlencoded" in headers.get("Content-Type", ""))
            except ValueError as error:
                self.violations.append(str(error))
                return 400, json.dumps(Answer(400, str(error), "invalid").body).encode()
            self.calls.append(call)
            trouble = self._trouble(api, method)
            if trouble is not None and trouble[2]:
                return trouble[:2]
            answer = self._answered(api, method, call, headers.get("Authorization", "").removeprefix("Bearer "))
            if call.id in self.lost:
                self.lost.remove(call.id)
                return 503, json.dumps(Answer(503, "The service is currently unavailable.").body).encode()
            return trouble[:2] if trouble is not None else answer

    def _answered(self, api: str, method: Method, call: Call, bearer: str) -> tuple[int, bytes]:
        try:
            if call.id in self.refused:
                raise self.refused[call.id]
            found = self._found(api, call, bearer)
        except Answer as error:
            return error.code, json.dumps(error.body).encode()
        except OAuthError as error:
            return 400, json.dumps(error.body).encode()
        try:
            check_answer(method, found)
        except ValueError as error:
            self.violations.append(str(error))
        if Trouble.NONSENSE in self.compute.troubles and call.id == "compute.instances.get" and self.garbage is None:
            found["status"] = "PURPLE"
        return 200, json.dumps(found).encode()

    def _found(self, api: str, call: Call, bearer: str) -> dict[str, Any]:
        if api == "sts.v1":
            return self.accounts.sts_token(call)
        if api == "iamcredentials.v1":
            return self.accounts.generate(call, bearer)
        self.accounts.authentic(bearer)
        return self.accounts.oslogin(call) if api == "oslogin.v1" else self.compute.answer(call)

    def _trouble(self, api: str, method: Method) -> tuple[int, bytes, bool] | None:
        """Return what is answered instead, and whether nothing else happens: or the request is carried out, and its answer is lost."""
        troubles = self.compute.troubles
        unavailable = json.dumps(Answer(503, "The service is currently unavailable.").body).encode()
        if Trouble.SILENT in troubles:
            return 503, unavailable, True
        if api not in {"compute.v1", "oslogin.v1"}:
            return None
        if Trouble.NONSENSE in troubles and (method.id != "compute.instances.get" or self.garbage is not None):
            return 200, self.garbage or HTML, True
        if Trouble.HICCUP in troubles:
            self._hiccups += 1
            if self._hiccups % 3:
                return 503, unavailable, self._hiccups % 3 == 1
        return None


class Server:
    """One server for all tests of a process; each test gives it its own services."""

    def __init__(self) -> None:
        authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # A ticket that arrives while another thread sends its first bytes makes OpenSSL wait for more: on a loopback it often does.
        self.context.num_tickets = 0
        authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA).configure_cert(self.context)
        self.bundle = Path(mkdtemp(prefix="gcp-fake-")) / "ca.pem"
        authority.cert_pem.write_to_path(self.bundle)
        self.services: Services | None = None
        self.ports = {api: self._listen(api) for api in ("compute.v1", "sts.v1", "iamcredentials.v1", "oslogin.v1")}

    @contextmanager
    def serving(self, services: Services) -> Iterator[None]:
        self.services = services
        try:
            yield
        finally:
            self.services = None

    def _listen(self, api: str) -> int:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                services = owner.services
                status, data = services.serve(api, self.command, self.path, body, self.headers) if services else (503, b"{}")
                self.send_response(status)
                self.send_header("Content-Type", "application/json; charset=UTF-8")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = do_PATCH = answer  # noqa: N815 - names of the base class

            def log_message(self, *args: object) -> None:
                pass

        class Listener(ThreadingHTTPServer):
            daemon_threads = True

            def get_request(self) -> tuple[Any, Any]:
                wire, address = super().get_request()
                return owner.context.wrap_socket(wire, server_side=True, do_handshake_on_connect=False), address

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that went away in the middle, as a process does that is killed."""

        listener = Listener(("127.0.0.1", 0), Handler)
        Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return int(listener.server_address[1])


@cache
def server() -> Server:
    return Server()
