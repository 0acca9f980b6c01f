"""The client of GitHub's REST API: known endpoints, bounded retries, and refusals that name the missing permission.

Retrying must end within two minutes, and a call that changes something may not be made twice (docs/design/github.md 8;
GitHub docs, *Best practices for using the REST API*). PyGithub signs as an App, and no more: its requests wait without end on a 202,
follow a 301 without the query, and log whole answers with tokens in them.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from hyops_ci import __version__
from hyops_ci.address import is_protected
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.github.api.app_auth import AppKey, Installation
from hyops_ci.github.api.endpoints import Endpoint
from hyops_ci.github.api.errors import error_for, malformed
from hyops_ci.github.api.exchange import DOWNLOAD_SECONDS, LIMITS, fetch, request
from hyops_ci.github.api.responses import NotFound, Response, Unanswered, rate_limit_wait
from hyops_ci.http.client import HttpClient, Limits, host_ca
from hyops_ci.http.retry import Backoff, repeat

__all__ = ["API", "PATIENCE", "AppKey", "Client", "RateLimit"]

API: Final = "https://api.github.com"
PATIENCE: Final = 120.0
"""Seconds that one call may take with all its tries."""
BACKOFF: Final = Backoff(first=1.0, factor=2.0, longest=30.0, jitter=1.0)
PAGE: Final = 100
HEADERS: Final = {
    "Accept": "application/vnd.github+json",
    "Content-Type": "application/json",
    "User-Agent": f"hyops-ci/{__version__}",
    "X-GitHub-Api-Version": "2022-11-28",
}
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}")
_TOKEN: Final = re.compile(r"[!-~]+")


@dataclass
class RateLimit:
    """How many calls the token has left, by the last response."""

    remaining: int | None = None
    limit: int | None = None
    resets_at: int | None = None
    """Seconds since 1970, UTC."""


class Client:
    """A client of one repository. Calls are made one after another."""

    def __init__(
        self,
        http: HttpClient,
        api_url: str,
        authorization: Callable[[], str],
        repository: str,
        *,
        say: Callable[[str], None],
        sleep: Callable[[float], None],
        monotonic: Callable[[], float],
        now: Callable[[], float],
    ) -> None:
        """`authorization` gives the header's value for the next request. `connect` makes clients from a token or an App's key."""
        self.repository = repository
        self.rate_limit = RateLimit()
        self.ahead: float | None = None
        """Seconds by which this host's clock is ahead of GitHub's, by the Date of the last answer; None before any."""
        self._now = now
        self._sent = 0
        self._installation: Installation | None = None
        self._http, self._api_url, self._authorization = http, api_url, authorization
        self._say, self._sleep, self._monotonic = say, sleep, monotonic

    @classmethod
    def connect(
        cls,
        repository: str,
        *,
        token: str = "",
        app: AppKey | None = None,
        api_url: str = API,
        say: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> Client:
        """Return a client for `owner/name`. Nothing is called yet, but with `app`, which looks for its installation.

        Raises Refusal (exit 2) for an address that a token may not be sent to, a name that is no repository's, a token that cannot be
        one, or none at all.
        """
        base = _checked_address(api_url)
        if not _REPOSITORY.fullmatch(repository) or {".", ".."} & set(repository.split("/")):
            found = repository or "--repository, GITHUB_REPOSITORY and GH_REPO are empty"
            raise _usage("no repository is called that", found, "owner/name", "export GH_REPO=<owner>/<repository>, then again")
        if app is None and not _TOKEN.fullmatch(token):
            found = "what is there has spaces or letters that no token has" if token else "DR_TOKEN, GH_TOKEN and GITHUB_TOKEN are empty"
            raise _usage("there is no token for GitHub", found, "a token of the repository", "export GH_TOKEN=$(gh auth token), then again")

        def over(authorization: Callable[[], str]) -> Client:
            http = HttpClient(LIMITS, ca=host_ca(), monotonic=monotonic)
            return cls(http, base, authorization, repository, say=say, sleep=sleep, monotonic=monotonic, now=now)

        if app is None:
            return over(lambda: f"token {token}")
        signer = app.signer()
        installation = Installation(over(lambda: f"Bearer {signer.create_jwt()}"), repository.partition("/")[2], app.permissions, now)
        client = over(lambda: f"token {installation.token()}")
        client._installation = installation
        return client

    @property
    def calls(self) -> int:
        """Number of requests sent, those for an App's token included."""
        return self._sent + (self._installation.client.calls if self._installation else 0)

    def ask(self, endpoint: Endpoint, *, params: Mapping[str, str | int] | None = None, body: Any = None, **path: object) -> Any:
        """Return the JSON of one response (None for an empty one). `path` fills the endpoint's path.

        Looking up a missing field in it raises a Fault (exit 12), too: GitHub's description promises the field.

        Raises Unauthorized, Forbidden, NotFound, Conflict or Rejected with GitHub's reason and the permission that is missing; Fault
        (exit 12) after `PATIENCE` seconds, and Unanswered where a call that is made once got no answer.
        """
        return self._answer(endpoint, params, body, path).document(self._missing(endpoint, path))

    def pages(
        self, endpoint: Endpoint, key: str, *, params: Mapping[str, str | int] | None = None, most: int = 10, **path: object
    ) -> Iterator[dict[str, Any]]:
        """Yield the items of a listing, page by page on demand, at most `most` pages of 100. `key` is empty for a bare list.

        Raises as `ask`, and Fault (exit 12) for a response that is not a listing.
        """
        for page in range(1, most + 1):
            found = self.ask(endpoint, params={**(params or {}), "per_page": PAGE, "page": page}, **path)
            items = (found.get(key) if isinstance(found, dict) else None) if key else found
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise malformed(
                    endpoint, self._path(endpoint, path), f"page {page} holds no list {f'called {key}' if key else 'of things'}"
                )
            yield from items
            if len(items) < PAGE:
                return

    def download(self, endpoint: Endpoint, *, most_bytes: int, **path: object) -> bytes:
        """Return the bytes behind an endpoint that redirects to them. The token is not sent to the other host.

        Raises as `ask`, and Refusal (exit 11) for more than `most_bytes`.
        """
        found: bytes | None = None

        def once() -> Response:
            nonlocal found
            # Asked for each attempt: the address that GitHub gives is valid for a minute.
            place = self._answer(endpoint, None, None, path, redirected=True).headers.get("location", "")
            http = HttpClient(Limits(DOWNLOAD_SECONDS, LIMITS.connect, most_bytes), ca=host_ca(), monotonic=self._monotonic)
            found, problem = fetch(http, place)
            http.close()
            return Response(0 if found is None else 200, problem=problem)

        self._repeat(endpoint, self._path(endpoint, path), self._monotonic() + PATIENCE, once)
        return found or b""

    def exists(self, endpoint: Endpoint, **path: object) -> Any | None:
        """Return the same as `ask`, None for 404 or 410."""
        try:
            return self._answer(endpoint, None, None, path).document(self._missing(endpoint, path))
        except NotFound:
            return None

    def _missing(self, endpoint: Endpoint, path: Mapping[str, object]) -> Callable[[str], Fault]:
        return lambda name: malformed(endpoint, self._path(endpoint, path), f"no {name}")

    def _answer(
        self, endpoint: Endpoint, params: Mapping[str, str | int] | None, body: Any, path: Mapping[str, object], *, redirected: bool = False
    ) -> Response:
        """Return a successful response. Raises as `ask`."""
        place, until = self._path(endpoint, path), self._monotonic() + PATIENCE

        def once() -> Response:
            answer = self._once(endpoint, place, params, body, max(1.0, min(LIMITS.seconds, until - self._monotonic())))
            if redirected and answer.status == 302:
                return answer
            if endpoint.once and answer.transient and not answer.without_effect:
                raise Unanswered(endpoint, place, answer.outcome)
            return answer

        return self._repeat(endpoint, place, until, once, expected=302 if redirected else None)

    def _repeat(
        self, endpoint: Endpoint, place: str, until: float, once: Callable[[], Response], *, expected: int | None = None
    ) -> Response:
        """Ask until an answer is as expected. Raises what it comes to where no attempt helps, or fits before `until`."""
        answer = repeat(
            once,
            lambda answer: (answer.transient and not answer.lasting) or answer.rate_limited,
            sleep=self._sleep,
            backoff=BACKOFF,
            asked=rate_limit_wait,
            fits=lambda _, wait: self._monotonic() + wait < until,
            announce=lambda answer, wait: self._say(f"GitHub: {answer.outcome}; trying again in {int(wait)} s"),
        )
        if answer.status != expected if expected else not answer.ok:
            raise error_for(endpoint, answer, place)
        return answer

    def _once(self, endpoint: Endpoint, place: str, params: Mapping[str, str | int] | None, body: Any, seconds: float) -> Response:
        """Send one request. Network trouble is a response of status 0."""
        if endpoint.once:
            # A kept connection may end just when it is used; whether GitHub got the request would then be unknown.
            self._http.close()
        headers = {**HEADERS, "Authorization": self._authorization()}
        query = f"?{urlencode(params)}" if params else ""
        data = None if body is None else json.dumps(body)
        self._sent += 1
        answer = request(self._http, endpoint.method, f"{self._api_url}{place}{query}", headers, data, seconds)
        if (remaining := answer.number("x-ratelimit-remaining")) is not None:
            self.rate_limit = RateLimit(remaining, answer.number("x-ratelimit-limit"), answer.number("x-ratelimit-reset"))
        if (date := answer.date) is not None:
            self.ahead = self._now() - date
        return answer

    def _path(self, endpoint: Endpoint, path: Mapping[str, object]) -> str:
        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name == "repo":
                return self.repository
            segments = str(path[name[:-1]]).split("/") if name.endswith("*") else [str(path[name])]
            return "/".join(_segment(name, segment) for segment in segments)

        return re.sub(r"\{([a-z_]+\*?)\}", value, endpoint.path)


def _segment(name: str, value: str) -> str:
    """Return one segment of a path, quoted. Raises Refusal for those that HTTP reads as another path."""
    try:
        quoted = quote(value, safe="")
    except UnicodeEncodeError:
        quoted = ""
    if quoted in {"", ".", ".."}:
        raise _usage("this cannot be a name on GitHub", f"{name.rstrip('*')} {value!r}", "a name")
    return quoted


def _checked_address(api_url: str) -> str:
    """Return GitHub's address. Raises Refusal (exit 2) for one that a token may not be sent to."""
    address = api_url.rstrip("/")
    try:
        parts = urlsplit(address)
        shown, _ = f"{parts.scheme}://{parts.hostname}", parts.port
    except ValueError:
        raise _usage("this is not an address of GitHub's API", "GITHUB_API_URL cannot be read", API) from None
    if not parts.hostname or parts.username is not None or parts.query or parts.fragment:
        raise _usage("this is not an address of GitHub's API", f"{shown}, with a name, a question or nothing in it", API)
    if not is_protected(address):
        raise _usage("a token would travel in the clear", shown, "https (GITHUB_API_URL)")
    return address


def _usage(reason: str, found: str, expected: str, fix: str = "correct it, then again") -> Refusal:
    return Refusal("github.address", reason, exit_code=Exit.USAGE, found=found, expected=expected, fix=fix)
