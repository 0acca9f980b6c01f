"""Whether the service is really there: probes over TCP, DNS, HTTP and PostgreSQL's protocol (docs/design/contracts.md 2).

HyOps' own word is not proof. A probe must succeed once within its `timeout` and then without a break for its
`hold`; the first failure after a success ends it as not proven, because a service that flaps is not recovered.
"""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import urllib.error
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final

from hyops_ci.contracts.base import seconds, stamp
from hyops_ci.contracts.clock import Clock
from hyops_ci.contracts.config import Probe, ProbeLogin
from hyops_ci.dataclass import dataclass

INTERVAL: Final = 1.0
"""Seconds between two looks."""
LOOK_TIMEOUT: Final = 3.0
"""Seconds that one look may take."""
CLOSING: Final = 60.0
"""Seconds that something which was destroyed may still answer: a name server keeps an address for its time to live."""
SILENCE: Final = 0.1
"""Seconds that a peer has to close a connection on which nobody has spoken."""
_SSL_REQUEST: Final = struct.pack("!ii", 8, 80877103)
"""PostgreSQL, Message Formats: SSLRequest."""
NOTHING_TO_PROVE: Final = "no probe is configured"


class ProbeFailed(Exception):
    """One look that failed; the text says what was seen."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one probe came to; `text` is one line for people."""

    kind: str
    target: str
    proven: bool
    text: str
    looks: int
    """How often it looked."""
    newest: str = ""
    """The time of the newest data, where its login asks for it; empty where nobody asked, or it is not known."""
    newest_why: str = ""
    """Why it is not known, though it was asked."""

    def document(self) -> dict[str, Any]:
        """For `probes.json`."""
        known: dict[str, Any] = {"kind": self.kind, "target": self.target, "proven": self.proven, "text": self.text}
        return known | {name: value for name in ("newest", "newest_why") if (value := getattr(self, name))}


@dataclass(frozen=True, slots=True)
class Verification:
    """All probes together. No probe at all is not proven."""

    results: tuple[ProbeResult, ...]

    @property
    def proven(self) -> bool:
        """Whether there are probes and all of them held."""
        return bool(self.results) and all(result.proven for result in self.results)

    def proofs(self) -> tuple[str, ...]:
        """Lines of what is proven."""
        return tuple(result.text for result in self.results if result.proven)

    def gaps(self) -> tuple[str, ...]:
        """Lines of what is not."""
        return tuple(result.text for result in self.results if not result.proven) or (() if self.results else (NOTHING_TO_PROVE,))


def run_probes(
    probes: Sequence[Probe], clock: Clock, secrets: Mapping[str, str] = MappingProxyType({}), *, interval: float = INTERVAL
) -> Verification:
    """Run all probes side by side; takes as long as the slowest (at most its `timeout` plus its `hold`).

    `secrets` has the password of each login, by the name of its secret.

    An interrupt ends it after the look that is under way: GitHub kills a cancelled step ten seconds later.
    """
    if not probes:
        return Verification(())
    over = threading.Event()
    with ThreadPoolExecutor(max_workers=min(len(probes), 16)) as pool:
        try:
            return Verification(tuple(pool.map(lambda probe: _hold(probe, secrets, clock, interval, over), probes)))
        except BaseException:
            over.set()
            raise


def ask_until_refused(
    probes: Sequence[Probe], clock: Clock, secrets: Mapping[str, str] = MappingProxyType({}), *, interval: float = INTERVAL
) -> tuple[ProbeResult, ...]:
    """Ask each probe until one look of it fails, at most `CLOSING` seconds: of what was destroyed nothing may answer.

    Return one result for each; `proven` says that it still answered then.
    """
    if not probes:
        return ()
    with ThreadPoolExecutor(max_workers=min(len(probes), 16)) as pool:
        return tuple(pool.map(lambda probe: _refused(probe, secrets, clock, interval), probes))


def _refused(probe: Probe, secrets: Mapping[str, str], clock: Clock, interval: float) -> ProbeResult:
    began, looks = clock.monotonic(), 0
    while True:
        looks += 1
        try:
            seen = _look(probe, secrets)
        except ProbeFailed as gone:
            return ProbeResult(probe.kind, probe.target, False, f"{probe.target}: {gone}", looks)
        if clock.monotonic() - began >= CLOSING:
            return ProbeResult(probe.kind, probe.target, True, seen, looks)
        clock.sleep(interval)


def _look(probe: Probe, secrets: Mapping[str, str]) -> str:
    """Look once; return what was seen. Raises ProbeFailed."""
    if probe.kind not in _LOOKS:
        raise ProbeFailed(f"{probe.kind} probes are not run by this release")
    return _LOOKS[probe.kind](probe) if probe.login is None else _look_writable(probe, probe.login, secrets)


def _hold(probe: Probe, secrets: Mapping[str, str], clock: Clock, interval: float, over: threading.Event) -> ProbeResult:
    """Look until the first success, then until the hold is over or a look fails."""
    if probe.kind not in _LOOKS:
        return ProbeResult(probe.kind, probe.target, False, f"{probe.target}: {probe.kind} probes are not run by this release", 0)
    began, held_since, looks = clock.monotonic(), None, 0
    data: dict[str, str] = {}
    while not over.is_set():
        now = clock.monotonic()
        looks += 1
        try:
            seen = _look(probe, secrets)
        except ProbeFailed as gone:
            if held_since is not None:
                text = f"{probe.target}: was there, gone after {now - held_since:.0f} s: {gone}"
                return ProbeResult(probe.kind, probe.target, False, text, looks, **data)
            if now - began >= seconds(probe.timeout):
                text = f"{probe.target}: not there within {seconds(probe.timeout)} s: {gone}"
                return ProbeResult(probe.kind, probe.target, False, text, looks)
        else:
            if held_since is None:
                held_since, data = now, _newest(probe, secrets)
            if now - held_since >= seconds(probe.hold):
                return ProbeResult(probe.kind, probe.target, True, f"{seen}, held {seconds(probe.hold)} s", looks, **data)
        clock.sleep(interval)
    return ProbeResult(probe.kind, probe.target, False, f"{probe.target}: not looked at to the end", looks)


def _newest(probe: Probe, secrets: Mapping[str, str]) -> dict[str, str]:
    """Return how new the data is, or why that is not known; nothing where no login asks for it. It decides nothing about the service."""
    login = probe.login
    if login is None or login.freshness is None:
        return {}
    from hyops_ci.execution.postgres_login import NotServing, newest

    try:
        with _connected(probe) as connection:
            try:
                return {"newest": stamp(newest(connection, _host(probe), login, secrets[login.secret], LOOK_TIMEOUT))}
            except NotServing as error:
                raise ProbeFailed(str(error)) from None
    except ProbeFailed as error:
        return {"newest_why": str(error)}


def _host(probe: Probe) -> str:
    return probe.target.rpartition(":")[0].strip("[]")


@contextmanager
def _connected(probe: Probe) -> Iterator[socket.socket]:
    """Yield a connection to `host:port`. Raises ProbeFailed for whatever goes wrong with it, in the block too."""
    try:
        with socket.create_connection((_host(probe), int(probe.target.rpartition(":")[2])), timeout=LOOK_TIMEOUT) as connection:
            yield connection
    except (OSError, ValueError, OverflowError) as error:
        raise ProbeFailed(_said(error)) from None


def _look_tcp(probe: Probe) -> str:
    """A peer that takes a connection and ends it without a byte is a proxy with nothing behind it; one that waits is there."""
    with _connected(probe) as connection:
        connection.settimeout(SILENCE)
        try:
            if not connection.recv(1):
                raise ProbeFailed("takes connections and closes them at once: nothing is behind it")
        except TimeoutError:
            pass  # it waits for us to speak
    return f"TCP {probe.target} open"


def _look_postgres(probe: Probe) -> str:
    """PostgreSQL answers a request for TLS with one byte, `S` or `N`, before anybody logs in; also while it recovers."""
    with _connected(probe) as connection:
        connection.sendall(_SSL_REQUEST)
        answer = connection.recv(1)
    if answer not in (b"S", b"N"):
        raise ProbeFailed("closes the connection" if not answer else "does not speak PostgreSQL's protocol")
    return f"PostgreSQL answers at {probe.target}"


def _look_writable(probe: Probe, login: ProbeLogin, secrets: Mapping[str, str]) -> str:
    """A PostgreSQL that takes writes: one that recovers, or was set to read only, answers and serves nobody who writes."""
    from hyops_ci.execution.postgres_login import NotServing, writable

    with _connected(probe) as connection:
        try:
            writable(connection, _host(probe), login, secrets[login.secret], LOOK_TIMEOUT)
        except NotServing as error:
            raise ProbeFailed(str(error)) from None
    return f"PostgreSQL takes writes at {probe.target}, says {login.user}'s login"


def _look_dns(probe: Probe) -> str:
    """Every resolver must give an answer, and the expected one where one is expected."""
    for resolver in probe.resolvers or ("",):
        answers = resolve(probe.target, resolver)
        if probe.expect and answers != {probe.expect}:
            raise ProbeFailed(f"{resolver or 'system resolver'} says {', '.join(sorted(answers))}")
    where = f"{len(probe.resolvers)} resolvers" if probe.resolvers else "the system resolver"
    return f"{probe.target} = {probe.expect or 'an address'} on {where}"


def resolve(name: str, resolver: str) -> set[str]:
    """Addresses of a name; `resolver` is an address with an optional port, or empty for the system's."""
    if not resolver:
        try:
            return {str(entry[4][0]) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
        except (OSError, UnicodeError) as error:
            raise ProbeFailed(f"system resolver: {_said(error)}") from None
    import dns.exception
    import dns.message
    import dns.name
    import dns.query
    import dns.rdatatype

    address, _, port = resolver.rpartition(":") if resolver.count(":") == 1 or resolver.startswith("[") else (resolver, "", "53")
    answers: set[str] = set()
    try:
        for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
            query = dns.message.make_query(dns.name.from_text(name), kind)
            reply, _ = dns.query.udp_with_fallback(query, address.strip("[]"), timeout=LOOK_TIMEOUT, port=int(port))
            answers |= {item.to_text() for rrset in reply.answer if rrset.rdtype == kind for item in rrset}
    except (dns.exception.DNSException, OSError, ValueError) as error:
        raise ProbeFailed(f"{resolver}: {_said(error)}") from None
    if not answers:
        raise ProbeFailed(f"{resolver} knows no address")
    return answers


def _look_http(probe: Probe) -> str:
    """A status of 200 to 299, or the one expected; redirects are not followed."""
    url = urllib.parse.urlsplit(probe.target)
    kinds: dict[str, type[http.client.HTTPConnection]] = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    try:
        connection = kinds[url.scheme](url.hostname or "", url.port, timeout=LOOK_TIMEOUT)
        try:
            connection.request("GET", (url.path or "/") + ("?" + url.query if url.query else ""))
            status = connection.getresponse().status
        finally:
            connection.close()
    except (KeyError, ValueError, OSError, http.client.HTTPException) as error:
        raise ProbeFailed(_said(error)) from None
    if (str(status) != probe.expect) if probe.expect else not 200 <= status < 300:
        raise ProbeFailed(f"status {status}")
    return f"{probe.target} answers {status}"


def _said(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


_LOOKS: Final[dict[str, Callable[[Probe], str]]] = {"tcp": _look_tcp, "dns": _look_dns, "http": _look_http, "postgres": _look_postgres}
