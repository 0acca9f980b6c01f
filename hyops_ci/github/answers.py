"""What an answer of GitHub means: fine, to be asked again, or refused, and then what is missing.

401, 403 and 404 look alike to whoever wrote the workflow; peers report all three as "not found" (github-actions, A).
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.github.endpoints import Endpoint

WAITS: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds before each further try; the last one repeats."""
WITHOUT_GITHUB: Final = (
    "with GitHub down, on the runner: hyops-ci run --action failover --service <name>/<env> --reason ... --repository <checkout>"
)
_TRANSIENT: Final = frozenset({0, 500, 502, 503, 504})


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
class Answer:
    """Status (0: none), headers in lower case, and the text."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def fine(self) -> bool:
        """Whether it is a success."""
        return 200 <= self.status < 300

    @property
    def readable(self) -> bool:
        """Whether its text is whole."""
        try:
            self.document()
        except ValueError:
            return False
        return True

    @property
    def limited(self) -> bool:
        """Whether a rate limit is what stopped it. GitHub says so with 429, or with 403 and a header or a word."""
        if self.status == 429:
            return True
        spent = self.headers.get("x-ratelimit-remaining") == "0" or "retry-after" in self.headers
        return self.status == 403 and (spent or "rate limit" in self.message.lower())

    @property
    def refused_unread(self) -> bool:
        """Whether the call certainly had no effect: a limit turned it away at the door."""
        return self.limited

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
        more = "; ".join(str(each.get("message", each) if isinstance(each, dict) else each) for each in errors) if errors else ""
        return " ".join(part for part in (str(found.get("message", "")), more) if part)

    def document(self) -> Any:
        """The JSON of it, None where there is none. Raises ValueError."""
        return json.loads(self.text) if self.text.strip() else None


class Unanswered(Fault):
    """A call that may be made only once got no answer: it may have taken effect. Whoever made it looks."""

    def __init__(self, endpoint: Endpoint, repository: str, said: str) -> None:
        super().__init__(
            "github.unanswered",
            "GitHub did not say whether it did what was asked",
            exit_code=Exit.UNAVAILABLE,
            found=f"{_asked(endpoint, repository)}: {said}",
            expected="an answer",
            fix="look at the Actions page before asking again",
        )


def pause(answer: Answer, tried: int) -> float | None:
    """Seconds until it is worth trying again, None for an answer that will not change."""
    if answer.limited:
        after = answer.headers.get("retry-after", "")
        if after.isdigit():
            return max(float(after), 1.0)
        reset = answer.headers.get("x-ratelimit-reset", "")
        if answer.headers.get("x-ratelimit-remaining") == "0" and reset.isdigit():
            return max(float(reset) - time.time(), 1.0)
        return max(60.0, WAITS[min(tried, len(WAITS) - 1)])  # GitHub docs: without a header, wait for at least a minute
    if answer.status in _TRANSIENT:
        return WAITS[min(tried, len(WAITS) - 1)]
    return None


def explain(endpoint: Endpoint, answer: Answer, repository: str, said: str, wait: float | None = None) -> Refusal | Fault:
    """The refusal or fault that an answer comes to."""
    asked = _asked(endpoint, repository)
    if answer.status in _TRANSIENT or answer.limited:
        limit = f"; its limit asks for {wait:.0f} s of patience" if answer.limited and wait is not None else ""
        return Fault(
            "github.unreachable",
            "GitHub does not answer",
            exit_code=Exit.UNAVAILABLE,
            found=f"{asked}: {said}{limit}",
            expected="an answer within 2 minutes",
            fix=f"see githubstatus.com, then a new run; {WITHOUT_GITHUB}",
            docs="never.md",
        )
    kind, gate, code, reason, expected, fix = _MEANINGS.get(answer.status, _OTHER)
    accepted = answer.headers.get("x-accepted-github-permissions", "").replace("=", ": ")
    permission = accepted or endpoint.permission
    return kind(
        gate,
        reason,
        exit_code=code,
        found=f"{asked}: HTTP {answer.status}{f', {answer.message}' if answer.message else ''}",
        expected=expected.format(permission=permission),
        fix=fix.format(permission=permission),
        docs="github-api.md",
    )


_Meaning = tuple[type[Refusal], str, Exit, str, str, str]
_MEANINGS: Final[dict[int, _Meaning]] = {
    401: (
        Unauthorized,
        "github.token",
        Exit.USAGE,
        "GitHub does not know this token",
        "a token that is valid now, with {permission}",
        "make a new token; a job's own token ends with the job",
    ),
    403: (
        Forbidden,
        "github.permission",
        Exit.POLICY,
        "this token may not do that",
        "a token with {permission}",
        "grant `{permission}` to the calling job; administration and organization permissions need a GitHub App's token",
    ),
    404: (
        NotFound,
        "github.missing",
        Exit.POLICY,
        "GitHub shows no such thing to this token",
        "that it exists, and a token that sees it: {permission}",
        "check the name; GitHub says the same for what a token without `{permission}` may not see",
    ),
    409: (Conflict, "github.conflict", Exit.CONFLICT, "GitHub cannot do that now", "another state of the thing", "look at it on GitHub"),
}
_OTHER: Final[_Meaning] = (
    Rejected,
    "github.rejected",
    Exit.USAGE,
    "GitHub refused what was sent",
    "what GitHub's message says",
    "correct it; the message is GitHub's own",
)


def _asked(endpoint: Endpoint, repository: str) -> str:
    return f"{endpoint.method} {endpoint.path.replace('{repo}', repository)}"
