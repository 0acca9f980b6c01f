"""One exchange over HTTP: bounded in time and size, following nobody with a token.

It is the connection below PyGithub's Requester (its `cnx`). PyGithub's own waits without end on a 202, follows a 301
and drops the query, breaks on an odd rate-limit header, and writes whole answers, registration tokens among them, to
the debug log. So PyGithub sees a status and nothing else; the answer stays here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.api.answers import Answer

if TYPE_CHECKING:
    import requests

CONNECT: Final = 10.0
"""Seconds until a connection must stand."""
TIMEOUT: Final = 20.0
"""Seconds that one try may take to answer."""
MOST_BYTES: Final = 16 << 20
"""Of one answer in JSON. A page of 100 runs is about 1 MB."""
BYTES_TIMEOUT: Final = 60.0
"""Seconds that the bytes of one artifact may take."""
HOPS: Final = 3
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class Wire:
    """A session with one host. `limit`: seconds that the next exchange may take."""

    def __init__(self, origin: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.limit = TIMEOUT
        self.answer = Answer(0)
        self._origin, self._monotonic = origin, monotonic
        self._session = _session()
        self._asked: tuple[str, str, str | None, Mapping[str, str]] = ("GET", "/", None, {})

    def renew(self) -> None:
        """A new connection next time: a kept one may end just when it is used, and nobody knows then what was heard."""
        self._session.close()

    # ------------------------------------------------------------------ what PyGithub asks of a connection

    def request(self, verb: str, url: str, data: str | None, headers: Mapping[str, str], stream: bool = False) -> None:
        """Remember what is to be sent."""
        self._asked = (verb, url, data, headers)

    def getresponse(self) -> Wire:
        """Send it."""
        verb, url, data, headers = self._asked
        self.answer = self._exchange(verb, f"{self._origin}{url}", data, headers)
        return self

    @property
    def status(self) -> int:
        """The status, but for 202: PyGithub would ask again, for ever."""
        return 200 if self.answer.status == 202 else self.answer.status

    def getheaders(self) -> list[tuple[str, str]]:
        """None: PyGithub would act on them."""
        return []

    def read(self) -> str:
        """Nothing: PyGithub would log it."""
        return ""

    # ----------------------------------------------------------------------------------------- the exchange

    def _exchange(self, verb: str, address: str, data: str | None, headers: Mapping[str, str]) -> Answer:
        import requests
        from urllib3.exceptions import HTTPError

        until = self._monotonic() + self.limit
        try:
            with self._session.request(
                verb, address, headers=dict(headers), data=data, timeout=(CONNECT, self.limit), stream=True, allow_redirects=False
            ) as found:
                body = _read(found, MOST_BYTES, until, self._monotonic)
                named = {name.lower(): str(value) for name, value in found.headers.items()}
                answer = Answer(found.status_code, named, _without(headers, body.decode("utf-8", "replace")))
        except _TooMuch:
            return Answer(0, trouble=f"an answer of more than {MOST_BYTES} bytes")
        except (requests.RequestException, HTTPError, ValueError) as error:
            return Answer(0, trouble=f"no answer ({_name(error)})", unsent=_unsent(error))
        if answer.fine and not _whole(answer, verb):
            return Answer(0, trouble=f"HTTP {answer.status} with an answer that was cut off, or is no JSON")
        return answer


def fetched(place: str, most_bytes: int, monotonic: Callable[[], float] = time.monotonic) -> tuple[bytes | None, str]:
    """The bytes at an address, or None and why there are none this time. No token is sent along.

    Raises Refusal for more than `most_bytes` (exit 11), and for an address in the clear (exit 2).
    """
    import requests
    from urllib3.exceptions import HTTPError

    try:
        with _session() as session:
            for _ in range(HOPS):
                _must_be_private(place)
                with session.get(place, timeout=(CONNECT, TIMEOUT), stream=True, allow_redirects=False) as found:
                    if found.is_redirect:
                        place = urljoin(place, found.headers["location"])
                    elif found.status_code != 200:
                        return None, f"HTTP {found.status_code} for the bytes"
                    else:
                        return _read(found, most_bytes, monotonic() + BYTES_TIMEOUT, monotonic), ""
    except _TooMuch:
        raise Refusal(
            "github.size",
            "an artifact is larger than anything that this release writes",
            exit_code=Exit.EVIDENCE,
            found=f"more than {most_bytes} bytes",
            expected=f"at most {most_bytes}",
            fix="look who uploaded it",
            docs="evidence.md",
        ) from None
    except (requests.RequestException, HTTPError, ValueError) as error:
        return None, f"no bytes ({_name(error)})"
    return None, f"sent on {HOPS} times instead of bytes"


class _TooMuch(Exception):
    """More bytes than anybody wants."""


def _read(found: requests.Response, most_bytes: int, until: float, monotonic: Callable[[], float]) -> bytes:
    """The whole body, as it arrives: waiting for full blocks would let one byte every few seconds hold us for days."""
    import requests

    data = bytearray()
    while chunk := found.raw.read1(1 << 16, decode_content=True):
        data += chunk
        if len(data) > most_bytes:
            raise _TooMuch
        if monotonic() > until:
            raise requests.ReadTimeout("too slow")
    return bytes(data)


def _session() -> requests.Session:
    """Proxies and authorities of the environment count; a .netrc does not, or a password of this host's user would replace the token."""
    import requests

    # What these two log at DEBUG are signed addresses, and answers that hold tokens.
    for name in ("github.Requester", "urllib3.connectionpool"):
        logger = logging.getLogger(name)
        if _without_debug not in logger.filters:
            logger.addFilter(_without_debug)
    session = requests.Session()
    session.auth = _as_it_is
    return session


def _without_debug(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _must_be_private(place: str) -> None:
    parts = urlsplit(place)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise Refusal(
            "github.address",
            "GitHub sent us to an address in the clear",
            exit_code=Exit.USAGE,
            found=f"{parts.scheme or 'no scheme'}://{parts.hostname or ''}",
            expected="https",
            fix="see that GITHUB_API_URL is GitHub's",
        )


def _whole(answer: Answer, verb: str) -> bool:
    """Whether its text is all there. Whoever only asks never gets an empty one."""
    try:
        return answer.document() is not None or verb != "GET"
    except ValueError:
        return False


def _without(headers: Mapping[str, str], text: str) -> str:
    """The text without the token, should anybody on the way repeat what was sent."""
    token = headers.get("Authorization", "").rpartition(" ")[2]
    return text.replace(token, "***") if token else text


def _name(error: Exception) -> str:
    """The kind of trouble. Never its text, which repeats headers and signed addresses."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "its certificate is not trusted here; REQUESTS_CA_BUNDLE names another authority"
    return type(error).__name__


def _unsent(error: Exception) -> bool:
    """Whether no connection came about, so that nothing can have had an effect."""
    import requests
    from urllib3.exceptions import NewConnectionError

    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(error, requests.ConnectTimeout) or isinstance(reason, NewConnectionError)
