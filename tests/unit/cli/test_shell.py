"""The world of a shell: which ledger it looks at."""

from __future__ import annotations

import pytest

from hyops_ci.cli.shell import shell_context
from hyops_ci.config.file import read_config

SERVICES = "services: {pg-ha/prod: {failover: {lane: gcp, blueprint: dr/postgresql-ha-failover-gcp@v1}}}\n"


@pytest.mark.parametrize(
    ("said", "named", "remote"),
    [
        ("", "", ""),
        ("", "/srv/other.git", "/srv/other.git"),
        ("ledger: {repository: acme/ledger}", "", "https://ghe.example.net/acme/ledger"),
        ("ledger: {repository: /srv/ledger.git}", "", "/srv/ledger.git"),
        ('ledger: {repository: "ssh://git@git.example.net/ledger"}', "", "ssh://git@git.example.net/ledger"),
        ("ledger: {repository: acme/ledger}", "/srv/other.git", "/srv/other.git"),
    ],
)
def test_the_ledger(said: str, named: str, remote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://ghe.example.net")
    config, _ = read_config((SERVICES + said).encode())
    assert shell_context(config, ledger=named).ledger_remote == remote


def test_without_a_config_nobody_says_where_the_ledger_is() -> None:
    assert shell_context(None).ledger_remote == ""


@pytest.mark.parametrize(
    ("repository", "named", "token"),
    [
        ("acme/ledger", "", "ghp_mine"),
        ("https://evil.example/acme/ledger", "", ""),
        ("https://ghe.example.net.evil.example/acme/ledger", "", ""),
        ("acme/ledger", "https://mirror.example.net/ledger", "ghp_mine"),
    ],
)
def test_a_token_goes_to_githubs_server_or_where_a_person_says(
    repository: str, named: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://ghe.example.net")
    monkeypatch.setenv("DR_TOKEN", "ghp_mine")
    config, _ = read_config((SERVICES + f'ledger: {{repository: "{repository}"}}').encode())
    assert shell_context(config, ledger=named).ledger_token == token
