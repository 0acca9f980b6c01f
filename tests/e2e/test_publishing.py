"""The last two steps of release.yml, as they stand, with GitHub's own client: what is published, and where the moving tag goes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from hyops_ci.errors import Refusal
from hyops_ci.github.api.client import Client
from hyops_ci.github.releases import release
from tests.support.github.cli import gh_speaks_to
from tests.support.github.releases import ReleaseOptions, publish, releases_of
from tests.support.github.repositories import Repository
from tests.support.github.server import FakeGitHub, start_github
from tools.release.references import REPOSITORY

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
PUBLISH, MOVE = (
    step["run"] for step in yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]["publish"]["steps"][-2:]
)
COMMIT = "4b1c" + "1" * 36


@dataclass
class Job:
    """The job that publishes, past its gate."""

    fake: FakeGitHub
    repository: Repository
    environment: dict[str, str]
    folder: Path

    def tag(self, name: str, commit: str = COMMIT) -> None:
        """Somebody pushes a tag."""
        self.repository.trees[commit] = {}
        self.repository.tags[name] = commit

    def release(self, tag: str, commit: str = COMMIT) -> subprocess.CompletedProcess[str]:
        """Both steps, the second if the first succeeds."""
        known = {"GITHUB_REF_NAME": tag, "GITHUB_SHA": commit, "GITHUB_REPOSITORY": REPOSITORY, "GH_REPO": REPOSITORY}
        for step in (PUBLISH, MOVE):
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step],
                cwd=self.folder,
                env=self.environment | known,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                return done
        return done


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    (tmp_path / "dist").mkdir()
    for name in ("RELEASE_NOTES.md", "SHA256SUMS", "thing.whl"):
        (tmp_path / "dist" / name).write_text(name)
    with start_github() as fake:
        repository = fake.add_repository(REPOSITORY)
        with gh_speaks_to(fake, tmp_path) as speaks:
            token = fake.add_token("contents: write")
            yield Job(fake, repository, {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GH_TOKEN": token, **speaks}, tmp_path)
        assert fake.violations == []


@pytest.mark.parametrize(
    ("before", "tag", "major"),
    [
        ({}, "v1.0.0", COMMIT),
        ({"v1.9.0": "a" * 40, "v1": "a" * 40}, "v1.10.0", COMMIT),
        ({"v1.1.0": "a" * 40, "v1": "a" * 40}, "v1.0.1", "a" * 40),
        ({"v1.1.0": "a" * 40, "v1": "a" * 40}, "v2.0.0", "a" * 40),
        ({}, "v0.9.0", None),
    ],
)
def test_the_moving_tag_follows_the_newest_release(job: Job, before: dict[str, str], tag: str, major: str | None) -> None:
    for name, commit in before.items():
        job.tag(name, commit)
        if name.count(".") == 2:
            assert job.release(name, commit).returncode == 0
    job.tag(tag)
    done = job.release(tag)
    assert done.returncode == 0, done.stderr
    made = releases_of(job.repository)[-1]
    assert (made.tag, made.draft, set(made.assets)) == (tag, False, {"RELEASE_NOTES.md", "SHA256SUMS", "thing.whl"})
    assert made.made_of == COMMIT, "which hyops-ci upgrade compares the tag with"
    assert job.repository.tags.get("v1") == major
    assert job.repository.tags.get("v2") == (COMMIT if tag == "v2.0.0" else None)
    assert "v0" not in job.repository.tags


def test_a_tag_that_moved_while_it_waited_is_not_released(job: Job) -> None:
    job.tag("v1.0.0", "b" * 40)
    done = job.release("v1.0.0")
    assert done.returncode == 5
    assert f"REFUSED release.tag::v1.0.0 is {'b' * 40} now; expected {COMMIT}" in done.stdout
    assert (releases_of(job.repository), job.repository.tags) == ([], {"v1.0.0": "b" * 40})


def test_a_tag_that_is_moved_after_its_release_is_known_by_it(job: Job) -> None:
    """What `hyops-ci upgrade` compares a tag with is written here."""
    job.tag("v1.0.0")
    assert job.release("v1.0.0").returncode == 0
    client = Client.connect(REPOSITORY, token=job.environment["GH_TOKEN"], api_url=job.fake.url)
    assert release(client, "v1.0.0").commit == COMMIT
    job.tag("v1.0.0", "b" * 40)
    with pytest.raises(Refusal) as refused:
        release(client, "v1.0.0")
    assert (refused.value.gate, refused.value.expected) == ("upgrade.moved", f"{COMMIT}, which the release was made of")


def test_a_prerelease_keeps_the_moving_tag_from_no_release(job: Job) -> None:
    for name, options in (("v1.0.0", ReleaseOptions()), ("v1.9.0-rc1", ReleaseOptions(prerelease=True))):
        job.tag(name, "a" * 40)
        publish(job.repository, name, "a" * 40, options)
    job.tag("v1.1.0")
    assert job.release("v1.1.0").returncode == 0
    assert job.repository.tags["v1"] == COMMIT


@pytest.mark.parametrize("name", ["v1.zz", "v1.9.9-x", "v1.9.9.9", "v1.99", "v1x9.9.9"])
def test_a_release_of_another_name_keeps_the_moving_tag_from_no_release(name: str, job: Job) -> None:
    """Who may write can publish a release of a name that no rule protects, and tags of versions are maintainers' alone."""
    job.tag(name, "a" * 40)
    publish(job.repository, name, "a" * 40, ReleaseOptions())
    job.tag("v1.1.0")
    assert job.release("v1.1.0").returncode == 0
    assert job.repository.tags["v1"] == COMMIT


def test_what_was_released_is_not_released_again(job: Job) -> None:
    job.tag("v1.0.0")
    assert job.release("v1.0.0").returncode == 0
    done = job.release("v1.0.0")
    assert done.returncode == 1
    assert "already exists" in done.stderr
    assert len(releases_of(job.repository)) == 1
