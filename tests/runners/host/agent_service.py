"""What GitHub's agent talks to: registrations by a token of the fake GitHub, jobs for who carries their label, an end for each."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.github.repositories import Repository
from tests.support.github.runners import Runner
from tests.support.github.server import FakeGitHub

POLL = 0.3
"""Seconds that an agent waits for a message."""


@dataclass
class AgentService:
    """GitHub's other side. Its runners are those of the fake's repository."""

    github: FakeGitHub
    repository: Repository
    url: str = ""
    """What an agent is registered under: `<origin>/<owner>/<repo>`."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    """Registrations, as they came."""
    secrets: dict[int, str] = field(default_factory=dict)
    seen: dict[int, float] = field(default_factory=dict)
    queue: list[dict[str, Any]] = field(default_factory=list)
    ends: dict[int, dict[str, Any]] = field(default_factory=dict)
    spent: set[str] = field(default_factory=set)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def register(self, body: dict[str, Any]) -> dict[str, Any]:
        """A token registers until its hour is over; another runner of the name is replaced only when asked."""
        self.asked.append(body)
        if body.get("token") not in self.github.runner_tokens:
            return {"error": "NotFound"}
        for other in [each for each in self.repository.runners if each.name == body["name"]]:
            if not body.get("replace"):
                return {"error": "Conflict"}
            self.repository.runners.remove(other)
        runner = self.repository.add_runner(body["name"], body["labels"].split(","), status="offline")
        return self._admit(runner)

    def _admit(self, runner: Runner) -> dict[str, Any]:
        self.secrets[runner.id] = secrets.token_hex(16)
        agent = {"agentId": runner.id, "agentName": runner.name, "serverUrl": self.url.rsplit("/", 2)[0], "gitHubUrl": self.url}
        return {"agent": agent, "secret": self.secrets[runner.id]}

    def message(self, body: dict[str, Any]) -> dict[str, Any]:
        """A job for this runner, if one comes within a moment. Whoever asks is online."""
        runner = self._runner(body)
        if runner is None:
            return {}
        runner.status, runner.version = "online", body["version"]
        with self.changed:
            self.seen[runner.id] = time.monotonic()
            self.changed.notify_all()
            self.changed.wait_for(lambda: self._next(runner), POLL)
            job = self._next(runner)
            if job is not None:
                self.queue.remove(job)
                runner.busy = True
                return {"job": job}
        return {}

    def ended(self, body: dict[str, Any]) -> dict[str, Any]:
        runner = self._runner(body)
        if runner is not None:
            runner.busy = False
            with self.changed:
                self.ends[body["job"]] = body
                self.changed.notify_all()
        return {}

    def online(self, name: str, within: float = 180.0) -> Runner:
        """Wait until the runner of this name asked for a job after now."""
        began = time.monotonic()

        def found() -> Runner | None:
            return next((r for r in self.repository.runners if r.name == name and self.seen.get(r.id, 0) > began), None)

        with self.changed:
            assert self.changed.wait_for(lambda: found() is not None, within), f"{name} is not online after {within} s"
        runner = found()
        assert runner is not None
        return runner

    def run(self, job: dict[str, Any], label: str, within: float = 300.0) -> dict[str, Any]:
        """Give a job, (variables, steps), to whoever carries the label, and return how it ended."""
        number = self.github.next_id()
        with self.changed:
            self.queue.append({"id": number, "label": label, **job})
            self.changed.notify_all()
            assert self.changed.wait_for(lambda: number in self.ends, within), f"nobody ended the job in {within} s"
        return self.ends[number]

    def _next(self, runner: Runner) -> dict[str, Any] | None:
        return next((job for job in self.queue if job["label"] in runner.labels), None)

    def _runner(self, body: dict[str, Any]) -> Runner | None:
        known = self.secrets.get(body["id"]) == body["secret"]
        return next((each for each in self.repository.runners if known and each.id == body["id"]), None)


@contextmanager
def agent_service(github: FakeGitHub, repository: Repository, address: str) -> Iterator[AgentService]:
    """Serve at an address that the machine reaches."""
    service = AgentService(github, repository)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = getattr(service, self.path.rsplit("/", 1)[-1])(body)
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Nothing on stderr."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """An agent that was killed."""

    server = Server((address, 0), Handler)
    service.url = f"http://{address}:{server.server_address[1]}/{repository.full_name}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
