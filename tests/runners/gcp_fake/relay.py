"""The relay of Identity-Aware Proxy's tunnel over TLS on the loopback: it counts, confirms, breaks off and resumes."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

from tests.runners.gcp_fake.server import server

SESSION, RESUMED, DATA, ACK = 1, 2, 4, 7
FRAME = 16 * 1024


@dataclass
class Session:
    """A machine's port, and what came and went so far."""

    port: socket.socket
    came: int = 0
    sent: int = 0
    unconfirmed: bytes = b""
    """What the client may not have: sent again when it resumes."""
    lock: Lock = field(default_factory=Lock)
    reading: Lock = field(default_factory=Lock)
    """Held while what came over a connection is carried on: all of it, before the next connection counts it."""
    wire: ServerConnection | None = None
    ended: bool = False


@dataclass
class Relay:
    """`reach` gives the socket of a machine's port, or raises OSError; `allowed` says who may."""

    reach: Callable[[dict[str, str]], socket.socket]
    allowed: Callable[[str], bool]
    break_every: int = 0
    """Bytes, there or back, after which a connection is cut, without a word; 0: never."""
    keeps_quiet: bool = False
    """It accepts the connection and does not say that it reached the machine."""
    silent: float = 0.0
    """Seconds that the first reconnect waits for an answer."""
    sessions: dict[str, Session] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    acks: list[int] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    @contextmanager
    def serving(self) -> Iterator[int]:
        with serve(
            self.talk,
            "127.0.0.1",
            0,
            ssl=server().context,
            subprotocols=[Subprotocol("relay.tunnel.cloudproxy.app")],
            process_request=self.admit,
            compression=None,
            ping_interval=None,
            close_timeout=1,
        ) as listener:
            Thread(target=listener.serve_forever, daemon=True).start()
            yield _port(listener)
            for session in self.sessions.values():
                session.port.close()

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if not self.allowed(request.headers.get("Authorization", "").removeprefix("Bearer ")):
            return connection.respond(HTTPStatus.FORBIDDEN, "no\n")
        if self.silent and request.path.startswith("/v4/reconnect"):
            time.sleep(self.silent)
            self.silent = 0.0
        if (
            request.headers.get("Origin") != "bot:iap-tunneler"
            or request.headers.get("Sec-WebSocket-Protocol") != "relay.tunnel.cloudproxy.app"
        ):
            self.violations.append(f"headers {dict(request.headers)}")
        return None

    def talk(self, wire: ServerConnection) -> None:
        assert wire.request is not None
        url = urlsplit(wire.request.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.asked.append((url.path, query))
        if url.path == "/v4/connect":
            if {"project", "zone", "instance", "interface", "port", "newWebsocket"} ^ query.keys():
                self.violations.append(f"connect with {sorted(query)}")
            try:
                port = self.reach(query)
            except OSError as error:
                wire.close(4003, f"failed to connect to backend: {error}"[:100])
                return
            if self.keeps_quiet:
                with port, suppress(ConnectionClosed):
                    wire.recv()
                return
            name = f"session-{len(self.sessions)}"
            session = self.sessions[name] = Session(port)
            wire.send(struct.pack(">HI", SESSION, len(name)) + name.encode())
            session.wire = wire
            Thread(target=self.back, args=(session,), daemon=True).start()
        elif url.path == "/v4/reconnect" and query.get("sid") in self.sessions:
            session = self.sessions[query["sid"]]
            with session.reading, session.lock:
                have = int(query["ack"])
                missing = session.sent - have
                if not 0 <= missing <= len(session.unconfirmed):
                    self.violations.append(f"resumed at {have} of {session.sent}")
                wire.send(struct.pack(">HQ", RESUMED, session.came))
                session.unconfirmed = session.unconfirmed[len(session.unconfirmed) - missing :]
                for start in range(0, missing, FRAME):
                    wire.send(_data(session.unconfirmed[start : start + FRAME]))
                session.wire = wire
                if session.ended:
                    wire.close(1000)
        else:
            wire.close(4004, "no such session")
            return
        with suppress(ConnectionClosed, OSError), session.reading:
            self.there(session, wire)

    def there(self, session: Session, wire: ServerConnection) -> None:
        """Carry what the client sends to the port."""
        for message in wire:
            assert isinstance(message, bytes)
            (tag,) = struct.unpack(">H", message[:2])
            if tag == ACK:
                (total,) = struct.unpack(">Q", message[2:])
                self.acks.append(total)
                with session.lock:
                    session.unconfirmed = session.unconfirmed[len(session.unconfirmed) - (session.sent - total) :]
            elif tag == DATA:
                (length,) = struct.unpack(">I", message[2:6])
                data = message[6:]
                if length != len(data) or not 0 < length <= FRAME:
                    self.violations.append(f"data of {length} and {len(data)} bytes")
                session.port.sendall(data)
                session.came += len(data)
                if self.break_every and session.came // self.break_every > (session.came - len(data)) // self.break_every:
                    _break(wire)
                wire.send(struct.pack(">HQ", ACK, session.came))
            else:
                self.violations.append(f"a message of kind {tag}")
        session.port.shutdown(socket.SHUT_WR)

    def back(self, session: Session) -> None:
        """Carry what the port sends to the client; now and then the connection breaks."""
        since = 0
        with suppress(OSError):
            while data := session.port.recv(FRAME):
                with session.lock:
                    session.sent += len(data)
                    session.unconfirmed += data
                    since += len(data)
                    wire: Any = session.wire
                    if self.break_every and since >= self.break_every:
                        since = 0
                        _break(wire)
                        continue
                    with suppress(ConnectionClosed):
                        wire.send(_data(data))
        with session.lock:
            session.ended = True
            if session.wire is not None:
                with suppress(ConnectionClosed, OSError):
                    session.wire.close(1000)


def _data(part: bytes) -> bytes:
    return struct.pack(">HI", DATA, len(part)) + part


def _break(wire: ServerConnection) -> None:
    """Cut the connection below TLS, as a network does."""
    with suppress(OSError):  # it is broken already
        socket.socket.shutdown(wire.socket, socket.SHUT_RDWR)


def _port(listener: Server) -> int:
    return int(listener.socket.getsockname()[1])
