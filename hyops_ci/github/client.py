"""The one way to GitHub's API: every call has a known endpoint, bounded patience, and a refusal that names what is missing.

PyGithub does what it does well: authentication (a token, or an App's installation with its renewals), sessions,
proxies. Retrying is ours, because it must end within two minutes and because a call that changes something
may not be made twice (github-actions, F31; GitHub docs, *Best practices for using the REST API*).
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from hyops_ci.errors import Exit, Refusal
from hyops_ci.github import endpoints
from hyops_ci.github.answers import WAITS, Answer, NotFound, Unanswered, explain, pause
from hyops_ci.github.endpoints import Endpoint

if TYPE_CHECKING:
    from github import Auth
    from github.Requester import Requester

API: Final = "https://api.github.com"
PATIENCE: Final = 120.0
"""Seconds of trying again, for one call."""
TIMEOUT: Final = 20
"""Seconds that one try may take to answer."""
PAGE: Final = 100
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}")
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True)
class AppKey:
    """A GitHub App that is installed on the repository."""

    app_id: str
    private_key: str = field(repr=False)
    permissions: Mapping[str, str] = field(default_factory=dict)
    """What the installation token may do, such as administration: read; empty means all that the App may."""


@dataclass
class Headroom:
    """How many calls the token has left, as the last answer said."""

    remaining: int | None = None
    limit: int | None = None
    resets_at: int | None = None
    """Seconds since 1970, UTC."""


class Client:
    """Calls on behalf of one repository. `calls` counts every request that was sent."""

    def __init__(
        self,
        requester: Requester,
        repository: str,
        *,
        say: Callable[[str], None],
        sleep: Callable[[float], None],
        monotonic: Callable[[], float],
    ) -> None:
        self.repository = repository
        self.calls = 0
        self.headroom = Headroom()
        self._requester, self._say, self._sleep, self._monotonic = requester, say, sleep, monotonic

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
    ) -> Client:
        """A client for `owner/name`. Nothing is called yet, but with `app`, which looks for its installation.

        Raises Refusal (exit 2) for an address that a token may not be sent to, a name that is no repository's, or no token at all.
        """
        from github import Auth, Github

        if not _REPOSITORY.fullmatch(repository):
            raise _usage("no such repository can be", repository or "no name", "owner/name")
        parts = urlsplit(api_url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise _usage("a token would travel in the clear", f"{parts.scheme}://{parts.hostname}", "https (GITHUB_API_URL)")
        if not token and app is None:
            raise _usage("there is no token for GitHub", "DR_TOKEN, GH_TOKEN and GITHUB_TOKEN are empty", "a token of the repository")

        def over(auth: Auth.Auth) -> Client:
            base = api_url.rstrip("/")
            found = Github(auth=auth, base_url=base, timeout=TIMEOUT, retry=0, seconds_between_requests=0, seconds_between_writes=0)
            return cls(found.requester, repository, say=say, sleep=sleep, monotonic=monotonic)

        if app is None:
            return over(Auth.Token(token))
        signer = Auth.AppAuth(app.app_id, app.private_key)
        number = int(over(signer).ask(endpoints.INSTALLATION)["id"])
        return over(Auth.AppInstallationAuth(signer, number, dict(app.permissions) or None))

    def ask(self, endpoint: Endpoint, *, params: Mapping[str, str | int] | None = None, body: Any = None, **path: object) -> Any:
        """The answer of one endpoint as JSON, None where it has none.

        Raises Refusal for what GitHub refuses (`github.token`, `github.permission`, `github.missing`, `github.conflict`,
        `github.rejected`), Fault (exit 12) after `PATIENCE` seconds, and Unanswered where a call that is made once got no answer.
        """
        return self._answer(endpoint, params, body, path).document()

    def pages(
        self, endpoint: Endpoint, key: str, *, params: Mapping[str, str | int] | None = None, most: int = 10, **path: object
    ) -> Iterator[dict[str, Any]]:
        """The items of a listing, page by page as they are wanted, at most `most` pages of 100. `key` is empty for a bare list."""
        for page in range(1, most + 1):
            found = self.ask(endpoint, params={**(params or {}), "per_page": PAGE, "page": page}, **path)
            items = found[key] if key else found
            yield from items
            if len(items) < PAGE:
                return

    def download(self, endpoint: Endpoint, *, most_bytes: int, **path: object) -> bytes:
        """The bytes behind an endpoint that redirects to them. The token is not sent along: another host has them.

        Raises Refusal (exit 11) for more than `most_bytes`.
        """
        began, tried = self._monotonic(), 0
        while True:
            # Asked anew each time: the place that GitHub names is good for a minute.
            place = self._answer(endpoint, None, None, path, redirected=True).headers.get("location", "")
            data, said = _fetched(place, most_bytes)
            if data is not None:
                return data
            wait = WAITS[min(tried, len(WAITS) - 1)]
            if self._monotonic() - began + wait > PATIENCE:
                raise explain(endpoint, Answer(0, {}, ""), self.repository, said)
            tried += 1
            self._sleep(wait)

    def exists(self, endpoint: Endpoint, **path: str | int) -> Any | None:
        """As `ask`, None where GitHub says 404."""
        try:
            return self._answer(endpoint, None, None, path).document()
        except NotFound:
            return None

    def _answer(
        self, endpoint: Endpoint, params: Mapping[str, str | int] | None, body: Any, path: Mapping[str, object], *, redirected: bool = False
    ) -> Answer:
        """One answer that is no trouble, after as many tries as patience allows."""
        address, began, tried = self._address(endpoint, path), self._monotonic(), 0
        while True:
            answer, said = self._once(endpoint, address, params, body)
            if answer.fine or (redirected and answer.status == 302):
                return answer
            left = PATIENCE - (self._monotonic() - began)
            wait = pause(answer, tried)
            if wait is None or wait > left:
                raise explain(endpoint, answer, self.repository, said, wait)
            if endpoint.once and not answer.refused_unread:
                raise Unanswered(endpoint, self.repository, said)
            tried += 1
            self._say(f"GitHub: {said}; trying again in {wait:.0f} s")
            self._sleep(wait + random.uniform(0, min(wait, 1.0)))  # noqa: S311 - jitter, so that many runs do not knock together

    def _once(self, endpoint: Endpoint, address: str, params: Mapping[str, str | int] | None, body: Any) -> tuple[Answer, str]:
        """One request. Network trouble is an answer of status 0."""
        import requests
        from github import GithubException

        self.calls += 1
        query = {name: str(value) for name, value in (params or {}).items()}
        try:
            status, headers, text = self._requester.requestJson(endpoint.method, address, query, {}, body)
        except requests.RequestException as error:
            return Answer(0, {}, ""), f"no answer ({type(error).__name__})"
        except GithubException as error:  # renewing an App's token goes through PyGithub itself
            return Answer(error.status, {}, json.dumps(error.data or {})), f"HTTP {error.status}"
        answer = Answer(status, {name.lower(): str(value) for name, value in headers.items()}, text or "")
        self._note(answer)
        if answer.fine and not answer.readable:
            return Answer(0, {}, ""), "an answer that was cut off"
        return answer, f"HTTP {status}"

    def _note(self, answer: Answer) -> None:
        def number(name: str) -> int | None:
            value = answer.headers.get(name, "")
            return int(value) if value.isdigit() else None

        if (remaining := number("x-ratelimit-remaining")) is not None:
            self.headroom = Headroom(remaining, number("x-ratelimit-limit"), number("x-ratelimit-reset"))

    def _address(self, endpoint: Endpoint, path: Mapping[str, object]) -> str:
        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name == "repo":
                return self.repository
            if name.endswith("*"):
                return quote(str(path[name[:-1]]), safe="/")
            return quote(str(path[name]), safe="")

        return re.sub(r"\{([a-z_]+\*?)\}", value, endpoint.path)


def _fetched(place: str, most_bytes: int) -> tuple[bytes | None, str]:
    """The bytes at an address, or why there are none this time. Raises Refusal for too many, or an address in the clear."""
    import requests

    parts = urlsplit(place)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise _usage("GitHub sent us to an address in the clear", f"{parts.scheme}://{parts.hostname}", "https")
    try:
        with requests.Session() as session:
            session.trust_env = False  # a .netrc entry would send a password of this host's user along
            session.proxies = requests.utils.get_environ_proxies(place)
            found = session.get(place, timeout=TIMEOUT, stream=True)
            if found.status_code != 200:
                return None, f"HTTP {found.status_code} for the bytes"
            data = b"".join(_bounded(found.iter_content(1 << 16), most_bytes))
    except requests.RequestException as error:
        return None, f"no bytes ({type(error).__name__})"
    return data, ""


def _bounded(chunks: Iterator[bytes], most_bytes: int) -> Iterator[bytes]:
    had = 0
    for chunk in chunks:
        had += len(chunk)
        if had > most_bytes:
            raise Refusal(
                "github.size",
                "an artifact is larger than anything that this release writes",
                exit_code=Exit.EVIDENCE,
                found=f"more than {most_bytes} bytes",
                expected=f"at most {most_bytes}",
                fix="look who uploaded it",
            )
        yield chunk


def _usage(reason: str, found: str, expected: str) -> Refusal:
    return Refusal("github.address", reason, exit_code=Exit.USAGE, found=found, expected=expected, fix="correct it, then again")
