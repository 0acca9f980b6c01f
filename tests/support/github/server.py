"""The fake on the loopback: real HTTP, one lock around the state, every exchange checked and recorded."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.support.github import accounts, administration, groups, history, issues, limits, pages, registration, releases, reviews, secrets  # noqa: F401 - importing them registers their routes
from tests.support.github.apps import app_of
from tests.support.github.artifacts import SIGNED, STORAGE, stored
from tests.support.github.description import Operation, match
from tests.support.github.faults import Fault, Schedule, shown
from tests.support.github.routing import APP_KEY, REMOTE_AUTH, ROUTES, Answer, Ask, Refused, Route, rendered, undescribed
from tests.support.github.state import State
from tests.support.github.tokens import Token, admit, token_of
from tests.support.github.validation import Violation, takes_bytes, validate_answer, validate_request

API_VERSIONS = frozenset({"", "2022-11-28", "2026-03-10"})
HOUR = 3600


@dataclass(frozen=True)
class Call:
    """One request as it was answered. `status` 0: the connection ended without an answer."""

    method: str
    path: str
    query: dict[str, str]
    status: int
    operation: str
    """As in the description: `GET /repos/{owner}/{repo}`; empty for what is not there."""
    fault: str = ""


@dataclass
class FakeGitHub(State):
    """The state, and what stands in front of it."""

    calls: list[Call] = field(default_factory=list, repr=False)
    violations: list[str] = field(default_factory=list)
    """What GitHub's description does not allow; the fixture fails the test for it. Clear it where a test provokes one."""
    schedule: Schedule = field(default_factory=Schedule, repr=False)
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _later: list[tuple[float, Callable[[], object]]] = field(default_factory=list, repr=False)

    def inject(self, fault: Fault, on: str = "*", *, times: int | None = 1, after: int = 0) -> None:
        """Let requests of one operation fail, see `Schedule.inject` and the functions of `faults`."""
        self.schedule.inject(fault, on, times=times, after=after)

    def after(self, polls: int, on: str, action: Callable[[], object]) -> None:
        """Let something happen once an operation was asked `polls` times: `fake.after(3, JOBS, lambda: job.take(runner))`."""
        self.schedule.after(polls, on, action)

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Let something happen some seconds from now, seen by the first request after that."""
        self._later.append((time.monotonic() + seconds, action))

    def made(self, operation: str = "") -> list[Call]:
        """The calls of one operation, or all."""
        return [call for call in self.calls if operation in {"", call.operation}]

    def due(self) -> None:
        """Do what is due by the clock."""
        moment = time.monotonic()
        ready = [entry for entry in self._later if entry[0] <= moment]
        self._later = [entry for entry in self._later if entry[0] > moment]
        for _, action in sorted(ready, key=lambda entry: entry[0]):
            action()


@dataclass
class _Exchange:
    """One request and what becomes of it."""

    fake: FakeGitHub
    method: str
    path: str
    query: dict[str, list[str]]
    raw: bytes
    headers: dict[str, str]
    operation: str = ""
    known: Operation | None = None
    route: Route | None = None
    values: dict[str, str] = field(default_factory=dict)
    token: Token | None = None

    def find(self) -> None:
        """Which operation it is."""
        if self.path.startswith(SIGNED):
            self.operation = STORAGE
        elif extra := undescribed(self.method, self.path):
            self.route, self.values = extra
            self.operation = self.route.name
        elif found := match(self.method, self.path):
            self.known, self.values = found
            self.operation = self.known.name
            self.route = ROUTES.get(self.operation)

    def answer(self) -> Answer:
        """What GitHub would say; a request that breaks the description gets a 500 that says so."""
        try:
            return self._checked()
        except Violation as violation:
            self.fake.violations.append(str(violation))
            return Answer(500, {"message": f"violation: {violation}", "documentation_url": "https://docs.github.com/rest"})
        except Refused as refused:
            return refused.answer

    def _checked(self) -> Answer:
        if self.path.startswith(SIGNED):
            return self._stored()
        body = self._body()
        if not self.headers.get("user-agent"):
            raise Refused(403, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.")
        if self.headers.get("x-github-api-version", "") not in API_VERSIONS:
            raise Refused(400, "Unsupported X-GitHub-Api-Version")
        if self.route is None or not self.route.documented:
            validate_request(self.method, self.path, self.query, body)
        if self.route is None:
            raise Violation(f"{self.operation}: the fake has no route for it")
        try:
            answer = self._permitted(self.route, body)
        except Refused as refused:
            answer = refused.answer
        if self.known is not None:
            sent = answer.body if answer.raw is None else answer.raw.decode(errors="replace")
            if answer.raw is None:
                validate_answer(self.known, answer.status, sent)
        return answer

    def _permitted(self, route: Route, body: object) -> Answer:
        header = self.headers.get("authorization", "")
        query = {name: values[0] for name, values in self.query.items()}
        accept = self.headers.get("accept", "")
        if route.needs == APP_KEY:
            app = app_of(self.fake, header)
            nobody = Token("", f"{app.slug}[bot]", {}, None, self.fake.now())
            return route.answer(Ask(self.method, self.path, self.fake, nobody, self.values, query, body, accept, app))
        if route.needs == REMOTE_AUTH:
            agent = Token(header.partition("RemoteAuth ")[2], "", {}, None, self.fake.now())
            return route.answer(Ask(self.method, self.path, self.fake, agent, self.values, query, body, accept))
        self.token = token_of(self.fake, header)
        if route.template != "/rate_limit":
            if self.token.used >= self.token.limit:
                raise Refused(403, f"API rate limit exceeded for {self.token.actor}.")
            self.token.used += 1
        admit(self.fake, self.token, route, self.values)
        return route.answer(Ask(self.method, self.path, self.fake, self.token, self.values, query, body, accept))

    def _stored(self) -> Answer:
        if "authorization" in self.headers:
            raise Violation("a signed address got an Authorization header: the token went to a host that must not have it")
        return stored(self.fake, self.path)

    def _body(self) -> object:
        if not self.raw:
            return None
        if self.known is not None and takes_bytes(self.known):
            return self.raw
        try:
            return json.loads(self.raw)
        except ValueError as problem:
            raise Refused(400, "Problems parsing JSON") from problem

    def rate_headers(self) -> dict[str, str]:
        """On every answer (GitHub docs, *Rate limits for the REST API*)."""
        limit, used = (self.token.limit, self.token.used) if self.token else (60, 0)
        reset = int(self.fake.now().timestamp()) // HOUR * HOUR + HOUR
        told = {"Limit": limit, "Remaining": max(limit - used, 0), "Used": used, "Reset": reset}
        return {f"X-RateLimit-{name}": str(value) for name, value in told.items()} | {"X-RateLimit-Resource": "core"}


@contextlib.contextmanager
def start_github(fake: FakeGitHub | None = None) -> Iterator[FakeGitHub]:
    """The fake on a free port of the loopback, for any number of processes; ended on leaving."""
    served = fake or FakeGitHub()

    class Handler(_Handler):
        github = served

    server = _Server(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class _Server(ThreadingHTTPServer):
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle is no news."""


class _Handler(BaseHTTPRequestHandler):
    github: FakeGitHub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    timeout = 60

    def _serve(self) -> None:
        url, fake = urlsplit(self.path), self.github
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = parse_qs(url.query, keep_blank_values=True)
        method = "GET" if self.command == "HEAD" else self.command
        exchange = _Exchange(fake, method, url.path, query, raw, headers)
        with fake.lock:
            fake.due()
            exchange.find()
            fault = fake.schedule.meet(exchange.operation)
        if fault and fault.kind == "slow":
            time.sleep(fault.seconds)
        with fake.lock:
            answer = self._answer(exchange, fault)
            status = answer.status if answer else 0
            flat = {name: values[0] for name, values in query.items()}
            fake.calls.append(Call(self.command, url.path, flat, status, exchange.operation, shown(fault) if fault else ""))
        if answer is None or (fault and fault.kind == "lost"):
            self._hang_up()
        else:
            self._send(answer, exchange.rate_headers(), cut=bool(fault and fault.kind == "truncated"))

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    @staticmethod
    def _answer(exchange: _Exchange, fault: Fault | None) -> Answer | None:
        if fault and fault.kind == "dropped":
            return None
        if fault and fault.answer:
            return fault.answer
        return exchange.answer()

    def _send(self, answer: Answer, rate: dict[str, str], *, cut: bool) -> None:
        body = rendered(answer)
        self.send_response(answer.status)
        told = {**rate, "X-GitHub-Request-Id": "FA4E:0001", **answer.headers}
        if answer.status != 204:
            told |= {"Content-Type": answer.media if answer.raw is not None else "application/json; charset=utf-8"}
            told |= {"Content-Length": str(len(body))}
        for name, value in told.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.wfile.flush()
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *args: object) -> None:
        pass
