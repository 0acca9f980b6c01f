"""GitHub's own client, `gh`, against the fake: it speaks to a socket here, as its setting `http_unix_socket` allows.

with gh_speaks_to(fake, folder) as environment:
    subprocess.run(["gh", "api", "user"], env={**os.environ, **environment, "GH_TOKEN": token})
"""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import requests

from tests.support.github.server import FakeGitHub

_OWN = frozenset({"host", "accept-encoding", "connection", "transfer-encoding", "content-length"})
"""Headers of this hop."""
API = b"https://api.github.com"
DEFAULT_BRANCH = "defaultBranchRef"
"""What `gh workflow run` asks GraphQL for; everything else that we print is REST, but for the next."""
DRAFT_OF_TAG = "RepositoryReleaseByTag"
"""What `gh release download` asks beside REST: whether a draft has the tag. None has here."""


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def _graphql(fake: FakeGitHub, asked: dict[str, Any]) -> dict[str, object]:
    """The repository, as far as GraphQL is asked for it."""
    if DRAFT_OF_TAG in asked["query"]:
        return {"release": None}
    assert DEFAULT_BRANCH in asked["query"], asked
    owner, name = asked["variables"]["owner"], asked["variables"]["name"]
    known = fake.repository(f"{owner}/{name}")
    return {"id": f"R_{known.id}", "name": known.name, "owner": {"login": owner}, DEFAULT_BRANCH: {"name": known.default_branch}}


@contextmanager
def gh_speaks_to(fake: FakeGitHub, folder: Path) -> Iterator[dict[str, str]]:
    """Yield the environment in which `gh` asks the fake."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._pass_on()

        do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the names that http.server looks for

        def address_string(self) -> str:
            return "a socket"

        def log_message(self, *args: object) -> None:
            pass

        def _pass_on(self) -> None:
            body = self._body()
            if self.path == "/graphql":
                found = _graphql(fake, json.loads(body))
                self._answer(200, json.dumps({"data": {"repository": found}}).encode(), {"Content-Type": "application/json"})
                return
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _OWN}
            got = requests.request(self.command, f"{fake.url}{self.path}", data=body, headers=headers, timeout=20)
            media = got.headers.get("Content-Type", "")
            # gh sends its token to GitHub's own addresses only, and follows those that an answer names.
            content = got.content.replace(fake.url.encode(), API) if media.startswith("application/json") else got.content
            self._answer(got.status_code, content, {name: got.headers[name] for name in ("Content-Type", "Link") if name in got.headers})

        def _body(self) -> bytes:
            """What was sent: `gh` sends its stdin in chunks, as it does not know how much there is."""
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found = b""
            while size := int(self.rfile.readline(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return found

        def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    settings = folder / "gh"
    settings.mkdir()
    (settings / "config.yml").write_text(f"version: '1'\nhttp_unix_socket: {folder / 'gh.sock'}\n")
    with _Server(str(folder / "gh.sock"), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield {"GH_CONFIG_DIR": str(settings), "GH_PROMPT_DISABLED": "1", "GH_NO_UPDATE_NOTIFIER": "1", "NO_COLOR": "1"}
        finally:
            server.shutdown()
            thread.join(5)
