"""From an empty repository to a recovered rehearsal, as docs/adopt.md says, command by command, with the clients that people use.

`gh` speaks to GitHub's fake, `vault` is a real OpenBao, `git` and `bash` are this machine's. GitHub's agent and root's part of a host are
the business of tests/security/test_runner_host.py.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import hvac
import pytest

from hyops_ci.ledger.ruleset import RULES_OF_LEDGER
from hyops_ci.operations.rehearse.sandbox import EXAMPLE
from tests.support.git_http import serve_git
from tests.support.github.cli import gh_speaks_to
from tests.support.github.repositories import Repository
from tests.support.github.server import FakeGitHub, start_github
from tests.support.issuer import GITHUB_CLAIMS, ISSUER, Issuer, serve_issuer
from tests.support.openbao import ROOT_TOKEN, OpenBao, bao_binary, start_openbao
from tests.unit.operations.init.adopting import REFS, RELEASE, SERVICE

pytestmark = [pytest.mark.bao, pytest.mark.e2e, pytest.mark.slow]

PAGE = Path(__file__).parents[2] / "docs" / "adopt.md"
EVERYTHING = (
    *("administration: write", "contents: write", "actions: write", "metadata: read"),
    *("organization_administration: write", "organization_self_hosted_runners: write", "environments: write"),
)
AGENT = """#!/usr/bin/env bash
printf '%s' "$ACTIONS_RUNNER_INPUT_TOKEN" >> tokens; printf '%s ' "$@" >> arguments
"""
"""Stands where GitHub's agent has its script: what it is told is what is looked at."""


@dataclass
class Adopter:
    """A person with a checkout, a terminal and the rights of an administrator."""

    checkout: Path
    environment: dict[str, str]
    fake: FakeGitHub
    repository: Repository
    bao: OpenBao
    issuer: Issuer
    ran: list[str] = field(default_factory=list)

    def bash(self, text: str, *, code: int = 0, typed: str = "", more: Mapping[str, str] | None = None) -> str:
        """Paste it, and return what is said."""
        self.ran.append(text)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self.checkout,
            env={**self.environment, **(more or {})},
            input=typed,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == code, f"{text}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr
        return done.stdout + done.stderr

    def commit(self) -> None:
        """The pull request, merged: GitHub has what the checkout has."""
        files = {
            str(path.relative_to(self.checkout)): path.read_bytes() for path in (self.checkout / ".github").rglob("*") if path.is_file()
        }
        self.repository.commit(files)
        for path, content in files.items():
            if path.startswith(".github/workflows/"):
                self.repository.add_workflow(path, content.decode())


@pytest.fixture
def adopter(tmp_path: Path) -> Iterator[Adopter]:
    tools, home, checkout = (tmp_path / name for name in ("tools", "home", "checkout"))
    for folder in (tools, home, checkout):
        folder.mkdir()
    (tools / "vault").symlink_to(bao_binary())
    overlays = home / ".hybridops/envs/prod/config/blueprints"
    overlays.mkdir(parents=True)
    for ref in REFS:
        name = f"{ref.partition('@')[0].rpartition('/')[2]}.yml"
        shutil.copy(EXAMPLE / "overlays" / name, overlays / name)
    with ExitStack() as stack:
        fake, issuer, bao = (stack.enter_context(each) for each in (start_github(), serve_issuer(), start_openbao()))
        for login, number in (("maria", 1001), ("jonas", 1002), ("priya", 1003)):
            fake.add_user(login, number=number)
        fake.add_organization("acme", number=77)
        repository = fake.add_repository("acme/recovery", number=4711)
        environment = {
            **stack.enter_context(gh_speaks_to(fake, tmp_path)),
            "PATH": os.pathsep.join((str(tools), str(Path(sys.executable).parent), os.environ["PATH"])),
            "HOME": str(home),
            "GITHUB_API_URL": fake.url,
            "GITHUB_TOKEN": fake.add_token(*EVERYTHING, actor="maria"),  # what `gh auth login` would have kept
            "VAULT_ADDR": bao.origin,
            "VAULT_TOKEN": ROOT_TOKEN,
        }
        subprocess.run(["git", "init", "-q", "-b", "main", str(checkout)], check=True, env=environment)
        yield Adopter(checkout, environment, fake, repository, bao, issuer)
        assert fake.violations == []


def blocks(said: str) -> dict[str, str]:
    """Title -> text of each block that `init` printed."""
    parts = re.split(r"^## \d+\. (.*)$", said.partition("\nreplace ")[0].partition("\nthen    ")[0], flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_from_an_empty_repository_to_a_recovered_rehearsal(adopter: Adopter, tmp_path: Path) -> None:
    shown = "export GH_REPO=acme/recovery GH_TOKEN=$(gh auth token)\nhyops-ci init pg-ha/prod --vault https://vault.example.net --site gcp"
    init = f"{shown} --release {RELEASE} --reviewer jonas --reviewer priya --auth-path auth/dr-dispatch"
    adopter.bash(init)
    config = adopter.checkout / ".github/dr-dispatch.yml"
    ledger = tmp_path / "ledger.git"
    subprocess.run(["git", "init", "-q", "--bare", str(ledger)], check=True)
    config.write_text(f"{config.read_text()}ledger: {{repository: {ledger}}}\n")
    adopter.commit()
    said = adopter.bash(init)
    assert "replace " not in said, "nothing is left to fill in"
    known = {**adopter.environment, "GH_REPO": "acme/recovery"}
    adopter.environment.update(known)
    titles = blocks(said)
    gate, rules, branch, issuer, roles, secrets, *runners = titles.values()

    adopter.bash(gate)
    adopter.bash(gate)  # again, as somebody unsure would: it changes nothing
    made = adopter.repository.environments["dr-prod"]
    assert ([each.login for each in made.reviewers], made.prevent_self_review, made.branches) == (["jonas", "priya"], True, ["main"])
    adopter.bash(rules)
    assert adopter.repository.branches["main"].protected
    assert "made dr-ledger/pg-ha/prod: pg-ha/prod serves from onprem" in adopter.bash(branch)
    assert subprocess.run(["git", "-C", str(ledger), "config", "receive.denyDeletes"], check=True, capture_output=True).stdout == b"true\n"

    adopter.bash(issuer.replace(ISSUER, adopter.issuer.url))
    adopter.bash(roles)
    made_folder, _, puts = secrets.partition("\n(umask 077; mkdir dr-values)\n")
    adopter.bash("(umask 077; mkdir dr-values)")
    names = re.findall(r"=@dr-values/(\w+)", puts)
    assert names
    for name in names:
        (adopter.checkout / "dr-values" / name).write_text(f"the value of {name}")
    adopter.bash(puts)
    assert not (adopter.checkout / "dr-values").exists()
    assert made_folder.count(names[0]) == 1
    assert_the_check_may_look(adopter, roles, names)

    registration = [text for title, text in titles.items() if "registration" in title]
    assert len(registration) == 2
    (adopter.checkout / "config.sh").write_text(AGENT)
    (adopter.checkout / "config.sh").chmod(0o755)
    for text in registration:
        tokens = adopter.bash(text, typed="of-the-organization\nof-the-repository\n")
        assert len(re.findall(r"AR[0-9]{20,}", tokens)) == 2, tokens
    assert (adopter.checkout / "tokens").read_text() == "of-the-organizationof-the-repository" * 2
    for text in runners:
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)

    adopter.bash("hyops-ci config explain .github/dr-dispatch.yml")
    adopter.bash("hyops-ci environment check")
    for name in ("gcp-ops-runner", "proxmox-ops-runner"):
        adopter.repository.add_runner(f"{name}-01", ["self-hosted", name])
    adopter.bash("DR_RUNNER_TOKEN=$(gh auth token) hyops-ci runner status")
    adopter.bash("hyops-ci approve --new-key key.pem")
    adopter.bash('gh workflow run dr.yml -f action=check -f service=pg-ha/prod -f reason="after adoption"')
    [run] = adopter.repository.runs.values()
    assert run.inputs["action"] == "check"
    told = adopter.bash("hyops-ci rehearse --stand-in --config .github/dr-dispatch.yml", more={"GH_TOKEN": "", "GITHUB_TOKEN": ""})
    assert re.search(r"^RECOVERED.*pg-ha/prod", told, re.MULTILINE), told
    assert_the_page_says_no_more(adopter)


def assert_the_check_may_look(adopter: Adopter, roles: str, names: list[str]) -> None:
    """The role of checks sees names, and no value; the one of runs sees both."""
    origin = "https://vault.example.net"
    claims = {**GITHUB_CLAIMS, "iss": adopter.issuer.url, "repository_id": "4711", "environment": "dr-check"}
    for role, environment, reads in (("dr-check", "dr-check", False), ("dr-prod", "dr-prod", True)):
        token = adopter.issuer.mint(origin, **{**claims, "environment": environment})
        client = hvac.Client(url=adopter.bao.origin, namespace="")
        client.auth.jwt.jwt_login(role=role, jwt=token, path="dr-dispatch")
        [path] = [line for line in re.findall(r'"secret/data/([^"]+)"', roles) if "postgresql-ha" in line and "backup" not in line][:1]
        if reads:
            found = client.secrets.kv.v2.read_secret_version(path=path, raise_on_deleted_version=True)["data"]["data"]
            assert set(found) <= set(names)
        else:
            with pytest.raises(hvac.exceptions.Forbidden):
                client.secrets.kv.v2.read_secret_version(path=path, raise_on_deleted_version=True)
        client.adapter.close()


def assert_the_page_says_no_more(adopter: Adopter) -> None:
    """Every command of the page was run here, or is root's on the host."""
    on_the_host = ("hyops-ci doctor", "hyops-ci runner prepare")
    ran = "\n".join(adopter.ran)
    for command in re.findall(r"^ {4}((?:hyops-ci|gh) \S+(?: \S+)?)", PAGE.read_text("utf-8"), re.MULTILINE):
        words = " ".join(command.split()[:2])
        assert words in ran or command.startswith(on_the_host), command


def test_the_ledger_on_github_is_made_and_protected(adopter: Adopter, tmp_path: Path) -> None:
    """The third block with five lines alone: the branch over GitHub's Git, the ruleset by `gh`; pasted again it makes no second branch."""
    bare = tmp_path / "github/acme/recovery"
    bare.mkdir(parents=True)
    subprocess.run(["git", "init", "-q", "--bare", str(bare)], check=True)
    with serve_git(tmp_path / "github", adopter.environment["GITHUB_TOKEN"]) as git:
        adopter.environment |= {"GITHUB_SERVER_URL": git.origin, "GIT_SSL_CAINFO": str(git.ca), "GH_REPO": "acme/recovery"}
        said = adopter.bash(f"hyops-ci init {SERVICE} --vault https://vault.example.net --site gcp --release {RELEASE} --reviewer jonas")
        [text] = [text for title, text in blocks(said).items() if title.startswith("The ledger")]
        assert f"--remote {git.origin}/acme/recovery" in text
        assert f"made dr-ledger/{SERVICE}" in adopter.bash(text)
        refused = adopter.bash(text.partition("gh api")[0], code=5)
        assert "ledger.exists" in refused
        [fix] = re.findall(r"fix +none: (hyops-ci .*)", refused)
        assert "serves from onprem" in adopter.bash(fix)
    heads = subprocess.run(["git", "-C", str(bare), "for-each-ref", "--format=%(refname)"], capture_output=True, text=True, check=True)
    assert heads.stdout.split() == [f"refs/heads/dr-ledger/{SERVICE}"]
    assert vars(adopter.repository)["rulesets"] == [RULES_OF_LEDGER]


def test_a_jwt_mount_that_is_in_use_is_left_as_it_is(adopter: Adopter) -> None:
    """Pasted where others log in already, the block says so and writes nothing over."""
    said = adopter.bash(
        "export GH_REPO=acme/recovery GH_TOKEN=$(gh auth token)\n"
        f"hyops-ci init {SERVICE} --vault https://vault.example.net --site gcp --release {RELEASE} --reviewer jonas"
    )
    [text] = [text for title, text in blocks(said).items() if "who issues" in title]
    before = adopter.bao.admin.auth.jwt.read_config()["data"]
    assert "path is already in use" in adopter.bash(text, code=2)
    assert adopter.bao.admin.auth.jwt.read_config()["data"] == before
