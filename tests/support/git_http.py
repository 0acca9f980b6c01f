"""GitHub's Git on the loopback: bare repositories behind `git http-backend`, open to one token, with faults to order.

with serving(folder, token="...") as server:                     # plain, for a library that is told where certificates are
    git push {server.url("ledger.git")} ...
with serve_git(folder, token="...") as server:                   # over TLS, as GitHub is
    GIT_SSL_CAINFO={server.ca} git push {server.origin}/acme/recovery ...
"""

from __future__ import annotations

import base64
import os
import ssl
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, Literal

import trustme

HOST: Final = "github.localhost"
"""GitHub's artifact client takes any other host but github.com for a GHES, and refuses to work there. curl knows it is the loopback."""


@dataclass(frozen=True)
class No:
    """An answer instead of the backend's, as GitHub words it. `{authorization}` in the text is what the client sent."""

    status: int
    text: str = ""
    to: Literal["push", "pack"] = "push"
    """GitHub refuses a push when it is announced; `pack`: only when it comes."""


Trouble = Literal["lose-answer", "drop"] | No
BUSY: Final = No(503, "try later", to="pack")


class GitServer(ThreadingHTTPServer):
    """Serves the repositories below `root`. `trouble` is used up, one per push (or per any request, for `everything`)."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, root: Path, token: str = "", ca: Path | None = None, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.root, self.token = root, token
        self.also: set[str] = set()
        """Tokens of others that it is open to."""
        self.ca = ca
        """The certificate to trust, where this is TLS."""
        self.trouble: deque[Trouble] = deque()
        self.everything = False
        self.redirect_to, self.redirect_status = "", 302
        self.redirects_reading = True
        """Off: only what is sent up is redirected, as some servers do it."""
        self.seen: list[tuple[str, str, str]] = []
        """(method, path, authorization) of every request."""
        self.pages: dict[str, bytes] = {}
        """Path -> JSON that the server shows to everybody: what else GitHub has at this address."""
        self.on_request: Callable[[str], None] = lambda path: None
        """Called with the path of each request, while the client waits for its answer."""

    @property
    def origin(self) -> str:
        return f"https://{HOST}:{self.server_port}" if self.ca else f"http://127.0.0.1:{self.server_port}"

    def url(self, name: str) -> str:
        return f"{self.origin}/{name}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is not news."""


@contextmanager
def serving(root: Path, token: str = "", port: int = 0) -> Iterator[GitServer]:
    """In the clear, without a token unless one is given. Ended on leaving: a test that goes on asking gives it a `free_port()`."""
    with _running(GitServer(root, token, port=port)) as server:
        yield server


@contextmanager
def serve_git(folder: Path, token: str) -> Iterator[GitServer]:
    """Over TLS, with a token. Ended on leaving."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST).configure_cert(context)
    with tempfile.TemporaryDirectory(prefix="git-http-") as home:
        ca = Path(home, "ca.pem")
        authority.cert_pem.write_to_path(str(ca))
        server = GitServer(folder, token, ca)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        with _running(server):
            yield server


@contextmanager
def _running(server: GitServer) -> Iterator[GitServer]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    server: GitServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    """Header and body are two writes: the second would wait 40 ms for an acknowledgement of the first."""

    def log_message(self, *args: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self._body()
        path, _, query = self.path.partition("?")
        authorization = self.headers.get("Authorization", "")
        self.server.seen.append((self.command, self.path, authorization))
        self.server.on_request(self.path)
        if path in self.server.pages:
            self._send(200, [("Content-Type", "application/json")], self.server.pages[path])
            return
        known = {"Basic " + _basic(token) for token in (self.server.token, *self.server.also)}
        if self.server.token and authorization not in known:
            self._send(401, [("WWW-Authenticate", 'Basic realm="git"')], b"")
            return
        if self.server.redirect_to and (self.server.redirects_reading or self.command == "POST"):
            self._send(self.server.redirect_status, [("Location", self.server.redirect_to + self.path)], b"")
            return
        trouble = self._trouble(path, query)
        if isinstance(trouble, No):
            text = trouble.text.format(authorization=authorization)
            self._send(trouble.status, [("Content-Type", "text/plain; charset=utf-8")], text.encode())
            return
        if trouble == "drop":
            self.close_connection = True
            return
        status, headers, content = self._backend(path, query, body)
        if trouble == "lose-answer":
            self.close_connection = True
            return
        self._send(status, headers, content)

    def _trouble(self, path: str, query: str) -> Trouble | None:
        if not self.server.trouble:
            return None
        first = self.server.trouble[0]
        early = isinstance(first, No) and first.to == "push"
        announced = self.command == "GET" and query == "service=git-receive-pack"
        packed = self.command == "POST" and path.endswith("/git-receive-pack")
        if self.server.everything or (announced if early else packed):
            return self.server.trouble.popleft()
        return None

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _backend(self, path: str, query: str, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        environ = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": "127.0.0.1",
            # Whoever is named may push, unless the repository itself forbids it.
            "REMOTE_USER": "x-access-token",
        }
        done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=environ, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n") if ": " in line]
        headers = [(name, value) for name, value in fields if name != "Status"]
        return next((int(value.split()[0]) for name, value in fields if name == "Status"), 200 if head else 500), headers, content

    def _send(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _basic(token: str) -> str:
    return base64.b64encode(f"x-access-token:{token}".encode()).decode()
