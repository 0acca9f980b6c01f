"""One call of Proxmox VE's API: to one pinned server, bounded in time and bytes, and told in words that hold no secret.

proxmoxer names the calls; what it would send and read by itself goes through `hyops_ci.http`: it follows redirects, knows no pin, takes
an answer that is not JSON for data, and repeats what the server says in its exceptions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from hyops_ci.contracts.clock import Clock
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Refusal, shown
from hyops_ci.http.client import HttpClient, Limits
from hyops_ci.http.retry import Backoff, repeat
from hyops_ci.parsing.strict_json import JsonError, parse
from hyops_ci.redaction.redactor import Redactor

if TYPE_CHECKING:
    from proxmoxer.core import ProxmoxResource

LIMITS: Final = Limits(seconds=30.0, connect=5.0, max_bytes=32 << 20)
"""A file of a machine has up to 16 MiB, as JSON more."""
TRIES: Final = 4
PAUSES: Final = Backoff(first=3.0, factor=2.0)
_TOKEN: Final = re.compile(
    r"[A-Za-z0-9_.-]{1,64}@[A-Za-z0-9_.-]{1,32}![A-Za-z][A-Za-z0-9_.-]{0,126}=[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
_PASSING: Final = frozenset({0, 429, 502, 503, 504, 595, 596, 597, 598, 599})
_PASSING_WORDS: Final = re.compile(
    r"got timeout|can't lock file|is locked|config file already exists|cluster not ready|no quorum|no worker upid"
    r"|detected modified configuration"
)
_MISSING_WORDS: Final = re.compile(r"Configuration file '[^']*' does not exist")


class ApiError(Exception):
    """What the API said instead of an answer. Its text holds no secret."""

    def __init__(self, status: int, words: str, *, readable: bool = True) -> None:
        """`status` 0: nothing was answered; `readable`: whether the answer has the form of the API."""
        self.status, self.words, self.readable = status, words, readable
        super().__init__(words)

    @property
    def passing(self) -> bool:
        """Whether the next try may end differently."""
        return self.readable and (self.status in _PASSING or (self.status == 500 and _PASSING_WORDS.search(self.words) is not None))

    @property
    def missing(self) -> bool:
        """Whether there is no guest of this id."""
        return self.status == 404 or (self.status == 500 and _MISSING_WORDS.search(self.words) is not None)

    @property
    def denied(self) -> bool:
        """Whether the token is not accepted, or may not do this."""
        return self.status in (401, 403)


class Api:
    """Calls with one token. Nothing is sent, and proxmoxer is not imported, before the first of them."""

    def __init__(self, address: str, token: str, clock: Clock, *, fingerprint: str = "") -> None:
        """`address`: `https://<host>:<port>`; `fingerprint` of its certificate, empty: one that the host trusts.

        Raises Refusal for a token that is none.
        """
        if not _TOKEN.fullmatch(token):
            raise Refusal(
                "runner.token",
                "what the authority keeps is no API token of Proxmox VE",
                found="a value of another form",
                expected="<user>@<realm>!<id>=<uuid>, on one line",
                fix="store the token as `pveum user token add` prints it, behind its full id",
                exit_code=Exit.SECRETS,
                docs="runners-proxmox.md",
            )
        self._clock = clock
        self._wire = _Wire(HttpClient(LIMITS, fingerprint=fingerprint), token)
        self._base = f"{address.rstrip('/')}/api2/json"
        self._root: ProxmoxResource | None = None

    def get(self, *path: str, **params: str | int) -> Any:
        """Return the data of an answer; tried again while the trouble may pass. Raises ApiError."""
        return self._again("get", path, params)

    def change(self, verb: str, *path: str, **data: str | int) -> Any:
        """Send one request that changes something, once: whoever sends it looks before it is sent again. Raises ApiError."""
        return self._call(verb, path, data)

    def repeat(self, verb: str, *path: str, **data: str | int) -> Any:
        """Send a request that comes to the same however often it is sent; tried again as `get`. Raises ApiError."""
        return self._again(verb, path, data)

    def scrub(self, text: str) -> str:
        """Return a text of the server without the token."""
        return self._wire.scrub(text)

    def _again(self, verb: str, path: tuple[str, ...], values: Mapping[str, str | int]) -> Any:
        def once() -> Any:
            try:
                return self._call(verb, path, values)
            except ApiError as error:
                return error

        found = repeat(
            once,
            lambda found: isinstance(found, ApiError) and found.passing,
            sleep=self._clock.sleep,
            backoff=PAUSES,
            fits=lambda attempts, _: attempts < TRIES,
        )
        if isinstance(found, ApiError):
            raise found
        return found

    def _call(self, verb: str, path: tuple[str, ...], values: Mapping[str, str | int]) -> Any:
        from proxmoxer.core import ProxmoxResource, ResourceException

        if self._root is None:
            self._root = ProxmoxResource(base_url=self._base, session=self._wire, serializer=_Serializer())
        try:
            return getattr(self._root(list(path)), verb)(**values)
        except ResourceException as error:
            status, words = int(error.status_code), self.scrub(f"{error.content} {error.errors or ''}")
        raise ApiError(status, f"HTTP {status}: {shown(' '.join(words.split()), 200)}")


@dataclass(frozen=True)
class _Answer:
    """What proxmoxer reads of an answer."""

    status_code: int
    reason: str
    content: bytes


class _Wire:
    """The session that proxmoxer sends through."""

    def __init__(self, http: HttpClient, token: str) -> None:
        self._http = http
        self._headers: Callable[[], dict[str, str]] = lambda: {"Authorization": f"PVEAPIToken={token}", "Accept": "application/json"}
        self.scrub: Callable[[str], str] = Redactor([token, token.partition("=")[2]]).text

    def request(self, method: str, url: str, data: Mapping[str, Any] | None = None, params: Mapping[str, Any] | None = None) -> _Answer:
        """Send one request and return its answer. Raises ApiError where there is none."""
        headers = self._headers()
        if params:
            url = f"{url}?{urlencode(params)}"
        if data:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        reply = self._http.send(method, url, headers=headers, data=urlencode(data) if data else None)
        if not reply.status:
            raise ApiError(0, reply.outcome, readable=reply.passing)
        if not reply.ok and reply.status < 400:
            raise ApiError(reply.status, f"HTTP {reply.status}, which the API does not answer with", readable=False)
        return _Answer(reply.status, reply.reason, reply.body)


class _Serializer:
    """Reads answers: JSON, strictly, or they are none."""

    def loads(self, answer: _Answer) -> Any:
        """Return what the API answers with. Raises ApiError for anything that is not of its form."""
        try:
            found = parse(answer.content, most=LIMITS.max_bytes)
        except JsonError as error:
            raise ApiError(answer.status_code, f"not JSON: {error.reason}", readable=False) from None
        if not isinstance(found, dict) or "data" not in found:
            raise ApiError(answer.status_code, "JSON without data", readable=False)
        return found["data"]

    def loads_errors(self, answer: _Answer) -> str | None:
        """Return what the API says of single parameters, None where it says nothing."""
        try:
            found = parse(answer.content, most=LIMITS.max_bytes)
        except JsonError:
            return None
        errors = found.get("errors") if isinstance(found, dict) else None
        return "; ".join(f"{name}: {words}" for name, words in errors.items()) if isinstance(errors, dict) else None
