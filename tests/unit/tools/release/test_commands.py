"""`./dev release`: each command on a real checkout; a refusal is told with found, expected and fix, and with its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.support.released import git, remote_and_clone
from tests.unit.tools.release.test_repository import FILES
from tools.release import __main__ as commands


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = remote_and_clone(tmp_path, FILES)
    monkeypatch.chdir(made)
    return made


def run(*words: str, typed: str = "") -> Result:
    return CliRunner().invoke(commands.cli, words, input=typed)


def test_a_release_may_be_made(clone: Path) -> None:
    done = run("check")
    assert (done.exit_code, done.output) == (0, f"v1.0.0: {git(clone, 'rev-parse', 'HEAD')} may be released\n")


def test_what_stands_against_it_is_told(clone: Path) -> None:
    (clone / "new").write_text("")
    done = run("check", "v2.0.0")
    assert done.exit_code == 4
    assert "REFUSED release.tree (exit 4): the checkout differs from its commit\n  found    new\n  expected a clean checkout" in done.stderr
    assert "REFUSED release.version" in done.stderr
    assert "  fix      ./dev release prepare 2.0.0, and merge that first" in done.stderr
    assert run("check", "v1.0.0", "--pushed").exit_code == 4


def test_a_tag_that_is_taken_has_the_code_of_a_conflict(clone: Path) -> None:
    git(clone, "push", "--quiet", "origin", "HEAD:refs/tags/v1.0.0")
    assert run("check").exit_code == 5
    assert run("check", "v1.0.0", "--pushed").exit_code == 0


def test_the_next_version_is_prepared(clone: Path) -> None:
    changelog = clone / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace("## [Unreleased]\n", "## [Unreleased]\n\n- Two.\n"))
    done = run("prepare", "1.1.0", "--date", "2026-12-01")
    assert (done.exit_code, done.output) == (0, "1.1.0: written to CHANGELOG.md and hyops_ci/__init__.py\n")
    assert "## [Unreleased]\n\n## [1.1.0] - 2026-12-01\n\n- Two.\n\n## [1.0.0]" in changelog.read_text()
    assert (clone / "hyops_ci" / "__init__.py").read_text() == FILES["hyops_ci/__init__.py"].replace("1.0.0", "1.1.0")


@pytest.mark.parametrize("version", ["1.1", "v1.1.0", "1.1.0-rc.1"])
def test_a_version_that_no_tag_could_name_is_not_prepared(clone: Path, version: str) -> None:
    done = run("prepare", version)
    assert (done.exit_code, git(clone, "status", "--porcelain")) == (2, "")
    assert "MAJOR.MINOR.PATCH" in done.stderr


def test_the_checks_of_the_commit(clone: Path) -> None:
    shown = {"id": 1, "run_attempt": 1, "head_sha": git(clone, "rev-parse", "HEAD"), "head_branch": "main", "event": "push"}
    green = {**shown, "status": "completed", "conclusion": "success", "html_url": "x"}
    assert run("ci", typed=json.dumps({"workflow_runs": [green]})).exit_code == 0
    done = run("ci", typed=json.dumps({"workflow_runs": [green | {"conclusion": "failure"}]}))
    assert done.exit_code == 4
    assert "REFUSED release.ci" in done.stderr


@pytest.mark.parametrize(
    "typed", ["", "garbage", "[]", "{}", "[" * 9999, '{"workflow_runs": NaN}', '{"workflow_runs": [{}]}', '{"workflow_runs": ["x"]}']
)
def test_a_list_of_runs_that_is_none_lets_nothing_through(clone: Path, typed: str) -> None:
    done = run("ci", typed=typed)
    assert done.exit_code == 4
    assert "REFUSED release.ci (exit 4): the list of runs cannot be read" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("prepare", "1.1.0", "--date", "tomorrow"),
        ("sums", "--out", "gone"),
        ("packages", "--out", "CHANGELOG.md/below"),
        ("ghes", "--repository", "a b/c"),
        ("ghes", "--repository", "acme"),
        ("ghes", "--ref", "v1\nrun: id"),
        ("ghes", "--out", "/proc/gone/x"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_used_is_told(clone: Path, words: tuple[str, ...]) -> None:
    done = run(*words)
    assert (done.exit_code, done.exception.__class__) == (2, SystemExit), done.output
    assert "found" in done.stderr or "Error: " in done.stderr
    assert git(clone, "status", "--porcelain") == ""


def test_a_changelog_that_is_gone_is_told(clone: Path) -> None:
    (clone / "CHANGELOG.md").unlink()
    done = run("prepare", "1.1.0")
    assert done.exit_code == 2
    assert "FAILED release.place (exit 2)" in done.stderr
    assert "CHANGELOG.md: No such file or directory" in done.stderr


def test_checksums_are_written(clone: Path) -> None:
    (clone / "dist").mkdir()
    (clone / "dist" / "a").write_text("a")
    assert run("sums").exit_code == 0
    assert (clone / "dist" / "SHA256SUMS").read_text().endswith("48bb  a\n")


def test_a_tree_for_another_server(clone: Path) -> None:
    done = run("ghes", "--repository", "platform/dr-dispatch", "--ref", "v1.0.0")
    assert (done.exit_code, done.output) == (0, "dist/dr-dispatch-1.0.0-ghes.tar\n")
