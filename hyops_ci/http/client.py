"""One bounded HTTP request and what came of it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hyops_ci.dataclass import dataclass, field
from hyops_ci.portable import ca_store

if TYPE_CHECKING:
    import requests

    from hyops_ci.http.session import BoundedSession

_PASSING: Final = frozenset({0, 429, 500, 502, 503, 504})
_MISLED: Final = frozenset({"CaFileMissing", "InvalidSchema", "InvalidProxyURL"})
"""What the environment says of proxies and certificates is wrong."""
_CA_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@dataclass(frozen=True)
class Limits:
    """What one request may take: seconds from beginning to end, seconds to connect, bytes of the decoded body."""

    seconds: float
    connect: float
    max_bytes: int


@dataclass(frozen=True)
class Reply:
    """The answer to one request, or why there is none (status 0)."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    body: bytes = field(default=b"", repr=False)
    reason: str = field(default="", repr=False)
    """The words behind the status, which some services choose themselves."""
    error: str = ""
    """The class of the exception that stood for an answer."""
    problem: str = ""
    """The same in words that hold no header and no address."""
    unsent: bool = False
    """No connection came about, so the request cannot have had an effect."""

    @property
    def ok(self) -> bool:
        """Whether it is a success."""
        return 200 <= self.status < 300

    @property
    def passing(self) -> bool:
        """Whether the next attempt may end differently."""
        return self.status in _PASSING and self.error != "SSLError" and not self.misled

    @property
    def misled(self) -> bool:
        """Whether it was never sent, for what the environment says of proxies and certificates: the next attempt ends alike."""
        return self.error in _MISLED

    @property
    def outcome(self) -> str:
        """The status or the problem, in words."""
        return self.problem or f"HTTP {self.status}"

    def document(self, **options: Any) -> Any:
        """Return the JSON value of the body; `options` as `json.loads` takes them. Raises ValueError for anything that is not JSON."""
        try:
            return json.loads(self.body, parse_constant=_not_json, **options)
        except RecursionError:
            raise ValueError("nested too deeply") from None

    def fields(self) -> dict[str, Any]:
        """Return the JSON object of the body, or an empty one for any other body."""
        try:
            found = self.document()
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


class HttpClient:
    """Requests to one service, one after another. Redirects are never followed, so that no token leaks."""

    def __init__(
        self,
        limits: Limits,
        *,
        ca: str | bool = True,
        proxies: Mapping[str, str] | None = None,
        fingerprint: str = "",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`ca`: certificates to trust, as `host_ca` has them. `proxies` by scheme; None takes proxies and CA of the process environment.

        `fingerprint`: SHA-256 of the one certificate to talk to, whoever signed it, in place of `ca`.
        """
        self.limits = limits
        self._ca, self._proxies, self._fingerprint, self._monotonic = ca, proxies, fingerprint, monotonic
        self._session: BoundedSession | None = None

    @property
    def session(self) -> BoundedSession:
        """The session below, for a library that sends by itself inside `reply`."""
        from hyops_ci.http.session import BoundedSession, Deadline

        if self._session is None:
            self._session = BoundedSession(Deadline(self._monotonic), ca=self._ca, proxies=self._proxies, fingerprint=self._fingerprint)
            self._session.connect, self._session.max_bytes = self.limits.connect, self.limits.max_bytes
        return self._session

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: str | None = None,
        seconds: float | None = None,
    ) -> Reply:
        """Send one request. `seconds` shortens its deadline. Trouble on the way is a Reply without a status, never an exception."""
        return self.reply(lambda: self.session.request(method, url, headers=dict(headers or {}), data=data), seconds=seconds)

    def reply(self, request: Callable[[], requests.Response], *, seconds: float | None = None) -> Reply:
        """Return what `request` comes to; it sends through `session`."""
        from urllib3.exceptions import HTTPError, ReadTimeoutError

        self.session.seconds = min(self.limits.seconds, seconds or self.limits.seconds)
        try:
            found = request()
        except (OSError, HTTPError, ValueError) as error:  # an OSError are those of requests, too
            if type(error) is OSError and error.errno is None:  # of requests, before it connects
                return Reply(error="CaFileMissing", problem=_no_ca_file(), unsent=True)
            name = "ReadTimeout" if isinstance(error, TimeoutError | ReadTimeoutError) else type(error).__name__
            return Reply(error=name, problem=self._in_words(error), unsent=_unsent(error))
        headers = {name.lower(): str(value) for name, value in found.headers.items()}
        return Reply(found.status_code, headers, found.content, str(found.reason or ""))

    def close(self) -> None:
        """Close the kept connections; the next request opens a new one."""
        if self._session is not None:
            self._session.close()

    def _in_words(self, error: Exception) -> str:
        """Return what an exception means. Never its own text, which repeats headers and addresses."""
        import requests
        from urllib3.exceptions import TimeoutError as LowerTimeout

        from hyops_ci.http.session import ClearTextError, TooLargeError

        if isinstance(error, TooLargeError):
            return f"more than {self.limits.max_bytes} bytes"
        if isinstance(error, ClearTextError):
            return "neither https nor on the loopback"
        if isinstance(error, requests.exceptions.SSLError):
            return _tls_problem(str(error))
        if isinstance(error, requests.Timeout | LowerTimeout | TimeoutError):
            return "no answer in time"
        if isinstance(error, requests.exceptions.InvalidSchema | requests.exceptions.InvalidProxyURL):
            return "the proxy that the environment names is none of http or https"
        return "refused the connection" if "Connection refused" in str(error) else f"no connection ({type(error).__name__})"


def host_ca() -> str | bool:
    """Return the bundle of certificates that this host trusts, where an organisation adds its CA; True, Python's own, where it has none.

    The environment is not asked: with SSL_CERT_FILE a job could choose the CAs that the host trusts.
    """
    return ca_store() or True


def proxies_of(environment: Mapping[str, str], url: str) -> dict[str, str]:
    """Return the proxy that `environment` names for `url`, as requests takes it; empty where there is none or `no_proxy` excepts it."""
    from requests.utils import should_bypass_proxies

    def value(name: str) -> str:
        return environment.get(name, "") or environment.get(name.upper(), "")

    proxy = value("https_proxy")
    if not proxy or should_bypass_proxies(url, no_proxy=value("no_proxy") or "localhost"):
        return {}
    return {"https": proxy}


def _no_ca_file() -> str:
    """Return which variable names a file of certificates that is not there."""
    said = next((name for name in _CA_VARIABLES if os.environ.get(name) and not Path(os.environ[name]).exists()), "the CA bundle")
    return f"{said} names no file of this host"


def _not_json(word: str) -> float:
    raise ValueError(f"{word} is not JSON")


def _tls_problem(text: str) -> str:
    if "Fingerprints did not match" in text:
        return "TLS: another certificate than the pinned one"
    for known in (
        "certificate has expired",
        "unable to get local issuer certificate",
        "self-signed certificate",
        "Hostname mismatch",
        "not valid for",
    ):
        if known in text:
            return f"TLS: {known}"
    return "TLS: the certificate was not accepted" if "CERTIFICATE" in text else "TLS: no secure connection"


def _unsent(error: Exception) -> bool:
    import requests
    from urllib3.exceptions import NewConnectionError

    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(error, requests.ConnectTimeout) or isinstance(reason, NewConnectionError)
