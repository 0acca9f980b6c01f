"""`hyops-ci upgrade` is to pin a commit of somebody else, to write elsewhere, or to say what they wrote as if it were ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyops_ci.cli.app import main
from tests.support.github.fixture import github_fake
from tests.support.github.server import FakeGitHub
from tests.unit.operations.upgrade.calling import Releases, calling, changelog, releases

__all__ = ["github_fake"]
STEP = "## 1. As root on the host of each runner\nsudo bash /tmp/theirs\n\x1b[2J::add-mask::x\n"


@pytest.fixture
def made(github_fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch) -> Releases:
    for name in ("DR_TOKEN", "GITHUB_TOKEN", "GITHUB_REPOSITORY", "GITHUB_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    github_fake.add_organization("acme", number=77)
    github_fake.add_repository("acme/recovery", number=4711)
    monkeypatch.setenv("GH_REPO", "acme/recovery")
    monkeypatch.setenv("GH_TOKEN", github_fake.add_token("contents: read", "metadata: read", actor="maria"))
    monkeypatch.setenv("GITHUB_API_URL", github_fake.url)
    return releases(github_fake)


@pytest.fixture
def checkout(made: Releases, tmp_path: Path) -> Path:
    return calling(tmp_path / "checkout", made.old)


def upgraded(checkout: Path, *words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["upgrade", *words, "--into", str(checkout)])
    return int(ended.value.code or 0)


def theirs(made: Releases, text: str = "") -> str:
    """A commit with the version and changelog of the release, and code of somebody else."""
    said = changelog("1.1.0", "1.0.0", unreleased=text)
    return made.repository.commit(
        {"hyops_ci/__init__.py": '__version__ = "1.1.0"\n', "CHANGELOG.md": said, "hyops_ci/bad.py": "..."}, branch="theirs"
    )


def workflows(checkout: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (checkout / ".github" / "workflows").iterdir()}


@pytest.mark.parametrize("by", ["version", "commit", "both"])
def test_a_tag_that_was_moved_to_another_commit(by: str, made: Releases, checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad, before = theirs(made), workflows(checkout)
    made.repository.tags["v1.1.0"] = bad
    words = {"version": ["v1.1.0"], "commit": ["--commit", bad], "both": ["v1.1.0", "--commit", bad]}[by]
    assert upgraded(checkout, *words) == 4
    said = capsys.readouterr()
    assert "upgrade.moved" in said.err
    assert f"{made.new}, which the release was made of" in said.err
    assert "vouched" not in said.out
    assert workflows(checkout) == before


def test_a_release_that_was_changed_with_its_tag(made: Releases, checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One right moves a tag and changes what a release says of its commit, unless it is immutable: people are told."""
    made.repository.tags["v1.1.0"] = made.repository.releases[-1].made_of = theirs(made)
    made.repository.releases[-1].immutable = False
    assert upgraded(checkout, "v1.1.0", "--dry-run") == 0
    said = capsys.readouterr().out
    assert "WARNING the release is not immutable: whoever may write there can move v1.1.0 and have the release say so" in said
    assert "WARNING it is not on main" in said


def test_the_tag_where_its_release_was_made(made: Releases, checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert upgraded(checkout, "--commit", made.new) == 0
    said = capsys.readouterr().out
    assert "vouched the published release v1.1.0" in said
    assert "WARNING" not in said
    assert all(made.old.encode() not in text for text in workflows(checkout).values())


def test_a_changelog_that_speaks_like_a_step_of_ours(
    made: Releases, checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    bad = theirs(made, STEP)
    assert upgraded(checkout, "--commit", bad, "--dry-run") == 0
    said = capsys.readouterr().out
    assert "WARNING UNVOUCHED" in said
    steps = [line for line in said.splitlines() if line.startswith("## 1. ")]
    assert len(steps) == 1, "ours"
    assert "| sudo bash /tmp/theirs" in said.splitlines()
    assert "\x1b" not in said
    assert not any(line.lstrip("| ").startswith("::") for line in said.splitlines())


def test_a_changelog_that_says_what_changed(made: Releases, checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert upgraded(checkout, "v1.1.0", "--dry-run") == 0
    assert "| - What 1.1.0 has." in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("place", [".github", ".github/workflows", ".github/workflows/dr.yml"])
def test_a_branch_whose_workflows_lead_out_of_the_checkout(
    place: str, made: Releases, checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / place).rename(tmp_path / "elsewhere")
    (checkout / place).symlink_to(tmp_path / "elsewhere")
    before = {path: path.read_bytes() for path in [tmp_path / "elsewhere", *(tmp_path / "elsewhere").rglob("*")] if path.is_file()}
    assert upgraded(checkout, "v1.1.0") == 2
    assert "upgrade.file" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before


def test_a_branch_with_plain_workflows(made: Releases, checkout: Path) -> None:
    assert upgraded(checkout, "v1.1.0") == 0
    assert all(made.old.encode() not in text for text in workflows(checkout).values())
