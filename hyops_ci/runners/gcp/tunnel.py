"""The TCP tunnel of Identity-Aware Proxy: bytes over a WebSocket, by the sub-protocol that `gcloud compute ssh` speaks with it.

Each message is a tag of two bytes and its body, big-endian. The relay gives the session a name, both sides count what arrived, and
after a broken connection the session goes on with what the other side has not confirmed.

One thread has the whole session, on an event loop: two threads, one that reads and one that writes, break the TLS of Python before 3.13.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AsyncExitStack, contextmanager, suppress
from threading import Thread
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from hyops_ci.dataclass import dataclass, field
from hyops_ci.errors import DispatchError

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

SUBPROTOCOL: Final = "relay.tunnel.cloudproxy.app"
ORIGIN: Final = "bot:iap-tunneler"
SESSION, RESUMED, DATA, ACK = 1, 2, 4, 7
FRAME: Final = 16 * 1024
"""Bytes of data that one message carries at most."""
RESUMES: Final = 5
"""Broken connections in a row, without a byte between them, after which the tunnel is given up."""
REFUSED: Final = range(4000, 5000)
"""Codes of the relay's own: it says no, and would say so again."""
ENDS: Final = 5.0
"""Seconds in which the relay has to confirm the end."""


class TunnelError(OSError):
    """The tunnel does not lead there."""


@dataclass(frozen=True)
class Target:
    """A machine's port."""

    project: str
    zone: str
    instance: str
    port: int = 22


@dataclass
class Tunnel:
    """One session."""

    endpoint: str
    """`https://<host>[:<port>]` of the relay."""
    target: Target
    token: Callable[[], str]
    """Returns an access token that lives a while yet."""
    timeout: float
    """Seconds in which the relay has to reach the machine."""
    _wire: ClientConnection = field(init=False)
    """The connection of now; only `_from_relay` puts another in its place, and only `_to_relay` sends on it."""
    _session: str = ""
    _received: int = 0
    _told: int = 0
    """How much of it the relay was told."""
    _kept: bytearray = field(default_factory=bytearray)
    """What the relay has not confirmed."""
    _confirmed: int = 0
    """How much it has: the number of the first byte that is kept."""
    _carried: int = 0
    """How much was sent on the connection of now, or arrived before it."""
    _due: asyncio.Event = field(default_factory=asyncio.Event)
    """There may be something to send."""
    _idle: asyncio.Event = field(default_factory=asyncio.Event)
    """All that the port said was sent."""

    @contextmanager
    def opened(self) -> Iterator[socket.socket]:
        """Yield a socket whose other end is the machine's port. Raises TunnelError or another OSError, and what `token` raises."""
        near, far = socket.socketpair()
        ready: Future[None] = Future()
        thread = Thread(target=self._live, args=(far, ready), daemon=True)
        thread.start()
        try:
            ready.result()
            yield near
        finally:
            near.close()
            thread.join(ENDS + 1)

    def _live(self, port: socket.socket, ready: Future[None]) -> None:
        """Carry bytes between port and machine until one of them ends. `ready` learns how the beginning went."""
        with port, suppress(OSError, DispatchError):  # whoever holds the other end sees that it has ended
            port.setblocking(False)
            asyncio.run(self._begin(port, ready))

    async def _begin(self, port: socket.socket, ready: Future[None]) -> None:
        try:
            await self._open()
        except BaseException as error:  # noqa: BLE001 - raised where the tunnel is asked for
            ready.set_exception(error)
            return
        ready.set_result(None)
        tasks = [asyncio.create_task(each) for each in (self._from_port(port), self._to_relay(), self._from_relay(port))]
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._wire.close()

    async def _open(self) -> None:
        where = {
            "project": self.target.project,
            "port": self.target.port,
            "newWebsocket": True,
            "zone": self.target.zone,
            "instance": self.target.instance,
            "interface": "nic0",
        }
        self._wire, tag, body = await self._connected("connect", where)
        if tag != SESSION or len(body) < 5:
            await self._wire.close()
            raise TunnelError(f"the relay began with a message of kind {tag}")
        self._session = body[4:].decode("ascii", "replace")

    async def _from_port(self, port: socket.socket) -> None:
        """Keep what the port says until it is confirmed; return at its end, when all of it was sent."""
        while data := await asyncio.get_running_loop().sock_recv(port, FRAME):
            self._kept += data
            self._idle.clear()
            self._due.set()
            await self._idle.wait()

    async def _to_relay(self) -> None:
        """Send whatever is due, never waited for by what reads; what a broken connection swallows is due again when it is resumed."""
        from websockets.exceptions import ConnectionClosed

        while await self._due.wait():
            self._due.clear()
            with suppress(ConnectionClosed):
                while message := self._next():
                    await self._wire.send(message)
                    await asyncio.sleep(0)  # a break is seen before more is sent into it
                self._idle.set()

    def _next(self) -> bytes:
        """Return the next message; empty where nothing is due."""
        if self._received - self._told > 2 * FRAME:
            self._told = self._received
            return struct.pack(">HQ", ACK, self._received)
        at = self._carried - self._confirmed
        part = bytes(self._kept[at : at + FRAME])
        self._carried += len(part)
        return struct.pack(">HI", DATA, len(part)) + part if part else b""

    async def _from_relay(self, port: socket.socket) -> None:
        """Hand on what the machine says; return at its end. Raises TunnelError where the relay says why there is no more."""
        from websockets.exceptions import ConnectionClosed, ConnectionClosedOK

        broken = 0
        while True:
            try:
                tag, body = _parsed(await self._wire.recv())
            except ConnectionClosedOK:
                return
            except ConnectionClosed as ended:
                if ended.rcvd is not None and ended.rcvd.code in REFUSED:
                    raise TunnelError(_why(ended.rcvd.code, ended.rcvd.reason, self.target)) from None
                broken += 1
                if broken > RESUMES:
                    raise TunnelError(f"the tunnel broke {broken} times in a row") from None
                with suppress(TimeoutError):  # a relay that does not answer in time has one more break behind it
                    await self._resume()
                continue
            broken = 0
            if tag == DATA:
                data = _carried(body)
                await asyncio.get_running_loop().sock_sendall(port, data)
                self._received += len(data)
                self._due.set()
            elif tag == ACK:
                self._confirm(_number(body))

    async def _resume(self) -> None:
        """Go on with the same session; what did not arrive is due again."""
        at = self._received
        where = {"sid": self._session, "ack": at, "newWebsocket": True, "zone": self.target.zone}
        wire, tag, body = await self._connected("reconnect", where)
        if tag != RESUMED:
            await wire.close()
            raise TunnelError(f"the relay resumed with a message of kind {tag}")
        self._confirm(_number(body))
        self._wire, self._carried, self._told = wire, self._confirmed, at
        self._due.set()

    def _confirm(self, total: int) -> None:
        """Forget what arrived, to the byte."""
        if not 0 <= total - self._confirmed <= len(self._kept):
            raise TunnelError(f"the relay confirms {total} bytes of {self._confirmed + len(self._kept)}")
        del self._kept[: total - self._confirmed]
        self._confirmed = total
        self._carried = max(self._carried, total)

    async def _connected(self, what: str, query: dict[str, object]) -> tuple[ClientConnection, int, bytes]:
        """Return a connection and its first message, which the relay sends when it has reached the machine."""
        from websockets.asyncio.client import connect
        from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
        from websockets.typing import Origin, Subprotocol

        url = f"{self.endpoint.replace('https://', 'wss://', 1)}/v4/{what}?{urlencode(query)}"
        try:
            wire = await connect(
                url,
                origin=Origin(ORIGIN),
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                additional_headers={"Authorization": f"Bearer {self.token()}"},
                user_agent_header="dr-dispatch",
                compression=None,
                open_timeout=self.timeout,
                close_timeout=ENDS,
                ping_interval=None,
                max_size=2 * FRAME,
            )
        except InvalidStatus as answer:
            code = answer.response.status_code
            if code in {401, 403}:
                raise PermissionError(f"the relay of Identity-Aware Proxy answers {code}: iap.tunnelInstances.accessViaIAP") from None
            raise TunnelError(f"the relay of Identity-Aware Proxy answers {code}") from None
        except WebSocketException as error:
            raise TunnelError(f"no relay of Identity-Aware Proxy: {error}") from None
        async with AsyncExitStack() as unless_it_answers:
            unless_it_answers.push_async_callback(wire.wait_closed)
            unless_it_answers.callback(wire.transport.abort)
            try:
                async with asyncio.timeout(self.timeout):
                    tag, body = _parsed(await wire.recv())
            except TimeoutError:
                raise TunnelError(f"no answer from {self.target.instance}:{self.target.port} within {self.timeout:.0f} s") from None
            except ConnectionClosed as ended:
                code, reason = (ended.rcvd.code, ended.rcvd.reason) if ended.rcvd else (1006, "")
                raise TunnelError(_why(code, reason, self.target)) from None
            unless_it_answers.pop_all()
            return wire, tag, body


def _parsed(message: str | bytes) -> tuple[int, bytes]:
    if isinstance(message, str) or len(message) < 2:
        raise TunnelError("the relay sent a message without a kind")
    return struct.unpack(">H", message[:2])[0], message[2:]


def _carried(body: bytes) -> bytes:
    if len(body) < 4 or struct.unpack(">I", body[:4])[0] != len(body) - 4:
        raise TunnelError("the relay sent data of another length than it says")
    return body[4:]


def _number(body: bytes) -> int:
    if len(body) != 8:
        raise TunnelError("the relay counts in another form")
    return int(struct.unpack(">Q", body)[0])


def _why(code: int, reason: str, target: Target) -> str:
    return f"no way to {target.instance}:{target.port}: the relay ends with {code} {reason}".rstrip()
