"""GitHub's token service for jobs that act runs: who asks is found out, not believed.

act gives every job the same environment. On GitHub the token says which job asked, because GitHub knows. Here the
service looks up the process at the other end of the connection and reads from it which job it belongs to. Only a
job with `id-token: write` in dispatch.yml gets a token, and its `environment` claim is the one that GitHub would
have made it wait for.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.support.issuer import DISCOVERY, JWKS
from tests.support.openbao import OpenBao

HOSTS = "dr-dispatch:"
"""How the audience of a token for a host begins."""


@dataclass
class JobTokens:
    """The service: what it was asked, and the two variables that lead to it."""

    url: str = ""
    bearer: str = "bearer-of-the-jobs-7f1c44aa0b"
    asked: list[tuple[str, str]] = field(default_factory=list)
    """(job, audience) of each token given."""
    given: list[str] = field(default_factory=list)
    """The tokens: nothing that is kept may hold one."""
    refused: list[str] = field(default_factory=list)
    """Jobs that asked without `id-token: write`."""
    claims: dict[str, dict[str, str]] = field(default_factory=dict)
    """Run -> its claims that are not the usual ones."""
    environments: dict[str, dict[str, str]] = field(default_factory=dict)
    """Run -> job -> the environment that holds it, as far as the run's plan named one."""
    allowed: set[str] = field(default_factory=set)
    """Jobs with `id-token: write`."""
    issuer: str = ""
    """Who signs the tokens for hosts: the service itself, which publishes the key. For the authority GitHub does."""

    @property
    def environment(self) -> dict[str, str]:
        """What GitHub sets in a job."""
        return {"ACTIONS_ID_TOKEN_REQUEST_URL": self.url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": self.bearer}


@contextmanager
def serve_job_tokens(bao: OpenBao, workflows: Iterable[Path], environments: dict[str, str]) -> Iterator[JobTokens]:
    """Serve tokens that `bao` trusts to the jobs of `workflows`; `environments` maps job to the environment that holds it at first."""
    jobs = [job for workflow in workflows for job in yaml.safe_load(workflow.read_text())["jobs"].items()]
    service = JobTokens(allowed={name for name, job in jobs if job.get("permissions", {}).get("id-token") == "write"})

    class Handler(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True  # header and body are two writes; the second would wait 40 ms for an acknowledgement

        def do_GET(self) -> None:
            published: dict[str, dict[str, Any]] = {
                DISCOVERY: {"issuer": service.issuer, "jwks_uri": service.issuer + JWKS},
                JWKS: {"keys": [bao.key.jwk()]},
            }
            if self.path in published:
                self.answer(200, published[self.path])
                return
            job = job_at(self.client_address[1], server.server_port)
            held_by = environments | service.environments.get(job.run, {})
            audience = parse_qs(urlsplit(self.path).query).get("audience", [""])[0]
            status, value = 200, ""
            if self.headers.get("Authorization") != f"bearer {service.bearer}":
                status = 401
            elif job.name not in service.allowed:
                service.refused.append(job.name)
                status = 403
            else:
                claims: dict[str, Any] = {"environment": held_by[job.name], **service.claims.get(job.run, {})}
                claims["sub"] = f"repo:acme/recovery:environment:{claims['environment']}"
                claims |= {"iss": service.issuer} if audience.startswith(HOSTS) else {}
                value = bao.mint_job_token(audience=audience, **claims)
                service.asked.append((job.name, audience))
                service.given.append(value)
            self.answer(status, {"value": value} if status == 200 else {})

        def answer(self, status: int, value: dict[str, Any]) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    service.issuer = f"http://127.0.0.1:{server.server_address[1]}"
    service.url = f"{service.issuer}/token?api-version=2.0"
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@dataclass(frozen=True)
class AskingJob:
    """Which job of which run a process belongs to; empty where it belongs to none."""

    name: str = ""
    run: str = ""


def job_at(client: int, server: int) -> AskingJob:
    """The job of the process that holds the client end of a loopback connection.

    It is looked for more than once: what is read of /proc is no picture of one moment, and what ends meanwhile may hide others.
    """
    for _ in range(5):
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if (int(fields[1].split(":")[1], 16), int(fields[2].split(":")[1], 16)) == (client, server):
                if holder := _holder(f"socket:[{fields[9]}]"):
                    return _job_of(holder)
                break
        time.sleep(0.05)
    return AskingJob()


def _holder(link: str) -> str:
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):
                if any(_leads(entry, link) for entry in (process / "fd").iterdir()):
                    return process.name
    return ""


def _leads(entry: Path, link: str) -> bool:
    try:
        return str(entry.readlink()) == link
    except OSError:  # closed meanwhile, which says nothing of the next one
        return False


def _job_of(process: str) -> AskingJob:
    if not process:
        return AskingJob()
    entries = dict(entry.split(b"=", 1) for entry in Path("/proc", process, "environ").read_bytes().split(b"\0") if b"=" in entry)
    return AskingJob(entries.get(b"GITHUB_JOB", b"").decode(), entries.get(b"GITHUB_RUN_ID", b"").decode())
