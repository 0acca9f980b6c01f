"""`hyops-ci doctor`: lines and a last line, the same as JSON, and what it asks of GitHub only where somebody named it."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.cli.app import main
from hyops_ci.cli.doctor import with_github
from hyops_ci.cli.shell import shell_context
from hyops_ci.operations.rehearse.sandbox import Site, set_up
from hyops_ci.planning.needs import NEEDS
from hyops_ci.stages.context import SystemClock
from tests.support.git_http import serve_git
from tests.support.github.fixture import github_fake
from tests.support.github.server import FakeGitHub

__all__ = ["github_fake"]
CANARY = "ghp_canary-of-the-token"


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    for name in ("DR_TOKEN", "GH_TOKEN", "GITHUB_TOKEN", "GH_REPO", "GITHUB_REPOSITORY", "GITHUB_ACTIONS", "DR_RUNNER_TOKEN", "DR_APP_ID"):
        monkeypatch.delenv(name, raising=False)
    made = Site(tmp_path / "site", SystemClock())
    set_up(made, 5432)
    monkeypatch.setenv("HOME", str(made.runner))
    return made


def ask(site: Site, capsys: pytest.CaptureFixture[str], *words: str, ledger: bool = True, service: str = "pg-ha/lab") -> Said:
    capsys.readouterr()
    named = ["--ledger", str(site.root / "ledger.git")] if ledger else []
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--service", service, "--checkout", str(site.repository), *named, *words])
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    assert CANARY not in said.out + said.err
    return Said(int(ended.value.code or 0), said.out, said.err)


def test_as_text_and_as_json(site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage(site.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)  # other tests write meanwhile
    text = ask(site, capsys)
    assert text.code == 0
    assert list(dict.fromkeys(line[6:17].rstrip() for line in text.lines[:-1])) == [need.topic for need in NEEDS]
    assert text.lines[-1] == "A failover now would be planned and checked: nothing seen from here stands in its way"
    document: dict[str, Any] = json.loads(ask(site, capsys, "--format", "json").out)
    assert [f"{line['status']:<5} {line['topic']:<11} {line['text']}" for line in document["lines"]] == text.lines[:-1]
    assert (document["verdict"], document["refused"]) == (text.lines[-1], [])


def test_a_no_is_the_exit_code(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.seed_state("platform/postgresql-ha#postgresql_restore_gcp_dr", 70)
    said = ask(site, capsys)
    assert said.code == 4
    assert said.lines[-1].startswith("A failover now would be REFUSED at restore.skipped. Fix: -f restore=<label>")
    document = json.loads(ask(site, capsys, "--format", "json").out)
    assert [each["gate"] for each in document["refused"]] == ["restore.skipped"]


@pytest.mark.parametrize("service", ["pg-ha", "pg-ha/other", "", "../..", "pg-ha/lab\n"])
def test_a_service_that_is_none(service: str, site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    said = ask(site, capsys, service=service)
    assert said.code in (2, 3, 4)
    assert said.lines[-1].startswith("A failover now would be REFUSED at ")


def test_a_ledger_that_nobody_named_is_one_no_among_the_answers(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    said = ask(site, capsys, ledger=False)
    assert said.code == 2
    assert "FAIL  lock        ledger.remote: no ledger is configured" in said.out
    assert "ok    restore" in said.out


def test_github_is_asked_where_it_is_named(
    site: Site, capsys: pytest.CaptureFixture[str], github_fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = site.repository / ".github" / "dr-dispatch.yml"
    config.write_text(config.read_text().replace("- signed", "- environment"))
    assert "gate        not asked: set GH_TOKEN and GH_REPO" in ask(site, capsys).out
    monkeypatch.setenv("GITHUB_API_URL", github_fake.url)
    monkeypatch.setenv("GH_TOKEN", github_fake.add_token("actions: read", "contents: read", "metadata: read"))
    github_fake.add_repository("acme/recovery").commit({"README.md": "x"})
    assert github_fake.made() == []
    monkeypatch.setenv("GH_REPO", "acme/recovery")
    said = ask(site, capsys)
    assert "FAIL  gate        approval.gate: " in said.out
    assert "dr-lab does not exist" in said.out


def test_a_token_that_github_does_not_know(
    site: Site, capsys: pytest.CaptureFixture[str], github_fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"GITHUB_API_URL": github_fake.url, "GH_TOKEN": CANARY, "GH_REPO": "acme/recovery"}.items():
        monkeypatch.setenv(name, value)
    said = ask(site, capsys)
    assert "FAIL  gate        github.token: " in said.out
    assert "ok    restore" in said.out


def test_a_private_ledger_without_a_token_was_not_looked_at(
    site: Site, capsys: pytest.CaptureFixture[str], github_fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On a laptop, or in a shell of the runner, nobody has a token by chance: that is no token which the host refuses."""
    bare = tmp_path / "github" / "acme" / "recovery"
    bare.parent.mkdir(parents=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(site.root / "ledger.git"), str(bare)], check=True)
    with serve_git(tmp_path / "github", CANARY) as git:
        known = {"GITHUB_API_URL": github_fake.url, "GITHUB_SERVER_URL": git.origin, "GH_REPO": "acme/recovery"}
        known["GIT_SSL_CAINFO"] = str(git.ca)
        for name, value in known.items():
            monkeypatch.setenv(name, value)
        said = ask(site, capsys, ledger=False)
        assert "warn  lock        not looked at: the ledger's host asks for a token, and none was given: export GH_TOKEN=" in said.out
        assert said.code == 0, said.out
        assert said.lines[-1].endswith("Not looked at from here: lock, readiness, drill")
        monkeypatch.setenv("DR_TOKEN", "another")
        assert "FAIL  lock        ledger.token: the ledger's host does not accept the token" in ask(site, capsys, ledger=False).out


def test_the_repositorys_own_ledger_is_the_default_and_the_token_goes_to_this_server_only(
    site: Site, github_fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"GITHUB_API_URL": github_fake.url, "GITHUB_SERVER_URL": "https://ghe.example.net", "GH_REPO": "acme/recovery"}
    for name, value in known.items():
        monkeypatch.setenv(name, value)
    assert with_github(bare := shell_context(None)).github is bare.github is None
    monkeypatch.setenv("GH_TOKEN", CANARY)
    for named, remote, token in (
        ("", "https://ghe.example.net/acme/recovery", CANARY),
        ("https://ghe.example.net/acme/ledgers", "https://ghe.example.net/acme/ledgers", CANARY),
        ("https://elsewhere.example.net/acme/recovery", "https://elsewhere.example.net/acme/recovery", ""),
        (str(site.root), str(site.root), ""),
    ):
        found = with_github(shell_context(None, ledger=named))
        assert (found.ledger_remote, found.ledger_token) == (remote, token)
        assert found.github is not None
        assert CANARY not in repr(found)
