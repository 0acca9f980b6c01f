"""Tokens: who sees what, who may do what, and how an App proves itself."""

from __future__ import annotations

import time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.github.caller import Caller
from tests.support.github.repositories import Repository
from tests.support.github.server import FakeGitHub


def test_no_token_unknown_and_expired(github_fake: FakeGitHub, recovery: Repository) -> None:
    expired = github_fake.add_token("actions: read", seconds=-1)
    for secret, message in (("", "Requires authentication"), ("ghs_nobody", "Bad credentials"), (expired, "Bad credentials")):
        answer = Caller(github_fake, secret)("GET", "/repos/acme/recovery/environments")
        assert (answer.status_code, answer.json()["message"]) == (401, message)


def test_missing_permission_is_named(github_fake: FakeGitHub, recovery: Repository) -> None:
    run = recovery.add_run()
    call = Caller(github_fake, github_fake.add_token("actions: read"))
    assert call("GET", f"/repos/acme/recovery/actions/runs/{run.id}").status_code == 200
    for method, path, needed in (
        ("POST", f"actions/runs/{run.id}/cancel", "actions=write"),
        ("GET", "actions/runners", "administration=read"),
        ("GET", "contents/README.md", "contents=read"),
        ("POST", "actions/runners/registration-token", "administration=write"),
    ):
        answer = call(method, f"/repos/acme/recovery/{path}")
        assert (answer.status_code, answer.json()["message"]) == (403, "Resource not accessible by integration")
        assert answer.headers["X-Accepted-GitHub-Permissions"] == needed
    assert run.status == "queued"
    person = Caller(github_fake, github_fake.add_token("actions: read", actor="noor"))
    assert person("GET", "/repos/acme/recovery/contents/README.md").json()["message"] == "Resource not accessible by personal access token"


def test_private_repository_out_of_sight_is_not_there(github_fake: FakeGitHub, recovery: Repository) -> None:
    other = github_fake.add_repository("acme/other", private=True)
    public = github_fake.add_repository("acme/public")
    call = Caller(github_fake, github_fake.add_token("contents: write", repositories=[recovery]))
    answers = [call("GET", f"/repos/{found.full_name}") for found in (recovery, other, public)]
    assert [answer.status_code for answer in answers] == [200, 404, 200]
    assert answers[1].json()["message"] == "Not Found"
    assert call("GET", "/repos/acme/nothing").status_code == 404
    assert call("POST", "/repos/acme/public/dispatches", {"event_type": "x"}).status_code == 403


def test_app_proves_itself_and_gets_what_it_was_granted(github_fake: FakeGitHub, recovery: Repository) -> None:
    github_fake.add_repository("acme/other", private=True)
    key = rsa.generate_private_key(65537, 2048)
    stranger = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    app = github_fake.add_app(public, number=77, permissions={"administration": "read", "metadata": "read"})
    installation = app.install(recovery.owner)

    def signed(by: rsa.RSAPrivateKey, seconds: int = 500, issuer: str = "77") -> Caller:
        now = int(time.time())
        return Caller(github_fake, jwt.encode({"iss": issuer, "iat": now - 10, "exp": now + seconds}, by, algorithm="RS256"))

    for forged in (
        signed(stranger),
        signed(key, seconds=-30),
        signed(key, issuer="78"),
        signed(key, seconds=3600),
        Caller(github_fake, ""),
    ):
        assert forged("GET", "/repos/acme/recovery/installation").status_code == 401
    me = signed(key)
    assert me("GET", "/repos/acme/recovery/installation").json()["id"] == installation.id
    tokens = f"/app/installations/{installation.id}/access_tokens"
    assert me("POST", tokens, {"permissions": {"administration": "write"}}).status_code == 422
    assert me("POST", tokens, {"repositories": ["nothing"]}).status_code == 422
    assert me("POST", "/app/installations/1/access_tokens").status_code == 404
    made = me("POST", tokens, {"permissions": {"administration": "read"}, "repositories": ["recovery"]})
    assert made.status_code == 201
    theirs = Caller(github_fake, made.json()["token"])
    assert theirs("GET", "/repos/acme/recovery/actions/runners").status_code == 200
    assert theirs("GET", "/repos/acme/other/actions/runners").status_code == 404
    assert theirs("POST", "/repos/acme/recovery/actions/runners/registration-token").status_code == 403
    assert theirs("GET", "/repos/acme/recovery/installation").status_code == 401
    assert 400 < len(made.json()["token"]) < 700  # such long ones since 2026-04-27
