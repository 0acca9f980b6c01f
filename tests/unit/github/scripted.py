"""A socket that says exactly these bytes and remembers what it was told, and a clock that only sleeping moves."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from hyops_ci.errors import DispatchError
from hyops_ci.github.api import endpoints
from hyops_ci.github.api.client import Client
from hyops_ci.github.api.endpoints import Endpoint

Asking = Callable[..., Client]
TOKEN = "ghs_canary-4f1d7a90c2e85b36d1f0a7c4"


def said(status: int = 200, body: Any = None, headers: Mapping[str, str] | None = None, *, length: int | None = None) -> bytes:
    """One answer, with a Content-Length that may lie."""
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", "Connection: close", f"Content-Length: {len(data) if length is None else length}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


@dataclass
class Heard:
    """One request."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Scripted:
    """Says the next of `script` to each request, then closes the connection; the last is said for ever. b"" says nothing."""

    script: list[bytes | Iterator[bytes]] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    url: str = ""

    def sends_to(self, path: str = "/bytes") -> bytes:
        """A redirect to a signed address of its own."""
        return said(302, None, {"Location": f"{self.url}{path}?sig=signed-canary-77aa"})

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                if request := _request(connection):
                    self.heard.append(request)
                    self._say(connection)

    def _say(self, connection: socket.socket) -> None:
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        try:
            for part in [answer] if isinstance(answer, bytes) else answer:
                connection.sendall(part)
        except OSError:
            pass  # who asked has gone


def _request(connection: socket.socket) -> Heard | None:
    with connection.makefile("rb") as stream:
        line = stream.readline().decode().strip()
        if not line:
            return None
        headers = {}
        while text := stream.readline().decode().strip():
            name, _, value = text.partition(":")
            headers[name.lower()] = value.strip()
        return Heard(line, headers, stream.read(int(headers.get("content-length", 0))))


@dataclass
class Time:
    """A clock that only sleeping moves."""

    at: float = 1_000.0
    slept: list[float] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds

    def monotonic(self) -> float:
        return self.at


FINE = said(200, {"id": 77})
BAD_GATEWAY = said(502, b"<html>unicorn</html>")


def failed(client: Client, endpoint: Endpoint = endpoints.REPOSITORY, **path: object) -> DispatchError:
    """What asking ends in."""
    with pytest.raises(DispatchError) as caught:
        client.ask(endpoint, **path)
    return caught.value
