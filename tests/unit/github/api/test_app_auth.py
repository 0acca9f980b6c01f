"""An App's installation: its token, renewed in time, and what goes wrong with it; and no token in any log."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.api import endpoints
from hyops_ci.github.api.client import AppKey, Client
from hyops_ci.github.api.responses import NotFound, Unauthorized
from tests.support.github import faults
from tests.support.github.server import FakeGitHub
from tests.unit.github.scripted import TOKEN, Asking, Scripted, Time, failed, said

# ---------------------------------------------------------------------------------------------------------- an App


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def app(key: rsa.RSAPrivateKey, github_fake: FakeGitHub) -> AppKey:
    """An App that is installed on the repository."""
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    repository = github_fake.add_repository("acme/dr")
    made = github_fake.add_app(public, number=31, permissions={"administration": "read", "metadata": "read"})
    made.install(repository.owner, [repository])
    return AppKey("31", key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode())


def apps_client(fake: FakeGitHub, app: AppKey, time: Time, now: Callable[[], float]) -> Client:
    return Client.connect("acme/dr", app=app, api_url=fake.url, sleep=time.sleep, monotonic=time.monotonic, now=now)


def test_an_app_gets_a_token_and_renews_it_before_it_ends(github_fake: FakeGitHub, app: AppKey, time: Time) -> None:
    moment = [github_fake.now().timestamp()]
    client = apps_client(github_fake, app, time, lambda: moment[0])
    client.ask(endpoints.RUNNERS)
    client.ask(endpoints.RUNNERS)
    assert len(github_fake.made("POST /app/installations/{installation_id}/access_tokens")) == 1
    assert client.calls == 4
    moment[0] = github_fake.now().timestamp() + 3600 - 299
    client.ask(endpoints.RUNNERS)
    assert len(github_fake.made("POST /app/installations/{installation_id}/access_tokens")) == 2


def test_an_apps_token_is_as_small_as_asked_for(github_fake: FakeGitHub, app: AppKey, time: Time) -> None:
    small = AppKey(app.app_id, app.private_key, {"metadata": "read"})
    client = apps_client(github_fake, small, time, lambda: github_fake.now().timestamp())
    client.ask(endpoints.REPOSITORY)
    assert failed(client, endpoints.RUNNERS).gate == "github.permission"


def test_an_app_that_is_not_installed_here(github_fake: FakeGitHub, app: AppKey, time: Time) -> None:
    github_fake.apps[31].installations.clear()
    with pytest.raises(NotFound) as caught:
        apps_client(github_fake, app, time, lambda: 0.0)
    assert caught.value.title() == "REFUSED github.app (exit 4): the App is not installed on this repository"


def test_an_app_that_github_does_not_know(github_fake: FakeGitHub, app: AppKey, time: Time) -> None:
    with pytest.raises(Unauthorized) as caught:
        apps_client(github_fake, AppKey("32", app.private_key), time, lambda: 0.0)
    assert caught.value.title() == "REFUSED github.app (exit 2): GitHub does not know this App"
    expected = "compare DR_APP_ID and DR_APP_KEY_FILE, or `registration` of the config, with the App's page; timedatectl shows the clock"
    assert caught.value.fix == expected


@pytest.mark.parametrize("text", ["", "no key", "-----BEGIN RSA PRIVATE KEY-----\ncanary-5c1e\n-----END RSA PRIVATE KEY-----\n"])
def test_a_key_that_signs_nothing(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        Client.connect("acme/dr", app=AppKey("31", text))
    assert (caught.value.gate, caught.value.exit_code) == ("github.app", Exit.USAGE)
    assert "canary" not in "\n".join(caught.value.lines())


def test_an_installation_is_asked_for_again_like_anything_else(github_fake: FakeGitHub, app: AppKey, time: Time) -> None:
    github_fake.inject(faults.answer(502), "GET /repos/{owner}/{repo}/installation")
    github_fake.inject(faults.truncated(), "POST /app/installations/{installation_id}/access_tokens")
    client = apps_client(github_fake, app, time, lambda: github_fake.now().timestamp())
    assert client.ask(endpoints.RUNNERS)["total_count"] == 0
    assert (client.calls, len(time.slept)) == (5, 2)


# -------------------------------------------------------------------------------------------------------- canaries


def test_no_token_in_any_record_refusal_or_repr(
    github_fake: FakeGitHub, app: AppKey, asking: Asking, scripted: Scripted, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    """PyGithub logs whole answers at DEBUG, urllib3 signed addresses; a proxy may repeat what it was sent."""
    caplog.set_level(logging.DEBUG)
    client = apps_client(github_fake, app, time, lambda: github_fake.now().timestamp())
    client.ask(endpoints.RUNNERS)
    texts = [repr(client), repr(app), repr(client.__dict__)]
    mirror = asking(said(422, {"message": f"sent: Authorization: token {TOKEN}", "errors": [TOKEN]}))
    texts += failed(mirror).lines()
    downloading = asking()
    scripted.script = [scripted.sends_to(), said(200, b"zip")]
    downloading.download(endpoints.ARTIFACT, most_bytes=10, artifact_id=5)
    for status in (401, 403, 404, 422, 429, 502):
        error = failed(asking(said(status, {"message": "no"})))
        texts += [*error.lines(), repr(error), json.dumps(error.to_json()), *map(str, (error.__cause__, error.__context__))]
    texts += [record.getMessage() for record in caplog.records] + time.told
    everything = "\n".join(texts)
    canaries = [TOKEN, *github_fake.tokens, app.private_key.splitlines()[3], "signed-canary-77aa"]
    assert [canary for canary in canaries if canary in everything] == []
