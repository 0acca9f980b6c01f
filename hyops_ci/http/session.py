"""A requests session whose requests end: one deadline for each, from its first byte to its last, and a limit of bytes.

The timeouts of requests count from byte to byte: a server that sends one now and then holds them for days. Here the
socket gets what is left until the deadline before each read, the status line and the headers included.
"""

from __future__ import annotations

import http.client
import io
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from typing_extensions import override
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from hyops_ci.address import is_protected

CHUNK: Final = 1 << 16


class TooLargeError(requests.RequestException):
    """The body is larger than the limit."""


class ClearTextError(requests.RequestException):
    """The address is neither https nor on the loopback."""


class Deadline:
    """When the request that is being made has to be over, in seconds of `monotonic`."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic, self._until = monotonic, 0.0

    def start(self, seconds: float) -> None:
        """Begin to count."""
        self._until = self._monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left. Raises TimeoutError when there are none."""
        left = self._until - self._monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        return left


class BoundedSession(requests.Session):
    """A session that reads every body itself and follows no redirect. Its responses have their whole `content`."""

    def __init__(
        self, deadline: Deadline, *, ca: str | bool = True, proxies: Mapping[str, str] | None = None, fingerprint: str = ""
    ) -> None:
        """`ca`: a bundle of certificates. `proxies` None: proxies and CA bundle are those of the process environment.

        `fingerprint`: SHA-256 of the only certificate that is accepted, whoever signed it.
        """
        super().__init__()
        self._deadline = deadline
        self.connect, self.seconds, self.max_bytes = 10.0, 20.0, 1 << 20
        self.trust_env = proxies is None
        self.verify, self.proxies = ca, dict(proxies or {})
        self.auth = _unchanged  # with trust_env, an entry of a .netrc would replace the Authorization header
        for prefix in ("https://", "http://"):
            self.mount(prefix, _PinnedAdapter(deadline, fingerprint) if fingerprint else _Adapter(deadline))
        # It logs whole addresses at DEBUG, and a signed one is a secret.
        logging.getLogger("urllib3.connectionpool").addFilter(_above_debug)

    @override
    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """As `requests.Session.send`. Raises requests.RequestException, urllib3's HTTPError, or ValueError for a URL that is not one."""
        if not is_protected(request.url or ""):
            raise ClearTextError(request=request)
        self._deadline.start(self.seconds)
        bounds = {"stream": True, "allow_redirects": False, "timeout": (min(self.connect, self.seconds), self.seconds)}
        with super().send(request, **{**options, **bounds}) as response:
            body = bytearray()
            while chunk := response.raw.read1(CHUNK, decode_content=True):
                body += chunk
                if len(body) > self.max_bytes:
                    raise TooLargeError(request=request)
                self._deadline.left()
            response._content, response._content_consumed = bytes(body), True  # type: ignore[attr-defined]  # requests has no other way to be given a body
        return response

    @override
    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return None, so that requests does not read the body of a redirect without bounds to prepare the next request."""
        return None


class _Adapter(HTTPAdapter):
    """requests' own adapter over connections that know the deadline."""

    def __init__(self, deadline: Deadline) -> None:
        self._pools = _pools(deadline)
        super().__init__()

    @override
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    @override
    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager


class _PinnedAdapter(_Adapter):
    """Talks to one certificate alone: compared as soon as the connection is secure, before the first byte of a request."""

    def __init__(self, deadline: Deadline, fingerprint: str) -> None:
        self._fingerprint = fingerprint
        super().__init__(deadline)

    @override
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, assert_fingerprint=self._fingerprint)

    @override
    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        return super().proxy_manager_for(*args, **kwargs, assert_fingerprint=self._fingerprint)

    @override
    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """As the adapter's. Neither a CA of the environment nor a name in the certificate counts: the fingerprint says more."""
        return super().send(request, *args, **{**kwargs, "verify": False})


def _pools(deadline: Deadline) -> dict[str, type[HTTPConnectionPool]]:
    class Response(http.client.HTTPResponse):
        def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
            super().__init__(sock, *args, **kwargs)
            self.fp = io.BufferedReader(_PacedReader(self.fp.detach(), sock, deadline))

    class Plain(HTTPConnection):
        response_class = Response

    class Secure(HTTPSConnection):
        response_class = Response

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


class _PacedReader(io.RawIOBase):
    """What a socket says, for as long as the deadline allows."""

    def __init__(self, raw: io.RawIOBase, sock: Any, deadline: Deadline) -> None:
        self._raw, self._sock, self._deadline = raw, sock, deadline

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._deadline.left())
        return self._raw.readinto(buffer)

    @override
    def close(self) -> None:
        self._raw.close()
        super().close()


def _above_debug(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
