"""A repository of dr-dispatch with releases on the fake GitHub, and a checkout that calls the older one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hyops_ci.operations.init.files import template
from tests.support.github.repositories import Repository
from tests.support.github.server import FakeGitHub

OURS = "hybridops/dr-dispatch"
CONFIG = """\
services:
  pg-ha/prod:
    failover: {lane: gcp, blueprint: dr/postgresql-ha-failover-gcp@v1}
    failback: {lane: onprem, blueprint: dr/postgresql-ha-failback-onprem@v1}
vault: {address: "https://vault.example.net", site: gcp}
"""
STEP = """\
on: {schedule: [{cron: "7 3 * * *"}]}
jobs:
  ask:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@%s # v6.0.0
      - {uses: "hybridops/dr-dispatch@%s"} # v1.0.0
"""


@dataclass
class Releases:
    """Commits of dr-dispatch: `old` is v1.0.0, `new` is v1.1.0, `later` is on main and no release."""

    repository: Repository
    old: str
    new: str
    later: str


def changelog(*versions: str, unreleased: str = "") -> str:
    text = f"# Changelog\n\n## [Unreleased]\n\n{unreleased}\n"
    return text + "".join(f"\n## [{each}] - 2026-11-29\n\n### Added\n\n- What {each} has.\n" for each in versions)


def releases(fake: FakeGitHub) -> Releases:
    """Publish both."""
    made = fake.add_repository(OURS)

    def commit(version: str, text: str) -> str:
        return made.commit({"hyops_ci/__init__.py": f'"""X."""\n\n__version__ = "{version}"\n', "CHANGELOG.md": text})

    old = commit("1.0.0", changelog("1.0.0"))
    made.add_release("v1.0.0")
    new = commit("1.1.0", changelog("1.1.0", "1.0.0"))
    made.add_release("v1.1.0", annotated=True)
    later = commit("1.1.0", changelog("1.1.0", "1.0.0", unreleased="- Something new."))
    return Releases(made, old, new, later)


def calling(folder: Path, commit: str) -> Path:
    """Write a checkout with four workflows that pin a commit, one of them by the root action, and the config."""
    workflows = folder / ".github" / "workflows"
    workflows.mkdir(parents=True)
    (folder / ".git").mkdir()
    for name, file in (("dr-manual", "dr"), ("dr-decision", "dr-decision"), ("dr-drill", "dr-drill")):
        (workflows / f"{file}.yml").write_bytes(template(f"{name}.yml").read_bytes().replace(b"0" * 40, commit.encode()))
    (workflows / "nightly.yml").write_text(STEP % ("8" * 40, commit))
    (folder / ".github" / "dr-dispatch.yml").write_text(CONFIG)
    return folder
