"""docs/upgrade.md, command by command: what `hyops-ci upgrade` prints is pasted, on hosts, at GitHub and in the checkout.

`gh` speaks to GitHub's fake, `git` and `bash` are this machine's. The roles are pasted into a real OpenBao in
tests/secrets/test_upgraded_role.py, and what root prepares is the business of tests/security/test_runner_host.py.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hyops_ci.config.file import read_trust
from tests.support.github.cli import gh_speaks_to
from tests.support.github.repositories import Repository
from tests.support.github.server import FakeGitHub, start_github
from tests.unit.operations.upgrade.calling import OURS, calling, changelog
from tests.unit.test_upgrade_page import PAGE, TRUST

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
SETUP = """#!/usr/bin/env bash
if [ "$1" = runner ]; then echo "$*" >> "$HOME/prepared"; else exec hyops-ci "$@"; fi
"""
"""As the real one: with other arguments it becomes hyops-ci with them."""


@dataclass
class Person:
    """An administrator with a checkout, a host, and what they may do at GitHub."""

    fake: FakeGitHub
    repository: Repository
    home: Path
    environment: dict[str, str]
    old: str
    new: str

    @property
    def checkout(self) -> Path:
        return self.home / "checkout"

    @property
    def trust(self) -> Path:
        return self.home / "trust.json"

    def bash(self, text: str) -> str:
        """Paste it, with the host's folders as they are here, and return what is said."""
        for place, here in (("/usr/local/src/dr-dispatch", self.home / "host"), ("/etc/dr-dispatch/trust.json", self.trust)):
            text = text.replace(place, str(here))
        command = ["bash", "-euo", "pipefail", "-c", text]
        done = subprocess.run(command, cwd=self.checkout, env=self.environment, capture_output=True, text=True, timeout=400, check=False)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def accepted(self) -> tuple[str, ...]:
        return read_trust(self.trust.read_bytes(), "trust.json").workflow_shas


def git(folder: Path, *words: str) -> str:
    known = ["-c", "user.name=t", "-c", "user.email=t@example.net", "-c", "init.defaultBranch=main"]
    return subprocess.run(["git", *known, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def published(fake: FakeGitHub, source: Path) -> tuple[str, str]:
    """Make dr-dispatch with two releases, as a repository of git, and as GitHub has it. Return their commits."""
    made, commits = fake.add_repository(OURS), []
    git(source, "init", "--quiet")
    for versions in (("1.0.0",), ("1.1.0", "1.0.0")):
        files = {
            "hyops_ci/__init__.py": f'__version__ = "{versions[0]}"\n',
            "CHANGELOG.md": changelog(*versions),
            "actions/setup/setup.sh": SETUP,
        }
        for name, text in files.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(text)
        git(source, "add", ".")
        git(source, "commit", "--quiet", "-m", versions[0])
        commit = git(source, "rev-parse", "HEAD")
        made.trees[commit], made.parents[commit] = {name: text.encode() for name, text in files.items()}, made.head
        made.branches["main"].sha = commit
        made.add_release(f"v{versions[0]}", commit)
        commits.append(commit)
    return commits[0], commits[1]


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    for name in ("source", "bin", "origin"):
        (tmp_path / name).mkdir()
    (tmp_path / "bin" / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
    (tmp_path / "bin" / "sudo").chmod(0o755)
    (tmp_path / ".gitconfig").write_text("[user]\nname = maria\nemail = maria@example.net\n")
    with start_github() as fake:
        old, new = published(fake, tmp_path / "source")
        git(tmp_path, "clone", "--quiet", "source", "host")
        git(tmp_path / "host", "checkout", "--quiet", "--detach", old)
        fake.add_organization("acme", number=77)
        fake.add_user("maria", number=1001)
        repository = fake.add_repository("acme/recovery", number=4711)
        for name in ("gcp-ops-runner", "proxmox-ops-runner"):
            repository.owner.add_group(name, [repository]).workflows = [f"{OURS}/.github/workflows/dispatch.yml@{old}"]
        checkout = calling(tmp_path / "checkout", old)
        (checkout / ".git").rmdir()
        git(tmp_path / "origin", "init", "--quiet", "--bare")
        git(checkout, "init", "--quiet")
        git(checkout, "remote", "add", "origin", str(tmp_path / "origin"))
        git(checkout, "add", ".")
        git(checkout, "commit", "--quiet", "-m", "callers")
        repository.add_workflow(".github/workflows/dr.yml", (checkout / ".github" / "workflows" / "dr.yml").read_text())
        (tmp_path / "trust.json").write_text(json.dumps(TRUST | {"workflow_shas": [old]}, indent=2))
        rights = ("contents: write", "actions: write", "metadata: read", "organization_self_hosted_runners: write")
        with gh_speaks_to(fake, tmp_path) as environment:
            known = {
                "PATH": os.pathsep.join((str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"])),
                "HOME": str(tmp_path),
                "GITHUB_API_URL": fake.url,
                "GITHUB_TOKEN": fake.add_token(*rights, actor="maria"),  # what `gh auth login` would have kept
                "GH_REPO": "acme/recovery",
            }
            yield Person(fake, repository, tmp_path, {**known, **environment}, old, new)
        assert fake.violations == []


def blocks(said: str) -> dict[str, str]:
    """Title -> text of each step."""
    parts = re.split(r"^## \d+\. (.*)$", said, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def block(said: str, words: str) -> str:
    [text] = [text for title, text in blocks(said).items() if words in title]
    return text


def test_from_one_release_to_the_next_as_the_page_says(person: Person) -> None:
    [page] = [each for each in re.findall(r"(?:^    .+\n)+", PAGE, re.MULTILINE) if "--dry-run" in each]
    before = git(person.checkout, "status", "--porcelain")
    export, dry, upgrade = page.strip().splitlines()
    person.bash(f"{export}\n{dry}")
    assert git(person.checkout, "status", "--porcelain") == before == ""
    said = person.bash(f"{export}\n{upgrade}")
    assert "- What 1.1.0 has." in said
    assert "replace " not in said, "nothing is left to fill in"

    person.bash(block(said, "As root on the host"))
    assert person.accepted() == (person.new, person.old)
    assert git(person.home / "host", "rev-parse", "HEAD") == person.new
    assert (person.home / "prepared").read_text() == "runner prepare\n"
    person.bash(block(said, "Runner groups"))
    for group in person.repository.owner.groups:
        if not group.default:
            assert {each.rpartition("@")[2] for each in group.workflows} == {person.new, person.old}
            assert len(group.workflows) == 4
    person.bash(block(said, "The callers"))
    assert git(person.home / "origin", "rev-parse", "dr-dispatch-v1.1.0") == git(person.checkout, "rev-parse", "HEAD")
    moved = git(person.checkout, "show", "--stat", "--format=%s", "HEAD")
    assert moved.startswith("dr-dispatch v1.1.0")
    assert "4 files changed, 4 insertions(+), 4 deletions(-)" in moved
    person.bash(block(said, "Merged"))
    *_, run = person.repository.runs.values()
    assert (run.inputs["action"], run.inputs["service"]) == ("check", "pg-ha/prod")

    ended = person.bash(block(said, "checks are green"))
    person.bash(block(ended, "Runner groups"))
    person.bash(block(ended, "As root on the host"))
    assert person.accepted() == (person.new,)
    assert all(person.old not in each for group in person.repository.owner.groups for each in group.workflows)


def test_what_the_refusals_print_is_run(person: Person) -> None:
    workflow = person.checkout / ".github" / "workflows" / "dr.yml"
    workflow.write_text(workflow.read_text().replace(person.old, "v1.0.0"))
    refused = person.bash("hyops-ci upgrade v1.1.0 2>&1 || true")
    [find] = re.findall(r"gh api repos/hybridops/dr-dispatch/commits/v1\.0\.0 --jq \.sha", refused)
    assert person.bash(find).strip() == person.old
    workflow.write_text(workflow.read_text().replace("v1.0.0", person.old))
    refused = person.bash("hyops-ci upgrade v7.0.0 2>&1 || true")
    [every] = re.findall(r"gh api repos/hybridops/dr-dispatch/releases --jq '\S+'", refused)
    assert person.bash(every).split() == ["v1.1.0", "v1.0.0"]
