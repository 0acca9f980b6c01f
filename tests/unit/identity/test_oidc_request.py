from __future__ import annotations

from collections.abc import Iterator

import pytest

from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.identity.oidc_request import TOKEN, URL, JobIdentity, job_identity
from tests.unit.identity.token_double import TokenDouble, token_server

BEARER = "canary-bearer-of-the-job"


@pytest.fixture
def service() -> Iterator[TokenDouble]:
    with token_server(BEARER) as double:
        yield double


def identity(double: TokenDouble, learned: list[str] | None = None, **changes: str) -> JobIdentity:
    environment = {URL: double.url, TOKEN: BEARER, **changes}
    return job_identity(environment, sleep=double.slept.append, learn=None if learned is None else learned.append)


def test_a_fresh_token_for_each_audience(service: TokenDouble) -> None:
    learned: list[str] = []
    token_for = identity(service, learned)
    assert token_for("https://vault.example.net") == "token for https://vault.example.net"
    assert token_for("dr-dispatch:gcp-ops-runner&x=1") == "token for dr-dispatch:gcp-ops-runner&x=1"
    assert learned == [BEARER, "token for https://vault.example.net", "token for dr-dispatch:gcp-ops-runner&x=1"]


def test_a_netrc_does_not_take_its_place(
    service: TokenDouble, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert identity(service)("a") == "token for a"


def test_passing_trouble_is_waited_out(service: TokenDouble) -> None:
    service.failures = [503, 429]
    assert identity(service)("a") == "token for a"
    assert service.slept == [0.5, 1.5]


def test_lasting_trouble_is_a_fault(service: TokenDouble) -> None:
    service.failures = [503, 500, 502]
    with pytest.raises(Fault) as failed:
        identity(service)("a")
    assert (failed.value.gate, failed.value.exit_code, failed.value.found) == ("secrets.oidc", Exit.UNAVAILABLE, "HTTP 502")
    assert "canary" not in "\n".join(failed.value.lines())


def test_nobody_there_is_a_fault(service: TokenDouble) -> None:
    service.stop()
    with pytest.raises(Fault) as failed:
        identity(service)("a")
    assert failed.value.found == "refused the connection"
    assert failed.value.__context__ is None


@pytest.mark.parametrize("failure", [401, 403, 404, 302])
def test_a_no_is_a_refusal_at_once(service: TokenDouble, failure: int) -> None:
    service.failures = [failure]
    with pytest.raises(Refusal) as refused:
        identity(service)("a")
    assert f"HTTP {failure}" in refused.value.found
    assert service.slept == []
    assert "canary" not in "\n".join(refused.value.lines())


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"value": 7}', b'{"value": ""}', b"\xff"])
def test_an_answer_without_a_token_is_a_refusal(service: TokenDouble, body: bytes) -> None:
    service.body = body
    with pytest.raises(Refusal, match=r"secrets\.oidc"):
        identity(service)("a")


@pytest.mark.parametrize("missing", [URL, TOKEN])
def test_a_job_without_the_permission(missing: str) -> None:
    environment = {URL: "https://token.example/x", TOKEN: BEARER}
    del environment[missing]
    with pytest.raises(Refusal) as refused:
        job_identity(environment)
    assert missing in refused.value.found
    assert "id-token: write" in refused.value.fix


@pytest.mark.parametrize("url", ["http://token.example/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "http://127.0.0.1.example/x"])
def test_the_bearer_goes_over_https_only(url: str) -> None:
    with pytest.raises(Refusal, match=r"secrets\.oidc"):
        job_identity({URL: url, TOKEN: BEARER})


def test_the_proxy_of_the_given_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://of-this-process:1")
    facts = {URL: "https://token.example/x", TOKEN: BEARER}
    assert job_identity(facts).proxies == {}
    assert job_identity(facts | {"HTTPS_PROXY": "http://proxy:3128"}).proxies == {"https": "http://proxy:3128"}
    assert job_identity(facts | {"https_proxy": "http://proxy:3128", "no_proxy": "token.example"}).proxies == {}


def test_it_prints_nothing_of_itself() -> None:
    assert "canary" not in repr(job_identity({URL: "https://token.example/canary", TOKEN: BEARER}))
