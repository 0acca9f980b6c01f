"""Where a command finds GitHub, and which token goes where."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from hyops_ci.cli.connect import TOKENS, Place, connect, connect_for_runners, home_folder, ledger_at, run_at, server_url, state_dir
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.api import endpoints
from hyops_ci.github.api.client import AppKey, Client
from hyops_ci.ledger.ledger import Ledger
from tests.support.github.fixture import github_fake
from tests.support.github.server import FakeGitHub

__all__ = ["github_fake"]

NAMES = (*TOKENS, "DR_RUNNER_TOKEN", "DR_APP_ID", "DR_APP_KEY_FILE", "GH_REPO")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """With what the client was connected."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(Client, "connect", lambda repository, **given: found.append({"repository": repository, **given}))
    return found


# ---------------------------------------------------------------------------------------------------- which token


@pytest.mark.parametrize(
    ("environ", "token"),
    [
        ({"DR_TOKEN": "a", "GH_TOKEN": "b", "GITHUB_TOKEN": "c"}, "a"),
        ({"GH_TOKEN": "b", "GITHUB_TOKEN": "c"}, "b"),
        ({"GITHUB_TOKEN": "c"}, "c"),
        ({"DR_TOKEN": "", "GH_TOKEN": " ", "GITHUB_TOKEN": "c\n"}, "c"),
        ({}, ""),
    ],
)
def test_the_first_token_that_is_set(
    environ: dict[str, str], token: str, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    connect("acme/dr")
    assert (asked[0]["repository"], asked[0]["token"], asked[0]["api_url"]) == ("acme/dr", token, "https://api.github.com")


@pytest.mark.parametrize(
    ("given", "environ", "repository"),
    [
        ("acme/given", {"GITHUB_REPOSITORY": "acme/job", "GH_REPO": "acme/gh"}, "acme/given"),
        ("", {"GITHUB_REPOSITORY": "acme/job", "GH_REPO": "acme/gh"}, "acme/job"),
        ("", {"GH_REPO": "acme/gh"}, "acme/gh"),
        ("", {}, ""),
    ],
)
def test_which_repository(
    given: str, environ: dict[str, str], repository: str, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**environ, "DR_RUNNER_TOKEN": "x"}.items():
        monkeypatch.setenv(name, value)
    connect(given)
    connect_for_runners(given)
    assert [each["repository"] for each in asked] == [repository, repository]


def test_without_a_token_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refusal) as caught:
        connect("acme/dr")
    assert caught.value.lines() == [
        "REFUSED github.address (exit 2): there is no token for GitHub",
        "  found    DR_TOKEN, GH_TOKEN and GITHUB_TOKEN are empty",
        "  expected a token of the repository",
        "  fix      export GH_TOKEN=$(gh auth token), then again",
    ]


def test_another_address_is_the_environments(
    github_fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    github_fake.add_repository("acme/dr")
    monkeypatch.setenv("GITHUB_API_URL", github_fake.url)
    monkeypatch.setenv("DR_TOKEN", github_fake.add_token("metadata: read"))
    assert connect("acme/dr").ask(endpoints.REPOSITORY)["full_name"] == "acme/dr"


# -------------------------------------------------------------------------------------------------------- runners


def test_a_jobs_own_token_lists_no_runners(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DR_TOKEN", "a")
    monkeypatch.setenv("DR_APP_ID", "31")
    assert connect_for_runners("acme/dr") is None


def test_a_token_for_runners_comes_before_an_app(asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"DR_RUNNER_TOKEN": "r\n", "DR_APP_ID": "31", "DR_APP_KEY_FILE": "/nowhere", "DR_TOKEN": "a"}.items():
        monkeypatch.setenv(name, value)
    connect_for_runners("acme/dr")
    assert (asked[0]["token"], asked[0]["app"]) == ("r", None)


def test_an_app_with_its_key_in_a_file(github_fake: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    repository = github_fake.add_repository("acme/dr")
    github_fake.add_app(public, number=31, permissions={"administration": "read"}).install(repository.owner, [repository])
    file = tmp_path / "app.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    for name, value in {"DR_APP_ID": "31", "DR_APP_KEY_FILE": str(file), "GITHUB_API_URL": github_fake.url}.items():
        monkeypatch.setenv(name, value)
    client = connect_for_runners("acme/dr")
    assert client is not None
    assert client.ask(endpoints.RUNNERS)["total_count"] == 0


@pytest.mark.parametrize("content", [None, b"\xff\xfe canary-0d1c"])
def test_a_key_file_that_cannot_be_read(content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "app.pem"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("DR_APP_ID", "31")
    monkeypatch.setenv("DR_APP_KEY_FILE", str(file))
    with pytest.raises(Refusal) as caught:
        connect_for_runners("acme/dr")
    assert (caught.value.gate, caught.value.exit_code) == ("github.app", Exit.USAGE)
    assert "canary" not in "\n".join(caught.value.lines())
    assert caught.value.__suppress_context__


def test_the_apps_key_is_not_shown(tmp_path: Path, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app.pem").write_text("canary-0d1c")
    monkeypatch.setenv("DR_APP_ID", "31")
    monkeypatch.setenv("DR_APP_KEY_FILE", str(tmp_path / "app.pem"))
    connect_for_runners("acme/dr")
    assert asked[0]["app"] == AppKey("31", "canary-0d1c")
    assert "canary" not in repr(asked[0]["app"])


# ----------------------------------------------------------------------------------------------------- which run


@pytest.mark.parametrize(
    "text",
    [
        "https://github.com/acme/dr/actions/runs/212",
        "https://github.com/acme/dr/actions/runs/212/",
        "https://github.com/acme/dr/actions/runs/212/attempts/1",
        "https://github.com/acme/dr/actions/runs/212?pr=4",
        "https://github.com/acme/dr/actions/runs/212#summary",
        "212",
    ],
)
def test_a_run_by_its_page_or_number(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GH_REPO", "acme/dr")
    assert run_at(text) == Place("https://github.com", "acme/dr", 212)


def test_a_run_of_an_enterprise_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.acme.example/")
    assert server_url() == "https://github.acme.example"
    assert run_at("https://github.acme.example/acme/dr/actions/runs/212").server == "https://github.acme.example"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "run 212",
        "-1",
        "²",
        "9" * 19,
        "https://github.com/acme/dr",
        "https://github.com/acme/dr/actions/runs/x",
        "https://github.com/a/actions/runs/1",
    ],
)
def test_what_names_no_run(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        run_at(text)
    assert (caught.value.gate, caught.value.exit_code, caught.value.reason) == ("approve.run", Exit.USAGE, "not the address of a run")


@pytest.mark.parametrize(
    "text",
    [
        "https://github.example/acme/dr/actions/runs/212",
        "http://github.com/acme/dr/actions/runs/212",
        "https://github.com.evil.example/acme/dr/actions/runs/212",
        "https://github.com:8443/acme/dr/actions/runs/212",
    ],
)
def test_a_run_of_another_server_gets_no_token(text: str) -> None:
    """Whoever sends a person an address to approve would get their token with the ledger's push."""
    with pytest.raises(Refusal) as caught:
        run_at(text)
    assert caught.value.lines() == [
        "REFUSED approve.run (exit 2): that run is on another server than this token",
        f"  found    {text}",
        "  expected https://github.com/<owner>/<repository>/actions/runs/<number>, or the number with GH_REPO set",
        "  fix      set GITHUB_SERVER_URL and GITHUB_API_URL to that server, if it is yours",
    ]


@pytest.mark.parametrize(
    "text", ["https://github.com@evil.example/acme/dr/actions/runs/212", "https://x:y@github.com/acme/dr/actions/runs/1"]
)
def test_an_address_with_a_name_in_it_names_no_run(text: str) -> None:
    with pytest.raises(Refusal):
        run_at(text)


# ------------------------------------------------------------------------------------------------------- the ledger


@pytest.mark.parametrize(
    ("configured", "named", "remote", "token"),
    [
        (None, "", "https://github.com/acme/dr", "mine"),
        ("acme/ledger", "", "https://github.com/acme/ledger", "mine"),
        ("acme/ledger", "other/ledger", "https://github.com/other/ledger", "mine"),
        ("https://github.com/acme/ledger", "", "https://github.com/acme/ledger", "mine"),
        ("/srv/ledger.git", "", "/srv/ledger.git", ""),
        ("https://mirror.example/acme/ledger", "", "https://mirror.example/acme/ledger", ""),
        ("https://github.com.evil.example/acme/ledger", "", "https://github.com.evil.example/acme/ledger", ""),
        ("https://github.com@evil.example/acme/ledger", "", "https://github.com@evil.example/acme/ledger", ""),
        ("http://github.com/acme/ledger", "", "http://github.com/acme/ledger", ""),
    ],
)
def test_the_token_goes_to_githubs_server_only(
    configured: str | None, named: str, remote: str, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The config that a waiting run carries is its repository's word, and a branch can carry any."""
    given: list[tuple[str, str, Path, str]] = []
    monkeypatch.setattr(Ledger, "over_git", lambda remote, service, *, state_dir, token: given.append((remote, service, state_dir, token)))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GH_TOKEN", "mine")
    waiting: Any = SimpleNamespace(
        config=SimpleNamespace(ledger=SimpleNamespace(repository=configured)),
        run=SimpleNamespace(repository="acme/dr"),
        request=SimpleNamespace(subject=SimpleNamespace(service="pg-ha/prod")),
    )
    ledger_at(waiting, "https://github.com", named)
    assert given == [(remote, "pg-ha/prod", tmp_path / ".local" / "state" / "dr-dispatch", token)]


def test_a_service_without_home_has_its_users(monkeypatch: pytest.MonkeyPatch) -> None:
    at_home = home_folder()
    monkeypatch.setenv("HOME", "/elsewhere")
    assert home_folder() == Path("/elsewhere")
    monkeypatch.delenv("HOME")
    assert home_folder() == Path.home()
    assert at_home.is_absolute()


def test_a_user_without_any_home_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(Path, "home", none)
    with pytest.raises(Refusal) as refused:
        home_folder()
    assert (refused.value.gate, refused.value.exit_code) == ("host.home", Exit.USAGE)


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    with pytest.raises(Refusal) as refused:
        state_dir()
    assert (refused.value.gate, refused.value.exit_code) == ("host.state", Exit.USAGE)
    assert refused.value.found == f"{tmp_path}/file/.local/state/dr-dispatch: Not a directory"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_dir().is_dir()
