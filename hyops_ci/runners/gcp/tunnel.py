"""The TCP tunnel of Identity-Aware Proxy: bytes over a WebSocket, by the sub-protocol that `gcloud compute ssh` speaks with it.

Each message is a tag of two bytes and its body, big-endian. The relay gives the session a name, both sides count what arrived, and
after a broken connection the session goes on with what the other side has not confirmed.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

SUBPROTOCOL: Final = "relay.tunnel.cloudproxy.app"
ORIGIN: Final = "bot:iap-tunneler"
SESSION, RESUMED, DATA, ACK = 1, 2, 4, 7
FRAME: Final = 16 * 1024
"""Bytes of data that one message carries at most."""
RESUMES: Final = 5
"""Broken connections in a row, without a byte between them, after which the tunnel is given up."""
REFUSED: Final = range(4000, 5000)
"""Codes of the relay's own: it says no, and would say so again."""


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
    """One session: `hyops_ci.runners.pipe.Way`."""

    endpoint: str
    """`https://<host>[:<port>]` of the relay."""
    target: Target
    token: Callable[[], str]
    """Returns an access token that lives a while yet."""
    timeout: float
    _wire: ClientConnection = field(init=False)
    _session: str = ""
    _received: int = 0
    _told: int = 0
    """How much of it the relay was told."""
    _confirmed: int = 0
    _unconfirmed: deque[bytes] = field(default_factory=deque)
    _lock: Lock = field(default_factory=Lock)
    _closed: bool = False
    _wires: ExitStack = field(default_factory=ExitStack)

    def open(self) -> None:
        """Connect. Raises TunnelError or another OSError."""
        where = {
            "project": self.target.project,
            "port": self.target.port,
            "newWebsocket": True,
            "zone": self.target.zone,
            "instance": self.target.instance,
            "interface": "nic0",
        }
        self._wire = self._connected("connect", where)
        tag, body = self._first()
        if tag != SESSION or len(body) < 5:
            self.close()
            raise TunnelError(f"the relay began with a message of kind {tag}")
        self._session = body[4:].decode("ascii", "replace")

    def send(self, data: bytes) -> None:
        """Carry bytes there; those that a broken connection swallows are sent again when it is resumed."""
        from websockets.exceptions import ConnectionClosed

        for start in range(0, len(data), FRAME):
            part = data[start : start + FRAME]
            with self._lock:
                self._unconfirmed.append(part)
                try:
                    self._wire.send(_data(part))
                except ConnectionClosed:
                    if self._closed:
                        raise TunnelError("the tunnel is closed") from None

    def receive(self) -> bytes:
        """Return the next bytes, nothing at the end. Raises TunnelError where the relay says why there are none."""
        from websockets.exceptions import ConnectionClosed, ConnectionClosedOK

        broken = 0
        while True:
            try:
                tag, body = _parsed(self._wire.recv())
            except ConnectionClosedOK:
                return b""
            except ConnectionClosed as ended:
                if self._closed:
                    return b""
                if ended.rcvd is not None and ended.rcvd.code in REFUSED:
                    raise TunnelError(_why(ended.rcvd.code, ended.rcvd.reason, self.target)) from None
                broken += 1
                if broken > RESUMES:
                    raise TunnelError(f"the tunnel broke {broken} times in a row") from None
                with suppress(TimeoutError):  # a relay that does not answer in time has one more break behind it
                    self._resume()
                continue
            broken = 0
            if tag == DATA:
                return self._data(body)
            if tag == ACK:
                self._confirm(body)

    def close(self) -> None:
        """End the session."""
        self._closed = True
        self._wires.close()

    def _connected(self, what: str, query: dict[str, object]) -> ClientConnection:
        from websockets.exceptions import InvalidHandshake, InvalidStatus
        from websockets.sync.client import connect
        from websockets.typing import Origin, Subprotocol

        url = f"{self.endpoint.replace('https://', 'wss://', 1)}/v4/{what}?{urlencode(query)}"
        try:
            wire = connect(
                url,
                origin=Origin(ORIGIN),
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                additional_headers={"Authorization": f"Bearer {self.token()}"},
                user_agent_header="dr-dispatch",
                compression=None,
                open_timeout=self.timeout,
                close_timeout=5,
                ping_interval=None,
                max_size=2 * FRAME,
            )
            return self._wires.enter_context(wire)
        except InvalidStatus as answer:
            code = answer.response.status_code
            if code in {401, 403}:
                raise PermissionError(f"the relay of Identity-Aware Proxy answers {code}: iap.tunnelInstances.accessViaIAP") from None
            raise TunnelError(f"the relay of Identity-Aware Proxy answers {code}") from None
        except InvalidHandshake as error:
            raise TunnelError(f"no relay of Identity-Aware Proxy: {error}") from None

    def _first(self) -> tuple[int, bytes]:
        """Return the first message of a connection: the relay sends it when it has reached the machine."""
        from websockets.exceptions import ConnectionClosed

        try:
            return _parsed(self._wire.recv(self.timeout))
        except TimeoutError:
            self.close()
            raise TunnelError(f"no answer from {self.target.instance}:{self.target.port} within {self.timeout:.0f} s") from None
        except ConnectionClosed as ended:
            code, reason = (ended.rcvd.code, ended.rcvd.reason) if ended.rcvd else (1006, "")
            raise TunnelError(_why(code, reason, self.target)) from None

    def _resume(self) -> None:
        """Go on with the same session, and send again what did not arrive."""
        from websockets.exceptions import ConnectionClosed

        with self._lock:
            where = {"sid": self._session, "ack": self._received, "newWebsocket": True, "zone": self.target.zone}
            self._wire = self._connected("reconnect", where)
            tag, body = self._first()
            if tag != RESUMED:
                raise TunnelError(f"the relay resumed with a message of kind {tag}")
            self._told = self._received
            self._arrived(_number(body))
            try:
                for part in self._unconfirmed:
                    self._wire.send(_data(part))
            except ConnectionClosed:
                pass  # broken again: the next receive resumes once more

    def _data(self, body: bytes) -> bytes:
        """Take data; tell the relay now and then how much arrived."""
        from websockets.exceptions import ConnectionClosed

        if len(body) < 4 or struct.unpack(">I", body[:4])[0] != len(body) - 4:
            raise TunnelError("the relay sent data of another length than it says")
        self._received += len(body) - 4
        if self._received - self._told > 2 * FRAME:
            with self._lock:
                try:
                    self._wire.send(struct.pack(">HQ", ACK, self._received))
                    self._told = self._received
                except ConnectionClosed:
                    pass  # the next receive resumes, which tells it too
        return body[4:]

    def _confirm(self, body: bytes) -> None:
        with self._lock:
            self._arrived(_number(body))

    def _arrived(self, total: int) -> None:
        """Forget what arrived, to the byte."""
        while self._unconfirmed and total > self._confirmed:
            first = self._unconfirmed[0]
            here = min(len(first), total - self._confirmed)
            self._confirmed += here
            if here == len(first):
                self._unconfirmed.popleft()
            else:
                self._unconfirmed[0] = first[here:]
        if total != self._confirmed:
            raise TunnelError(f"the relay confirms {total} bytes of {self._confirmed}")


def _parsed(message: str | bytes) -> tuple[int, bytes]:
    if isinstance(message, str) or len(message) < 2:
        raise TunnelError("the relay sent a message without a kind")
    return struct.unpack(">H", message[:2])[0], message[2:]


def _data(part: bytes) -> bytes:
    return struct.pack(">HI", DATA, len(part)) + part


def _number(body: bytes) -> int:
    if len(body) != 8:
        raise TunnelError("the relay counts in another form")
    return int(struct.unpack(">Q", body)[0])


def _why(code: int, reason: str, target: Target) -> str:
    return f"no way to {target.instance}:{target.port}: the relay ends with {code} {reason}".rstrip()
