"""GitHub's token endpoint, reduced to what a test turns: who may ask, what fails first, what is answered."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.support.ports import free_port


@dataclass
class TokenDouble:
    server: ThreadingHTTPServer
    failures: list[int] = field(default_factory=list)
    body: bytes | None = None
    slept: list[float] = field(default_factory=list)
    stopped: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/token?api-version=2.0"

    def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            self.server.shutdown()
            self.server.server_close()


@contextmanager
def token_server(bearer: str) -> Iterator[TokenDouble]:
    class Handler(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True  # header and body are two writes; the second would wait 40 ms for an acknowledgement

        def do_GET(self) -> None:
            status = double.failures.pop(0) if double.failures else 200
            if self.headers["Authorization"] != f"bearer {bearer}":
                status = 401
            audience = parse_qs(urlsplit(self.path).query)["audience"][0]
            body = json.dumps({"value": f"token for {audience}"}).encode() if double.body is None else double.body
            self.send_response(status)
            if status == 302:
                self.send_header("Location", double.url + "&audience=elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    double = TokenDouble(ThreadingHTTPServer(("127.0.0.1", free_port()), Handler))
    thread = threading.Thread(target=double.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield double
    finally:
        double.stop()
        thread.join(5)
