"""The relay of Identity-Aware Proxy's tunnel over TLS on the loopback: it counts, confirms, breaks off and resumes.

All of it is one thread's, as the tunnel is: two threads that use one connection break the TLS of Python before 3.13.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import Thread
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
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
    sending: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while something is sent to the client, so that all goes in order."""
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while what came over a connection is carried on: all of it, before the next connection counts it."""
    wire: ServerConnection | None = None
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    """Not set from a break of the connection to the next one."""
    ended: bool = False

    def take(self, wire: ServerConnection) -> None:
        self.wire = wire
        self.connected.set()

    def cut(self) -> None:
        """Cut the connection below TLS, as a network does."""
        assert self.wire is not None
        self.connected.clear()
        self.wire.transport.abort()


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
    backs: list[asyncio.Task[None]] = field(default_factory=list)

    @contextmanager
    def serving(self) -> Iterator[int]:
        ready: Future[tuple[int, Callable[[], object]]] = Future()
        thread = Thread(target=lambda: asyncio.run(self.serve(ready)))
        thread.start()
        port, end = ready.result(30)
        try:
            yield port
        finally:
            end()
            thread.join()

    async def serve(self, ready: Future[tuple[int, Callable[[], object]]]) -> None:
        over, loop = asyncio.Event(), asyncio.get_running_loop()
        async with serve(
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
            ready.set_result((int(listener.sockets[0].getsockname()[1]), lambda: loop.call_soon_threadsafe(over.set)))
            await over.wait()
            for back in self.backs:
                back.cancel()
            ends = await asyncio.gather(*self.backs, return_exceptions=True)
            self.violations += [repr(each) for each in ends if isinstance(each, Exception)]
            for session in self.sessions.values():
                session.port.close()

    async def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if not self.allowed(request.headers.get("Authorization", "").removeprefix("Bearer ")):
            return connection.respond(HTTPStatus.FORBIDDEN, "no\n")
        if self.silent and request.path.startswith("/v4/reconnect"):
            late, self.silent = self.silent, 0.0
            await asyncio.sleep(late)
        if (
            request.headers.get("Origin") != "bot:iap-tunneler"
            or request.headers.get("Sec-WebSocket-Protocol") != "relay.tunnel.cloudproxy.app"
        ):
            self.violations.append(f"headers {dict(request.headers)}")
        return None

    async def talk(self, wire: ServerConnection) -> None:
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
                await wire.close(4003, f"failed to connect to backend: {error}"[:100])
                return
            if self.keeps_quiet:
                with port, suppress(ConnectionClosed):
                    await wire.recv()
                return
            port.setblocking(False)
            name = f"session-{len(self.sessions)}"
            session = self.sessions[name] = Session(port)
            await wire.send(struct.pack(">HI", SESSION, len(name)) + name.encode())
            session.take(wire)
            self.backs.append(asyncio.create_task(self.back(session)))
        elif url.path == "/v4/reconnect" and query.get("sid") in self.sessions:
            session = self.sessions[query["sid"]]
            async with session.reading, session.sending:
                have = int(query["ack"])
                missing = session.sent - have
                if not 0 <= missing <= len(session.unconfirmed):
                    self.violations.append(f"resumed at {have} of {session.sent}")
                with suppress(ConnectionClosed):  # who asked did not wait
                    await wire.send(struct.pack(">HQ", RESUMED, session.came))
                    session.unconfirmed = session.unconfirmed[len(session.unconfirmed) - missing :]
                    for start in range(0, missing, FRAME):
                        await wire.send(_data(session.unconfirmed[start : start + FRAME]))
                session.take(wire)
                if session.ended:
                    await wire.close(1000)
        else:
            await wire.close(4004, "no such session")
            return
        with suppress(ConnectionClosed, OSError):
            async with session.reading:
                await self.there(session, wire)

    async def there(self, session: Session, wire: ServerConnection) -> None:
        """Carry what the client sends to the port."""
        async for message in wire:
            assert isinstance(message, bytes)
            (tag,) = struct.unpack(">H", message[:2])
            if tag == ACK:
                (total,) = struct.unpack(">Q", message[2:])
                self.acks.append(total)
                session.unconfirmed = session.unconfirmed[len(session.unconfirmed) - (session.sent - total) :]
            elif tag == DATA:
                (length,) = struct.unpack(">I", message[2:6])
                data = message[6:]
                if length != len(data) or not 0 < length <= FRAME:
                    self.violations.append(f"data of {length} and {len(data)} bytes")
                await asyncio.get_running_loop().sock_sendall(session.port, data)
                session.came += len(data)
                if self.break_every and session.came // self.break_every > (session.came - len(data)) // self.break_every:
                    session.cut()
                    return
                await wire.send(struct.pack(">HQ", ACK, session.came))
            else:
                self.violations.append(f"a message of kind {tag}")
        session.port.shutdown(socket.SHUT_WR)

    async def back(self, session: Session) -> None:
        """Carry what the port sends to the client; now and then the connection breaks."""
        since = 0
        with suppress(OSError):
            while data := await asyncio.get_running_loop().sock_recv(session.port, FRAME):
                async with session.sending:
                    session.sent += len(data)
                    session.unconfirmed += data
                    since += len(data)
                    if self.break_every and since >= self.break_every:
                        since = 0
                        session.cut()
                    elif session.wire is not None:
                        with suppress(ConnectionClosed):
                            await session.wire.send(_data(data))
                await session.connected.wait()
        async with session.sending:
            session.ended = True
            if session.wire is not None:
                await session.wire.close(1000)


def _data(part: bytes) -> bytes:
    return struct.pack(">HI", DATA, len(part)) + part
