"""The token service knows its askers: each job gets its own claims, and a job without `id-token: write` gets none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import jwt
import pytest

from hyops_ci.identity.issuer_keys import IssuerKeys
from tests.act.identity import JobTokens, serve_job_tokens
from tests.act.site import DISPATCH, ENVIRONMENTS
from tests.support.issuer import ISSUER
from tests.support.openbao import OpenBao

pytestmark = pytest.mark.bao
ASK = """
import json, os, sys, urllib.error, urllib.request
address = os.environ["URL"] + "&audience=" + sys.argv[2]
request = urllib.request.Request(address, headers={"Authorization": "bearer " + sys.argv[1]})
try:
    print(json.load(urllib.request.urlopen(request))["value"])
except urllib.error.HTTPError as error:
    print(error.code)
"""


@pytest.fixture
def tokens(bao: OpenBao) -> Iterator[JobTokens]:
    with serve_job_tokens(bao, [DISPATCH], ENVIRONMENTS) as service:
        yield service


def ask(tokens: JobTokens, job: str, bearer: str = "", audience: str = "https://vault.example.net") -> str:
    """What a process of that job is answered."""
    environment = {"GITHUB_JOB": job, "URL": tokens.url, "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-I", "-c", ASK, bearer or tokens.bearer, audience]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(("job", "environment"), [("check", "dr-check"), ("execute", "dr-lab")])
def test_a_job_gets_the_claims_of_its_own_environment(tokens: JobTokens, job: str, environment: str) -> None:
    claims = jwt.decode(ask(tokens, job), options={"verify_signature": False})
    assert (claims["environment"], claims["aud"]) == (environment, "https://vault.example.net")
    assert claims["sub"] == f"repo:acme/recovery:environment:{environment}"
    assert tokens.asked == [(job, "https://vault.example.net")]


def test_a_token_for_a_host_is_of_the_issuer_whose_keys_the_host_can_have(tokens: JobTokens, tmp_path: Path) -> None:
    given = [ask(tokens, "check", audience=audience) for audience in ("dr-dispatch:gcp-ops-runner", "https://vault.example.net")]
    for_host, for_vault = (jwt.decode(token, options={"verify_signature": False}) for token in given)
    assert (for_host["iss"], for_vault["iss"]) == (tokens.issuer, ISSUER)
    key = IssuerKeys(tokens.issuer, tmp_path, datetime.now(UTC))("key-1")
    assert key is not None
    for token in given:
        assert jwt.decode(token, key, algorithms=["RS256"], options={"verify_aud": False})["jti"]


@pytest.mark.parametrize("job", ["plan", "conclude", "another", ""])
def test_a_job_without_the_permission_gets_none(tokens: JobTokens, job: str) -> None:
    assert ask(tokens, job) == "403"
    assert tokens.refused == [job]


def test_a_wrong_bearer_gets_none(tokens: JobTokens) -> None:
    assert ask(tokens, "execute", "another") == "401"
