"""`hyops-ci init`: what it says, in both forms; ids from GitHub where a token is at hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from hyops_ci.cli.app import main
from tests.support.github.fixture import github_fake
from tests.support.github.server import FakeGitHub
from tests.unit.operations.init.adopting import KEY, RELEASE, SERVICE, blueprints

__all__ = ["github_fake"]
CANARY = "ghp_canary-of-the-token"


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Init = Callable[..., Said]


@pytest.fixture
def init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Init:
    """The command over a checkout of its own."""
    for name in ("DR_TOKEN", "GH_TOKEN", "GITHUB_TOKEN", "GH_REPO", "GITHUB_REPOSITORY", "GITHUB_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    blueprints(tmp_path / "core" / "blueprints")
    (tmp_path / "checkout").mkdir()

    def call(*words: str, service: str = SERVICE) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["init", service, "--into", str(tmp_path / "checkout"), "--core-root", str(tmp_path / "core"), *words])
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return Said(int(ended.value.code or 0), said.out, said.err)

    return call


NEW = ("--vault", "https://vault.example.net", "--site", "gcp")


def test_the_first_and_the_second_time(init: Init) -> None:
    said = init(*NEW, "--reviewer", "jonas", "--release", RELEASE)
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert [line.split()[0] for line in lines[:5]] == ["wrote"] * 5
    assert [" ".join(line.split()[:2]) for line in lines if line.startswith("## ")] == [f"## {number}." for number in range(1, 11)]
    assert "replace OWNER/REPOSITORY, ID_OF_JONAS, REPOSITORY_ID, OWNER_ID" in lines
    assert lines[-1].endswith("hyops-ci doctor --service pg-ha/prod")
    again = init("--reviewer", "jonas")
    assert again.out == said.out.replace("wrote  ", "kept   ")


def test_as_json(init: Init) -> None:
    said = json.loads(init(*NEW, "--format", "json").out)
    assert set(said) == {"written", "kept", "missing", "fill", "additions", "unproven", "blocks", "placeholders"}
    assert len(said["written"]) == 5
    assert all(set(block) == {"title", "text"} for block in said["blocks"])


def test_a_second_service_is_lines_to_add(init: Init) -> None:
    init(*NEW)
    said = init(service="erp/prod")
    assert said.code == 0
    assert "add to .github/dr-dispatch.yml, below services:\n  erp/prod:\n    failover: {lane: gcp, " in said.out


def test_ids_are_looked_up(init: Init, github_fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_API_URL", github_fake.url)
    monkeypatch.setenv("GH_TOKEN", github_fake.add_token("metadata: read"))
    monkeypatch.setenv("GH_REPO", "acme/recovery")
    github_fake.add_repository("acme/recovery", number=4711).default_branch = "trunk"
    for login, number in (("jonas", 1002), ("priya", 1003)):
        github_fake.add_user(login, number=number)
    said = init(*NEW, "--reviewer", "jonas", "--key", f"priya={KEY}", "--release", RELEASE, "--format", "json")
    done = json.loads(said.out)
    assert done["placeholders"] == []
    text = "\n".join(block["text"] for block in done["blocks"])
    assert '"reviewers": [{"type": "User", "id": 1002}, {"type": "User", "id": 1003}]' in text
    assert '"repository_id": 4711,' in text
    assert '"ref": "refs/heads/trunk"' in text
    # What the config holds already is asked for too: the host has to know every key that the config names.
    again = json.loads(init("--format", "json").out)
    assert [block["text"] for block in again["blocks"]][-1].count('"id": 1003') == 1


def test_a_person_who_is_not_there_is_refused_before_anything_is_written(
    init: Init, github_fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GITHUB_API_URL", github_fake.url)
    monkeypatch.setenv("GH_TOKEN", github_fake.add_token("metadata: read"))
    github_fake.add_repository("acme/recovery")
    said = init(*NEW, "--repository", "acme/recovery", "--reviewer", "nobody-there")
    assert said.code == 4
    assert list((tmp_path / "checkout").iterdir()) == []


def test_a_token_that_is_not_known_is_not_shown(init: Init, github_fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_API_URL", github_fake.url)
    monkeypatch.setenv("GH_TOKEN", CANARY)
    said = init(*NEW, "--repository", "acme/recovery")
    assert said.code == 2
    assert CANARY not in said.out + said.err


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--vault", "https://vault.example.net"),
        (*NEW, "--release", "v1"),
        (*NEW, "--key", "jonas"),
        (*NEW, "--key", "jonas=ed25519:short"),
        (*NEW[:1], "not an address", *NEW[2:]),
        (*NEW, "--failover", "nonsense"),
        (*NEW, "--lane", "onprem"),
    ],
)
def test_what_is_no_wish_writes_nothing(words: tuple[str, ...], init: Init, tmp_path: Path) -> None:
    assert init(*words).code == 2
    assert list((tmp_path / "checkout").iterdir()) == []


def test_who_reviews_already_is_asked_for_and_the_place_is_the_top_of_the_checkout(
    init: Init, github_fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without --reviewer: the reviewers of the gate, else the code owners. From a folder below, the files go where GitHub reads them."""
    checkout = tmp_path / "checkout"
    (checkout / ".git").mkdir()
    (checkout / "deep" / "down").mkdir(parents=True)
    (checkout / "CODEOWNERS").write_text("* @acme/leads @lena\n")
    monkeypatch.chdir(checkout / "deep" / "down")
    said = json.loads(init(*NEW, "--into", ".", "--format", "json").out)
    assert ".github/dr-dispatch.yml" in said["written"]
    assert (checkout / ".github/dr-dispatch.yml").is_file()
    assert "ID_OF_LENA" in said["placeholders"]
    monkeypatch.setenv("GITHUB_API_URL", github_fake.url)
    monkeypatch.setenv("GH_TOKEN", github_fake.add_token("metadata: read", "actions: read"))
    repository = github_fake.add_repository("acme/recovery", number=4711)
    people = [github_fake.add_user(login, number=number) for login, number in (("jonas", 1002), ("priya", 1003))]
    repository.add_environment("dr-prod", reviewers=people, branches=["main"])
    again = json.loads(init("--repository", "acme/recovery", "--format", "json").out)
    gate = again["blocks"][0]["text"]
    assert '"reviewers": [{"type": "User", "id": 1002}, {"type": "User", "id": 1003}]' in gate


def test_a_host_without_a_known_approver_has_a_word_to_replace(init: Init) -> None:
    """An empty list would let nobody approve, and nothing would say so."""
    said = json.loads(init(*NEW, "--format", "json").out)
    host = next(block["text"] for block in said["blocks"] if "what its host" in block["title"])
    assert '"id": ID_OF_REVIEWER_1' in host
    assert {"A_REVIEWER", "ID_OF_REVIEWER_1"} <= set(said["placeholders"])
