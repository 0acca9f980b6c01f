"""One request to GitHub's API, and the bytes that it redirects to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urljoin, urlsplit

from hyops_ci.address import is_protected
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.api.responses import Response
from hyops_ci.http.client import HttpClient, Limits, Reply

LIMITS: Final = Limits(seconds=20.0, connect=10.0, max_bytes=16 << 20)
"""Of one attempt. A page of 100 runs is about 1 MB."""
DOWNLOAD_SECONDS: Final = 60.0
"""Seconds that the bytes of one artifact may take."""
HOPS: Final = 3


def request(http: HttpClient, method: str, url: str, headers: Mapping[str, str], data: str | None, seconds: float) -> Response:
    """Send one request and return the response, without the token that was sent, in case a proxy repeats it."""
    reply = http.send(method, url, headers=headers, data=data, seconds=seconds)
    if not reply.status:
        return Response(0, problem=_trouble(reply), unsent=reply.unsent, lasting=reply.misled)
    token = headers["Authorization"].rpartition(" ")[2]
    answer = Response(reply.status, reply.headers, reply.body.decode("utf-8", "replace").replace(token, "***"))
    if answer.ok and not _complete(answer, method):
        return Response(0, problem=f"HTTP {answer.status} with an answer that was cut off, or is not JSON")
    return answer


def fetch(http: HttpClient, url: str) -> tuple[bytes | None, str]:
    """Return the bytes at an address, or None and the problem. No token is sent.

    Raises Refusal for more bytes than the limit of `http` (exit 11), and for an address in the clear (exit 2).
    """
    for _ in range(HOPS):
        try:
            _require_protected(url)
            reply = http.send("GET", url)
            redirected = reply.status in {301, 302, 303, 307, 308} and "location" in reply.headers
            url = urljoin(url, reply.headers["location"]) if redirected else url
        except ValueError:
            return None, "no bytes: not an address"
        if redirected:
            continue
        if reply.status == 200:
            return reply.body, ""
        if reply.error == "TooLargeError":
            raise _too_large(http.limits.max_bytes)
        return None, f"HTTP {reply.status} for the bytes" if reply.status else f"no bytes ({reply.error})"
    return None, f"sent on {HOPS} times instead of bytes"


def _complete(answer: Response, method: str) -> bool:
    """Return whether the text is complete JSON. A GET never gets an empty one."""
    try:
        return answer.document() is not None or method != "GET"
    except ValueError:
        return False


def _trouble(reply: Reply) -> str:
    if reply.error == "TooLargeError":
        return f"an answer of {reply.problem}"
    if reply.misled:
        return f"no answer ({reply.problem})"
    certificate = "its certificate is not trusted here; REQUESTS_CA_BUNDLE names another authority"
    return f"no answer ({certificate if reply.problem.startswith('TLS: ') and 'no secure' not in reply.problem else reply.error})"


def _require_protected(url: str) -> None:
    if not is_protected(url):
        parts = urlsplit(url)
        raise Refusal(
            "github.address",
            "GitHub redirects to an address in the clear",
            exit_code=Exit.USAGE,
            found=f"{parts.scheme or 'no scheme'}://{parts.hostname or ''}",
            expected="https",
            fix="see that GITHUB_API_URL is GitHub's",
        )


def _too_large(most: int) -> Refusal:
    return Refusal(
        "github.size",
        "an artifact is larger than anything that this release writes",
        exit_code=Exit.EVIDENCE,
        found=f"more than {most} bytes",
        expected=f"at most {most}",
        fix="find out who uploaded it",
        docs="evidence.md",
    )
