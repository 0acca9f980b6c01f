"""One ping to an outside watcher, which raises the alarm when none comes (docs/notify.md).

Its address says who may ping, and is a secret: it is never in a config, a log or a problem that is returned. The config says at which
server it is, so that a secret that was mixed up is sent nowhere else.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Final

from hyops_ci import __version__
from hyops_ci.http.client import HttpClient, Reply, host_ca, proxies_of
from hyops_ci.http.retry import repeat
from hyops_ci.notify.webhook import LIMITS, no_receiver

LONGEST: Final = 500
"""Characters of an address."""
_REST: Final = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]+")


def ping(url: str, origin: str, environ: Mapping[str, str], *, lab: bool, sleep: Callable[[float], None] = time.sleep) -> str:
    """Ask for `url`, which must be at `origin`, once more after passing trouble. Return what went wrong, empty where it was taken.

    Raises nothing. `lab`: also the loopback, and in clear.
    """
    if not url:
        return "no address to ping (heartbeat_url)"
    if not (url.startswith(origin) and len(url) <= LONGEST and _REST.fullmatch(url[len(origin) :])):
        return f"its address (heartbeat_url) is none at {origin}"
    if wrong := no_receiver(url, lab=lab):
        return wrong
    http = HttpClient(LIMITS, ca=host_ca(), proxies=proxies_of(environ, url))

    def once() -> Reply:
        return http.send("GET", url, headers={"User-Agent": f"hyops-ci/{__version__}"})

    try:
        reply = repeat(once, lambda reply: reply.passing, sleep=sleep, fits=lambda made, _: made < 2)
    finally:
        http.close()
    if 300 <= reply.status < 400:
        return f"redirects (HTTP {reply.status}), which is never followed"
    return "" if reply.ok else reply.outcome
