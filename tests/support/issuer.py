"""Who signs the tokens of GitHub's jobs: the key, what is said of a job, and the issuer's two addresses on the loopback.

with serve_issuer() as issuer:
    token = issuer.mint("dr-dispatch:gcp-ops-runner", environment="dr-check")
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

ISSUER = "https://token.actions.githubusercontent.com"
WORKFLOW_SHA = "3f2a" + "0" * 36
GITHUB_CLAIMS: Mapping[str, str] = {
    "iss": ISSUER,
    "sub": "repo:acme/recovery:environment:dr-prod",
    "repository": "acme/recovery",
    "repository_id": "4242",
    "repository_owner": "acme",
    "repository_owner_id": "77",
    "ref": "refs/heads/main",
    "ref_protected": "true",
    "event_name": "workflow_dispatch",
    "environment": "dr-prod",
    "workflow_ref": "acme/recovery/.github/workflows/dr.yml@refs/heads/main",
    "job_workflow_ref": f"hybridops/dr-dispatch/.github/workflows/dispatch.yml@{WORKFLOW_SHA}",
    "job_workflow_sha": WORKFLOW_SHA,
    "runner_environment": "self-hosted",
    "run_id": "9001",
    "run_attempt": "1",
    "actor": "maria",
    "actor_id": "1001",
}
"""What GitHub says of a job of the caller; a test changes what it needs."""
DISCOVERY = "/.well-known/openid-configuration"
JWKS = "/.well-known/jwks"
TOKENS = "/token"


@dataclass(frozen=True)
class SigningKey:
    """A private key and its name."""

    private: rsa.RSAPrivateKey = field(repr=False)
    kid: str

    def jwk(self, **changes: object) -> dict[str, Any]:
        """The public half as an issuer publishes it."""
        return {**RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True), "kid": self.kid, "use": "sig", "alg": "RS256", **changes}

    def pem(self) -> bytes:
        """The public half as PEM."""
        return self.private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def sign(self, claims: Mapping[str, Any], **header: Any) -> str:
        """A token of exactly these claims."""
        return jwt.encode(dict(claims), self.private, algorithm="RS256", headers={"kid": self.kid, **header})

    def mint(self, audience: str, *, lifetime: int = 300, **claims: str | None) -> str:
        """A token as GitHub would give it for `audience`; claims given as None are left out. Seconds; below 0 it has expired."""
        now = int(time.time()) + min(lifetime, 0) * 2
        times = {"iat": now, "nbf": now - 5, "exp": now + abs(lifetime)}
        merged: dict[str, Any] = {**GITHUB_CLAIMS, "jti": str(uuid.uuid4()), **times, **claims, "aud": audience}
        return self.sign({name: value for name, value in merged.items() if value is not None})


@lru_cache
def signing_key(name: str = "key-1") -> SigningKey:
    """The key of that name: the same one throughout a session, since making one takes a while."""
    return SigningKey(rsa.generate_private_key(65537, 2048), name)


@dataclass
class Issuer:
    """A running issuer: what it publishes, what was asked, and how it fails."""

    key: SigningKey
    url: str = ""
    published: list[dict[str, Any]] = field(default_factory=list)
    described: dict[str, Any] = field(default_factory=dict)
    """What its discovery document says differently."""
    asked: list[str] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    """Statuses to answer with before the next answer; 0 breaks the connection."""
    down: bool = False
    body: bytes | None = None
    """Instead of the keys."""
    claims: dict[str, str | None] = field(default_factory=dict)
    """What the token service says of the job that asks."""
    lifetime: int = 300
    bearer: str = "canary-bearer-of-the-job-31f0"
    audiences: list[str] = field(default_factory=list)
    given: list[str] = field(default_factory=list)
    """The tokens: nothing that is kept may hold one."""
    refusals: list[int] = field(default_factory=list)
    """Statuses that the token service answers with before the next token."""

    @property
    def environment(self) -> dict[str, str]:
        """The two variables that GitHub sets in a job with `id-token: write`."""
        return {"ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}{TOKENS}?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": self.bearer}

    def give(self, path: str, authorization: str) -> tuple[int, bytes]:
        """Status and body of one request for a token."""
        if authorization != f"bearer {self.bearer}":
            return 401, b"{}"
        if self.refusals:
            return self.refusals.pop(0), b"{}"
        audience = parse_qs(urlsplit(path).query)["audience"][0]
        self.audiences.append(audience)
        self.given.append(self.mint(**{"audience": audience, "lifetime": self.lifetime, **self.claims}))  # type: ignore[arg-type]  # claims of several types
        return 200, json.dumps({"value": self.given[-1]}).encode()

    def mint(self, audience: str, *, lifetime: int = 300, **claims: str | None) -> str:
        """A token of this issuer, signed with the newest key."""
        return self.key.mint(audience, lifetime=lifetime, **{"iss": self.url, **claims})

    def rotate(self, name: str) -> None:
        """Sign with another key from now on; the older ones stay published."""
        self.key = signing_key(name)
        self.published.append(self.key.jwk())

    def answer(self, path: str) -> tuple[int, bytes]:
        """Status and body of one request."""
        self.asked.append(path)
        if self.down or self.failures:
            return (self.failures.pop(0) if self.failures else 503), b"{}"
        documents = {DISCOVERY: {"issuer": self.url, "jwks_uri": self.url + JWKS, **self.described}, JWKS: {"keys": self.published}}
        if path not in documents:
            return 404, b"{}"
        return 200, self.body if self.body is not None and path == JWKS else json.dumps(documents[path]).encode()


@contextmanager
def serve_issuer(key: SigningKey | None = None) -> Iterator[Issuer]:
    """An issuer on the loopback; ended on leaving."""
    issuer = Issuer(key or signing_key())
    issuer.published.append(issuer.key.jwk())

    class Handler(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True  # header and body are two writes; the second would wait 40 ms for an acknowledgement

        def do_GET(self) -> None:
            wants_token = self.path.startswith(f"{TOKENS}?")
            status, body = issuer.give(self.path, self.headers.get("Authorization", "")) if wants_token else issuer.answer(self.path)
            if not status:
                self.close_connection = True
                return
            self.send_response(status)
            if status in (301, 302, 307):
                self.send_header("Location", issuer.url + JWKS)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    issuer.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
