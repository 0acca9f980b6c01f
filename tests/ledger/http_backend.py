"""`git http-backend` behind a real HTTP server on the loopback, with Basic auth and faults to order."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

Trouble = Literal["lose-answer", "503", "drop"]


class GitServer(ThreadingHTTPServer):
    """Serves the repositories below `root`. `trouble` is used up, one per push (or per any request, for `everything`)."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, root: Path, token: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root, self.token = root, token
        self.trouble: deque[Trouble] = deque()
        self.everything = False
        self.redirect_to = ""
        self.seen: list[tuple[str, str, str]] = []
        """(method, path, authorization) of every request."""

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is not news."""


@contextmanager
def serving(root: Path, token: str = "") -> Iterator[GitServer]:
    server = GitServer(root, token)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: GitServer
    protocol_version = "HTTP/1.1"

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
        if self.server.token and authorization != "Basic " + _basic(self.server.token):
            self._send(401, [("WWW-Authenticate", 'Basic realm="git"')], b"")
            return
        if self.server.redirect_to:
            self._send(302, [("Location", self.server.redirect_to + self.path)], b"")
            return
        trouble = self._trouble(path)
        if trouble == "503":
            self._send(503, [], b"try later")
            return
        if trouble == "drop":
            self.close_connection = True
            return
        status, headers, content = self._backend(path, query, body)
        if trouble == "lose-answer":
            self.close_connection = True
            return
        self._send(status, headers, content)

    def _trouble(self, path: str) -> Trouble | None:
        pushing = self.command == "POST" and path.endswith("/git-receive-pack")
        if self.server.trouble and (pushing or self.server.everything):
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
            "REMOTE_USER": "x-access-token",
        }
        done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=environ, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n") if ": " in line]
        status = next((int(value.split()[0]) for name, value in headers if name == "Status"), 200)
        return status, [(name, value) for name, value in headers if name != "Status"], content

    def _send(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _basic(token: str) -> str:
    return base64.b64encode(f"x-access-token:{token}".encode()).decode()
