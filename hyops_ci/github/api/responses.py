"""What comes back from GitHub, the refusals that it can come to, and how long to wait before asking again."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Final, Never

from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.github.api.endpoints import Endpoint

UNSTATED_WAIT: Final = 60.0
"""Seconds to wait for a limit that does not say how long it lasts (GitHub docs, *Rate limits for the REST API*)."""
_NUMBER: Final = re.compile(r"[0-9]{1,12}")


class Unauthorized(Refusal):
    """401: GitHub does not know the token."""


class Forbidden(Refusal):
    """403: GitHub knows the token, and it may not."""


class NotFound(Refusal):
    """404: not there, or not for this token."""


class Conflict(Refusal):
    """409: the thing is not in a state for this."""


class Rejected(Refusal):
    """422, or another refusal of what was sent."""


@dataclass(frozen=True)
class Response:
    """Status (0: none), headers in lower case, and the text. `trouble` says why there is none, or none that can be read."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = field(default="", repr=False)
    problem: str = ""
    unsent: bool = False
    """The request never left: no connection came about."""

    @property
    def ok(self) -> bool:
        """Whether it is a success."""
        return 200 <= self.status < 300

    @property
    def transient(self) -> bool:
        """Whether the next try may find it different: no answer, or one of GitHub's own failures."""
        return self.status == 0 or self.status >= 500

    @property
    def rate_limited(self) -> bool:
        """Whether a rate limit is what stopped it. GitHub says so with 429, or with 403 and a header or a word."""
        if self.status == 429:
            return True
        spent = self.headers.get("x-ratelimit-remaining") == "0" or "retry-after" in self.headers
        return self.status == 403 and (spent or "rate limit" in self.message.lower())

    @property
    def without_effect(self) -> bool:
        """Whether the call certainly did nothing: it never left, or a limit turned it away at the door."""
        return self.unsent or self.rate_limited

    @property
    def outcome(self) -> str:
        """What came back, in a few words."""
        return self.problem or f"HTTP {self.status}"

    @property
    def message(self) -> str:
        """GitHub's own words."""
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
        """A header that is a number, or None."""
        value = self.headers.get(name, "")
        return int(value) if _NUMBER.fullmatch(value) else None

    @property
    def date(self) -> float | None:
        """When GitHub says it answered, in seconds since 1970 UTC, to the whole second; None where it does not."""
        try:
            return parsedate_to_datetime(self.headers["date"]).timestamp()
        except (KeyError, ValueError, OverflowError):
            return None

    def document(self, missing: Callable[[str], Exception] = KeyError) -> Any:
        """The JSON of it, None where there is none. Raises ValueError for text that is none, NaN and Infinity included.

        `missing` makes what is raised when a field is looked up that is not there.
        """

        def found(pairs: list[tuple[str, Any]]) -> ResponseObject:
            return ResponseObject(pairs, missing)

        try:
            return json.loads(self.text, parse_constant=_no_number, object_pairs_hook=found) if self.text.strip() else None
        except RecursionError:
            raise ValueError("nested without end") from None


class ResponseObject(dict[str, Any]):
    """An object of an answer. What its description promises and it lacks is a fault that names the field, wherever it is looked up."""

    def __init__(self, pairs: Iterable[tuple[str, Any]], missing: Callable[[str], Exception]) -> None:
        super().__init__(pairs)
        self._missing = missing

    def __missing__(self, name: str) -> Never:
        raise self._missing(name)


def _no_number(word: str) -> Never:
    raise ValueError(f"{word} is no JSON")


class Unanswered(Fault):
    """A call that may be made only once got no answer: it may have taken effect. Whoever made it looks."""

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
    """The call in a person's words; `place` is its path as it was asked, quoted."""
    return f"{endpoint.method} {place or endpoint.path}"


def server_time(answer: Response) -> float:
    """When GitHub said it, by its own clock: the time of a reset is GitHub's too, and a host's clock may be wrong."""
    try:
        return parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return time.time()
