"""What can go wrong between a client and GitHub, told per operation and count."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from tests.support.github.routing import DOCS, Answer

Kind = Literal["answer", "dropped", "lost", "truncated", "slow"]

UNICORN = (
    b"<!DOCTYPE html><html><head><title>Unicorn! &middot; GitHub</title></head><body>This page is taking too long to load.</body></html>"
)
MESSAGES: Mapping[int, str] = {
    401: "Bad credentials",
    403: "Resource not accessible by integration",
    404: "Not Found",
    409: "Conflict",
    422: "Validation Failed",
    429: "Too Many Requests",
    500: "Server Error",
}


@dataclass(frozen=True)
class Fault:
    """One way to go wrong. `answer` takes the place of the real one, which then has no effect."""

    kind: Kind
    answer: Answer | None = None
    seconds: float = 0


def answer(status: int, message: str = "", *, headers: Mapping[str, str] | None = None) -> Fault:
    """This status instead of the answer. 502 and 503 are pages for people, as GitHub's are."""
    if status in {502, 503, 504}:
        return Fault("answer", Answer(status, raw=UNICORN, media="text/html; charset=utf-8", headers=headers or {}))
    body = {"message": message or MESSAGES[status], "documentation_url": DOCS, "status": str(status)}
    return Fault("answer", Answer(status, body, headers or {}))


def secondary(retry_after: int | None = 60, *, status: Literal[403, 429] = 403) -> Fault:
    """The secondary rate limit; `retry_after` in seconds, None for the header left out."""
    told = {"Retry-After": str(retry_after)} if retry_after is not None else {}
    return answer(status, "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.", headers=told)


def primary(resets_at: int, *, status: Literal[403, 429] = 403) -> Fault:
    """The hour's calls are used up until `resets_at` (seconds since 1970)."""
    told = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(resets_at)}
    return answer(status, "API rate limit exceeded for installation ID 1.", headers=told)


def slow(seconds: float) -> Fault:
    """The answer is right, and late."""
    return Fault("slow", seconds=seconds)


def dropped() -> Fault:
    """The connection ends before anything was done."""
    return Fault("dropped")


def lost() -> Fault:
    """It was done, and the connection ends before the answer."""
    return Fault("lost")


def truncated() -> Fault:
    """It was done, and half of the answer arrives."""
    return Fault("truncated")


@dataclass
class _Planned:
    on: str
    wait: int
    left: int | None
    fault: Fault | None = None
    action: Callable[[], object] | None = None


@dataclass
class Schedule:
    """What is to happen at which request. An operation is `GET /repos/{owner}/{repo}`, `GET *`, or `*`."""

    planned: list[_Planned] = field(default_factory=list)

    def inject(self, fault: Fault, on: str = "*", *, times: int | None = 1, after: int = 0) -> None:
        """`fault` at the next `times` requests (None: for ever) of the operation, once `after` of them went well."""
        self.planned.append(_Planned(on, after, times, fault=fault))

    def after(self, polls: int, on: str, action: Callable[[], object]) -> None:
        """Once the operation was asked `polls` times do something, so that the next one sees it."""
        self.planned.append(_Planned(on, polls, 1, action=action))

    def meet(self, operation: str) -> Fault | None:
        """Count a request; run the actions that are due; give the fault it meets. One fault a request."""
        met: Fault | None = None
        for plan in list(self.planned):
            if not _matches(plan.on, operation) or (plan.fault and met):
                continue
            if plan.wait:
                plan.wait -= 1
                continue
            if plan.left is not None:
                plan.left -= 1
                if not plan.left:
                    self.planned.remove(plan)
            if plan.action:
                plan.action()
            met = met or plan.fault
        return met


def _matches(wanted: str, operation: str) -> bool:
    return wanted in {"*", operation} or (wanted.endswith(" *") and operation.startswith(wanted[:-1]))


def shown(fault: Fault) -> str:
    """For a log."""
    status = fault.answer.status if fault.answer else ""
    return f"{fault.kind} {status}".strip() + (f" {json.dumps(fault.seconds)} s" if fault.seconds else "")
