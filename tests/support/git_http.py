"""GitHub's Git on the loopback: bare repositories behind `git http-backend`, open to one token.

with serve_git(folder, token="...") as server:
    GIT_SSL_CAINFO={server.ca} git push {server.origin}/acme/recovery ...
"""

from __future__ import annotations

import base64
import os
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import trustme

HOST = "github.localhost"
"""GitHub's artifact client takes any other host but github.com for a GHES, and refuses to work there. curl knows it is the loopback."""


@dataclass(frozen=True)
class GitServer:
    """Where it is, and the certificate to trust."""

    origin: str
    ca: Path


@contextmanager
def serve_git(folder: Path, token: str) -> Iterator[GitServer]:
    """Serve the bare repositories below `folder` for reading and pushing, over TLS. Ended on leaving."""
    expected = "Basic " + base64.b64encode(f"x-access-token:{token}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self._body())

        def _answer(self, body: bytes) -> None:
            if self.headers.get("Authorization") != expected:
                self._send(401, [("WWW-Authenticate", 'Basic realm="git"')], b"")
                return
            done = subprocess.run(["git", "http-backend"], env=self._environment(len(body)), input=body, capture_output=True, check=False)
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            fields = [tuple(line.split(": ", 1)) for line in head.decode().splitlines() if ": " in line]
            status = next((int(value.split()[0]) for name, value in fields if name == "Status"), 200 if head else 500)
            self._send(status, [(name, value) for name, value in fields if name != "Status"], content)

        def _environment(self, length: int) -> dict[str, str]:
            url = urlsplit(self.path)
            names = {"Content-Type": "CONTENT_TYPE", "Content-Encoding": "HTTP_CONTENT_ENCODING", "Git-Protocol": "GIT_PROTOCOL"}
            told = {names[name]: value for name in names if (value := self.headers.get(name))}
            return told | {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "http.receivepack",
                "GIT_CONFIG_VALUE_0": "true",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": url.path,
                "QUERY_STRING": url.query,
                "CONTENT_LENGTH": str(length),
                "REMOTE_USER": "x-access-token",
                "REMOTE_ADDR": "127.0.0.1",
            }

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _send(self, status: int, fields: list[tuple[str, str]], content: bytes) -> None:
            self.send_response(status)
            for name, value in fields:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST).configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        with tempfile.TemporaryDirectory(prefix="git-http-") as home:
            authority.cert_pem.write_to_path(f"{home}/ca.pem")
            yield GitServer(f"https://{HOST}:{server.server_port}", Path(home, "ca.pem"))
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
