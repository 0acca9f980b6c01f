"""One signed request to a webhook, bounded in time and bytes (docs/notify.md)."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from typing import Final

from hyops_ci import __version__
from hyops_ci.address import host_of, is_this_host
from hyops_ci.contracts.digest import canonical
from hyops_ci.contracts.notify import Notification
from hyops_ci.http.client import HttpClient, Limits, Reply, host_ca, proxies_of
from hyops_ci.http.retry import repeat

LIMITS: Final = Limits(seconds=4.0, connect=3.0, max_bytes=64 * 1024)
"""Of one attempt; there are two."""
SHORTEST_SECRET: Final = 16
SIGNATURE: Final = "X-Hub-Signature-256"
"""GitHub's own name for it: what verifies GitHub's webhooks verifies these."""


def signature(body: bytes, secret: str) -> str:
    """Return the value of the signature's header: HMAC-SHA256 of exactly these bytes."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def unfit(url: str, secret: str, *, lab: bool) -> str:
    """Return why nothing is sent to `url`, empty where it may be: https to another host; in class lab also the loopback."""
    if len(secret) < SHORTEST_SECRET:
        return f"no secret of {SHORTEST_SECRET} characters to sign with (notify_secret)"
    return no_receiver(url, lab=lab)


def no_receiver(url: str, *, lab: bool) -> str:
    """Return why `url` is not asked, empty where it may be: https to another host; in class lab also the loopback."""
    if lab:
        return ""
    origin = "/".join(url.split("/")[:3])
    try:
        here = is_this_host(host_of(origin))
    except ValueError:
        return "its address is none"
    if not origin.startswith("https://"):
        return "its address is not https"
    return "its address is this host's" if here else ""


def deliver(
    url: str, secret: str, message: Notification, environ: Mapping[str, str], *, sleep: Callable[[float], None] = time.sleep
) -> str:
    """Send `message`, once more after passing trouble. Return what went wrong, empty where it was taken. Raises nothing."""
    body = canonical(message.document())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"hyops-ci/{__version__}",
        "X-Dr-Dispatch-Moment": message.moment.value,
        "X-Dr-Dispatch-Delivery": f"{message.run_id}-{message.moment.value}",
        SIGNATURE: signature(body, secret),
    }
    http = HttpClient(LIMITS, ca=host_ca(), proxies=proxies_of(environ, url))

    def once() -> Reply:
        return http.send("POST", url, headers=headers, data=body.decode())

    try:
        reply = repeat(once, lambda reply: reply.passing, sleep=sleep, fits=lambda made, _: made < 2)
    finally:
        http.close()
    if 300 <= reply.status < 400:
        return f"redirects (HTTP {reply.status}), which is never followed"
    return "" if reply.ok else reply.outcome
