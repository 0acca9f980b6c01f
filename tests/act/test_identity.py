"""The token service knows its askers: each job gets its own claims, and a job without `id-token: write` gets none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import jwt
import pytest

from tests.act.identity import JobTokens, serve_job_tokens
from tests.act.site import DISPATCH, ENVIRONMENTS
from tests.support.openbao import OpenBao

pytestmark = pytest.mark.bao
ASK = """
import json, os, sys, urllib.error, urllib.request
address = os.environ["URL"] + "&audience=https://vault.example.net"
request = urllib.request.Request(address, headers={"Authorization": "bearer " + sys.argv[1]})
try:
    print(json.load(urllib.request.urlopen(request))["value"])
except urllib.error.HTTPError as error:
    print(error.code)
"""


@pytest.fixture
def tokens(bao: OpenBao) -> Iterator[JobTokens]:
    with serve_job_tokens(bao, DISPATCH, ENVIRONMENTS) as service:
        yield service


def ask(tokens: JobTokens, job: str, bearer: str = "") -> str:
    """What a process of that job is answered."""
    environment = {"GITHUB_JOB": job, "URL": tokens.url, "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-I", "-c", ASK, bearer or tokens.bearer]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(("job", "environment"), [("check", "dr-check"), ("execute", "dr-lab")])
def test_a_job_gets_the_claims_of_its_own_environment(tokens: JobTokens, job: str, environment: str) -> None:
    claims = jwt.decode(ask(tokens, job), options={"verify_signature": False})
    assert (claims["environment"], claims["aud"]) == (environment, "https://vault.example.net")
    assert claims["sub"] == f"repo:acme/recovery:environment:{environment}"
    assert tokens.asked == [(job, "https://vault.example.net")]


@pytest.mark.parametrize("job", ["plan", "conclude", "another", ""])
def test_a_job_without_the_permission_gets_none(tokens: JobTokens, job: str) -> None:
    assert ask(tokens, job) == "403"
    assert tokens.refused == [job]


def test_a_wrong_bearer_gets_none(tokens: JobTokens) -> None:
    assert ask(tokens, "execute", "another") == "401"
