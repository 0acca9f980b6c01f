"""Responses of GitHub's API, the refusals they lead to, and how long a rate limit lasts."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final, Never

from hyops_ci.dataclass import dataclass, field
from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.github.api.endpoints import Endpoint
from hyops_ci.parsing.strict_json import parse

UNSTATED_WAIT: Final = 60.0
"""Seconds to wait for a limit that does not say how long it lasts (GitHub docs, *Rate limits for the REST API*)."""
_NUMBER: Final = re.compile(r"[0-9]{1,12}")


class Unauthorized(Refusal):
    """401: the token is not valid."""


class Forbidden(Refusal):
    """403: the token lacks a permission."""


class NotFound(Refusal):
    """404: it does not exist, or the token may not see it."""


class Conflict(Refusal):
    """409: the resource is in another state."""


class Rejected(Refusal):
    """422, or another rejection of the request."""


@dataclass(frozen=True)
class Response:
    """Status (0: no response), headers by names in lower case, and the text. `problem` says why there is none that can be read."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = field(default="", repr=False)
    problem: str = ""
    unsent: bool = False
    """The request was not sent: no connection came about."""
    lasting: bool = False
    """What this host is told of proxies and certificates is wrong: the next attempt ends as this one."""

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def transient(self) -> bool:
        """Whether a retry may succeed: no response, or 5xx."""
        return self.status == 0 or self.status >= 500

    @property
    def rate_limited(self) -> bool:
        """Whether a rate limit stopped it: 429, or 403 with a header or a message that says so."""
        if self.status == 429:
            return True
        spent = self.headers.get("x-ratelimit-remaining") == "0" or "retry-after" in self.headers
        return self.status == 403 and (spent or "rate limit" in self.message.lower())

    @property
    def without_effect(self) -> bool:
        """Whether the call certainly had no effect: it was not sent, or a rate limit stopped it."""
        return self.unsent or self.rate_limited

    @property
    def outcome(self) -> str:
        """The problem or the status, in words."""
        return self.problem or f"HTTP {self.status}"

    @property
    def message(self) -> str:
        """The error message in the body, or empty."""
        try:
            found = self.document()
        except ValueError:
            return ""
        if not isinstance(found, dict):
            return ""
        errors = found.get("errors")
        each = errors if isinstance(errors, list) else [errors] if errors else []
        more = "; ".join(str(one.get("message", one) if isinstance(one, dict) else one) for one in each)
        return " ".join(part for part in (str(found.get("message", "")), more) if part)

    def number(self, name: str) -> int | None:
        """Return a numeric header, or None."""
        value = self.headers.get(name, "")
        return int(value) if _NUMBER.fullmatch(value) else None

    @property
    def date(self) -> float | None:
        """The Date header in seconds since 1970 UTC, or None."""
        try:
            return parsedate_to_datetime(self.headers["date"]).timestamp()
        except (KeyError, ValueError, OverflowError):
            return None

    def document(self, missing: Callable[[str], Exception] = KeyError) -> Any:
        """Return the JSON value of the text, None for an empty one. Raises ValueError for other text, NaN and Infinity included.

        `missing` makes the exception for the lookup of a missing field.
        """

        def found(fields: dict[str, Any]) -> ResponseObject:
            return ResponseObject(fields, missing)

        return parse(self.text, most=len(self.text), make=found) if self.text.strip() else None


class ResponseObject(dict[str, Any]):
    """An object of a response. The lookup of a missing field raises a fault that names it."""

    def __init__(self, fields: Mapping[str, Any], missing: Callable[[str], Exception]) -> None:
        super().__init__(fields)
        self._missing = missing

    def __missing__(self, name: str) -> Never:
        raise self._missing(name)


class Unanswered(Fault):
    """No response to a call that is not repeated: it may have taken effect, and its caller looks."""

    def __init__(self, endpoint: Endpoint, place: str, said: str) -> None:
        super().__init__(
            "github.unanswered",
            "GitHub did not say whether it did what was asked",
            exit_code=Exit.UNAVAILABLE,
            found=f"{call_text(endpoint, place)}: {said}",
            expected="an answer",
            fix="look at the Actions page before asking again",
            docs="github-api.md",
        )


def rate_limit_wait(answer: Response) -> float | None:
    """Return the seconds after which a rate limit lets calls through again, None for an answer that no limit stopped."""
    if not answer.rate_limited:
        return None
    if (after := answer.number("retry-after")) is not None:
        return max(float(after), 1.0)
    reset = answer.number("x-ratelimit-reset")
    if answer.headers.get("x-ratelimit-remaining") == "0" and reset is not None:
        return max(reset - server_time(answer), 1.0)
    return UNSTATED_WAIT


def call_text(endpoint: Endpoint, place: str = "") -> str:
    """Return method and path of a call; `place` is the path as it was sent, quoted."""
    return f"{endpoint.method} {place or endpoint.path}"


def server_time(answer: Response) -> float:
    """Return the time of a response by GitHub's clock, which the time of a reset refers to; this host's clock where it has none."""
    try:
        return parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return time.time()
