"""What git knows, asked of real repositories: the remote decides what is main and what is tagged, not what the clone believes."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyops_ci.errors import Fault
from tests.support.released import git, push_all, remote_and_clone
from tools.release.readiness import refusals
from tools.release.repository import Checkout

FILES = {
    "hyops_ci/__init__.py": '"""Words."""\n\n__version__ = "1.0.0"\n',
    "CHANGELOG.md": "# Changelog\n\n## [Unreleased]\n\n## [1.0.0] - 2026-11-29\n\n- One.\n",
    "bin/run": "#!/bin/sh\n",
}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    return remote_and_clone(tmp_path, FILES)


def refused(clone: Path, *, pushed: bool = False, tag: str = "v1.0.0") -> list[str]:
    return [each.gate for each in refusals(Checkout(clone).facts(tag), tag, pushed=pushed)]


def test_a_commit_of_main_may_be_released(clone: Path) -> None:
    facts = Checkout(clone).facts("v1.0.0")
    assert (facts.commit, facts.main, facts.version) == (git(clone, "rev-parse", "HEAD"), git(clone, "rev-parse", "origin/main"), "1.0.0")
    assert refused(clone) == []


def test_main_may_have_gone_on_without_this_clone(clone: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "origin.git", "other")
    (tmp_path / "other" / "more").write_text("1")
    push_all(tmp_path / "other")
    assert refused(clone) == []


def test_a_commit_that_was_not_pushed_is_not_on_main(clone: Path) -> None:
    git(clone, "commit", "--quiet", "--allow-empty", "--message", "mine")
    git(clone, "update-ref", "refs/remotes/origin/main", "HEAD")  # the clone may believe what it likes
    assert refused(clone) == ["release.main"]


def test_a_tag_of_a_branch_is_not_on_main(clone: Path) -> None:
    git(clone, "switch", "--quiet", "--create", "wip")
    git(clone, "commit", "--quiet", "--allow-empty", "--message", "mine")
    git(clone, "tag", "v1.0.0")
    git(clone, "push", "--quiet", "origin", "wip", "v1.0.0")
    assert refused(clone, pushed=True) == ["release.main"]


@pytest.mark.parametrize("path", ["CHANGELOG.md", "new"])
def test_a_dirty_tree(clone: Path, path: str) -> None:
    with (clone / path).open("a") as file:
        file.write("more\n")
    facts = Checkout(clone).facts("v1.0.0")
    assert facts.changed == (path,)
    assert refused(clone) == ["release.tree"]


@pytest.mark.parametrize("annotated", [(), ("--annotate", "--message", "1.0.0")])
def test_a_tag_that_is_there(clone: Path, annotated: tuple[str, ...]) -> None:
    assert refused(clone, pushed=True) == ["release.tag"]
    git(clone, "tag", *annotated, "v1.0.0")
    assert refused(clone) == [], "what only this clone has is no release"
    git(clone, "push", "--quiet", "origin", "v1.0.0")
    assert refused(clone) == ["release.tag"]
    assert refused(clone, pushed=True) == []


def test_the_files_are_those_of_the_commit(clone: Path) -> None:
    (clone / "bin" / "run").chmod(0o755)
    push_all(clone)
    (clone / "bin" / "run").write_text("changed since")
    contents, executable = Checkout(clone).files()
    assert {path: content.decode() for path, content in contents.items()} == FILES
    assert executable == {"bin/run"}
    assert Checkout(clone).seconds() == 1_700_000_000


def test_a_remote_that_does_not_answer_is_told(clone: Path) -> None:
    git(clone, "remote", "set-url", "origin", "../gone.git")
    with pytest.raises(Fault, match=r"release\.git: git ls-remote failed") as raised:
        Checkout(clone).facts("v1.0.0")
    assert "gone.git" in raised.value.found
