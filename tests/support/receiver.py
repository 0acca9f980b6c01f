"""A webhook on the loopback that verifies GitHub's signature as GitHub's page says; a watcher, too. It remembers what came."""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from trustme import LeafCert

SECRET = "canary-of-the-webhook-0123456789"


@dataclass
class Receiver:
    """What came: documents with a signature that holds, and bodies without one."""

    url: str = ""
    taken: list[dict[str, Any]] = field(default_factory=list)
    forged: list[bytes] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    pings: list[str] = field(default_factory=list)
    """What was asked for by GET: path and query."""

    @property
    def moments(self) -> list[str]:
        return [each["moment"] for each in self.taken]


@contextmanager
def start_receiver(
    answer: Callable[[BaseHTTPRequestHandler], None] | None = None, *, name: str = "", certificate: LeafCert | None = None, port: int = 0
) -> Iterator[Receiver]:
    """`answer` stands for 204 without a word; it is called after the request was read. With a certificate it is the host `name`."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            said = self.headers.get("X-Hub-Signature-256", "")
            receiver.raw.append(body)
            receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
            if hmac.compare_digest(said, "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()):
                receiver.taken.append(json.loads(body))
            else:
                receiver.forged.append(body)
            if answer is not None:
                with suppress(OSError):
                    answer(self)
                return
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            receiver.raw.append(b"GET")
            receiver.pings.append(self.path)
            if answer is not None:
                with suppress(OSError):
                    answer(self)
                return
            self.send_response(204)
            self.end_headers()

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that has gone is no error."""

    server = Server(("127.0.0.1", port), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/dr"
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        receiver.url = f"https://{name}:{server.server_address[1]}/dr"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
