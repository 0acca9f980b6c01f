"""`hyops-ci upgrade`: what it says and changes, in a checkout and on a host, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from hyops_ci.cli.app import main
from hyops_ci.hyops_access.rule import RELEASES
from hyops_ci.operations.prepare import environment, former_libraries
from hyops_ci.operations.prepare.former_libraries import FormerLibraries
from tests.support.github.fixture import github_fake
from tests.support.github.server import FakeGitHub
from tests.unit.operations.upgrade.calling import Releases, calling, releases

__all__ = ["github_fake"]
TRUST = {
    "api_version": "hybridops/v1",
    "kind": "HostTrust",
    "repository_id": 1,
    "repository_owner_id": 2,
    "ref": "refs/heads/main",
    "workflow_shas": ["3f2a" + "0" * 36],
    "runner_refs": ["gcp-ops-runner"],
    "approvers": [],
}


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Call = Callable[..., Said]


@pytest.fixture
def made(github_fake: FakeGitHub) -> Releases:
    return releases(github_fake)


@pytest.fixture
def checkout(made: Releases, tmp_path: Path) -> Path:
    return calling(tmp_path / "checkout", made.old)


@pytest.fixture
def call(github_fake: FakeGitHub, made: Releases, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    for name in ("DR_TOKEN", "GITHUB_TOKEN", "GITHUB_REPOSITORY", "GITHUB_SERVER_URL", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    github_fake.add_organization("acme", number=77)
    github_fake.add_repository("acme/recovery", number=4711)
    monkeypatch.setenv("GH_REPO", "acme/recovery")
    monkeypatch.setenv("GH_TOKEN", github_fake.add_token("contents: read", "metadata: read", actor="maria"))
    monkeypatch.setenv("GITHUB_API_URL", github_fake.url)

    def called(*words: str | Path) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["upgrade", *map(str, words)])
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return Said(int(ended.value.code or 0), said.out, said.err)

    return called


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_it_moves_what_pins_and_says_what_is_to_be_done_first(call: Call, made: Releases, checkout: Path) -> None:
    before = everything(checkout)
    said = call("v1.1.0", "--into", checkout / ".github")
    assert said.code == 0, said.err
    after = everything(checkout)
    assert {name for name in before if before[name] != after[name]} == {
        f".github/workflows/{name}.yml" for name in ("dr", "dr-decision", "dr-drill", "nightly")
    }
    assert not any(made.old.encode() in text for text in after.values())
    lines = said.out.splitlines()
    assert lines[:3] == [f"from    {made.old} v1.0.0", f"to      {made.new} v1.1.0", "vouched the published release v1.1.0"]
    assert "changed .github/workflows/dr.yml: 1 pin" in lines
    assert "| - What 1.1.0 has." in lines, "quoted: a line of it is taken for none of ours"
    assert "| - What 1.0.0 has." not in lines
    titles = [line for line in lines if line.startswith("## ")]
    assert titles[0] == "## What comes (CHANGELOG.md)"
    assert [title[3] for title in titles[1:]] == ["1", "2", "3", "4", "5", "6"]
    assert '"repository_id": "4711"' in said.out
    assert "replace " not in said.out


def test_a_dry_run_shows_the_difference_and_changes_nothing(call: Call, made: Releases, checkout: Path) -> None:
    before = everything(checkout)
    said = call("1.1.0", "--into", checkout, "--dry-run")
    assert (said.code, everything(checkout)) == (0, before)
    assert "would change .github/workflows/dr.yml: 1 pin" in said.out
    pin = "    uses: hybridops/dr-dispatch/.github/workflows/dispatch.yml@"
    assert f"-{pin}{made.old} # write the commit of the release here\n+{pin}{made.new} # v1.1.0\n" in said.out


def test_the_same_as_json(call: Call, made: Releases, checkout: Path) -> None:
    document = json.loads(call(f"--commit={made.later}", "--into", checkout, "--format", "json").out)
    assert document["from"] == {"commit": made.old, "version": "v1.0.0"}
    assert document["to"] == {"commit": made.later, "version": "", "prerelease": False}
    assert (document["vouched"], document["relation"], set(document["added"])) == (True, "ahead", {"Unreleased", "1.1.0"})
    assert [each["pins"] for each in document["changed"]] == [1, 1, 1, 1]
    assert len(document["steps"]) == 6


def test_a_second_time_there_is_nothing_to_change_and_the_end_names_the_new_one_alone(call: Call, made: Releases, checkout: Path) -> None:
    call("v1.1.0", "--into", checkout)
    said = call("v1.1.0", "--into", checkout)
    assert "nothing to change: every workflow pins it. When checks are green: hyops-ci upgrade --finish" in said.out
    assert "## 1." not in said.out
    ended = call("--finish", "--into", checkout)
    assert ended.out.startswith(f"stays   {made.new}, which this checkout pins\n")
    assert made.old not in ended.out
    assert json.loads(call("--finish", "--into", checkout, "--format", "json").out)["commit"] == made.new


def test_without_a_token_the_end_has_words_to_replace(call: Call, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GH_TOKEN")
    said = call("--finish", "--into", checkout)
    assert (said.code, '"repository_id": "REPOSITORY_ID"' in said.out) == (0, True)
    assert said.out.splitlines()[-1] == "replace REPOSITORY_ID, OWNER_ID"
    assert call("v1.1.0", "--into", checkout).code == 2


@pytest.mark.parametrize(
    ("words", "code", "gate"),
    [
        (["v9.9.9"], 2, "upgrade.version"),
        (["v1"], 2, "upgrade.version"),
        (["--commit", "9" * 40], 2, "upgrade.commit"),
        (["v1.1.0", "--commit", "9" * 40], 4, "upgrade.moved"),
    ],
)
def test_what_nobody_vouches_for_changes_nothing(words: list[str], code: int, gate: str, call: Call, checkout: Path) -> None:
    before = everything(checkout)
    said = call(*words, "--into", checkout)
    assert (said.code, f"REFUSED {gate} " in said.err, everything(checkout)) == (code, True, before)


def test_pins_of_several_commits_are_named_and_left(call: Call, made: Releases, checkout: Path) -> None:
    workflow = checkout / ".github" / "workflows" / "dr-drill.yml"
    workflow.write_bytes(workflow.read_bytes().replace(made.old.encode(), made.later.encode()))
    said = call("v1.1.0", "--into", checkout)
    assert said.code == 2
    assert "REFUSED upgrade.pins" in said.err
    assert f".github/workflows/dr-drill.yml:22 @{made.later}" in said.err


@pytest.mark.parametrize(
    "words",
    [[], ["--commit", "abc"], ["v1.1.0", "--finish"], ["v1.1.0", "--trust", "t"], ["--trust", "t"], ["--finish", "--commit", "9" * 40]],
)
def test_words_that_do_not_go_together_are_usage(words: list[str], call: Call, checkout: Path, github_fake: FakeGitHub) -> None:
    assert call(*words, "--into", checkout).code == 2
    assert github_fake.calls == []


def test_on_a_host_earlier_libraries_go_with_their_commit(
    call: Call, github_fake: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust, [commit] = tmp_path / "trust.json", TRUST["workflow_shas"]
    trust.write_text(json.dumps(TRUST))
    asked: list[str] = []
    of_checkout = environment.commit_of

    def removed() -> FormerLibraries:
        asked.append("removed")
        return FormerLibraries(removed=("0" * 24,), at_work=("1" * 24,))

    monkeypatch.setattr(former_libraries, "remove_former", removed)
    (tmp_path / ".git").mkdir()
    for head, lines in (
        (
            commit,
            [f"removed {RELEASES}/{'0' * 24}", f"kept {RELEASES}/{'1' * 24}: HyOps works by it. Once it has ended, the same command again"],
        ),
        ("ref: refs/heads/main", []),
        ("4b1c" + "1" * 36, []),
    ):
        (tmp_path / ".git" / "HEAD").write_text(f"{head}\n")
        monkeypatch.setattr(environment, "commit_of", partial(of_checkout, tmp_path))
        said = call("--commit", commit, "--trust", trust, "--finish").out.splitlines()
        assert [each for each in said[1:] if "of other commits" not in each] == lines
    (tmp_path / ".git" / "HEAD").write_text(f"{commit}\n")
    call("--commit", commit, "--trust", trust, "--finish", "--dry-run")
    call("--commit", commit, "--trust", trust)
    assert asked == ["removed"]


def test_on_a_host_the_trust_file_learns_it_and_forgets_the_other(call: Call, github_fake: FakeGitHub, tmp_path: Path) -> None:
    trust, [old], new = tmp_path / "trust.json", TRUST["workflow_shas"], "4b1c" + "1" * 36
    trust.write_text(json.dumps(TRUST, indent=2))
    trust.chmod(0o644)
    said = call("--commit", new, "--trust", trust, "--dry-run")
    assert said.out.startswith(f"{trust.resolve()} would be changed: it accepts {new}\n")
    assert f'+    "{new}",' in said.out
    assert json.loads(trust.read_text()) == TRUST
    assert call("--commit", new, "--trust", trust).out == f"{trust.resolve()} is changed: it accepts {new}\n"
    assert json.loads(trust.read_text()) == TRUST | {"workflow_shas": [new, old]}
    assert call("--commit", new, "--trust", trust).out == f"{trust.resolve()} is as it should be: it accepts {new}\n"
    assert call("--commit", new, "--trust", trust, "--finish").out == f"{trust.resolve()} is changed: it accepts {new} alone\n"
    assert trust.read_text() == json.dumps(TRUST | {"workflow_shas": [new]}, indent=2)
    assert (trust.stat().st_mode & 0o777, github_fake.calls) == (0o644, [])
    assert call("--commit", old, "--trust", trust, "--finish").code == 2, "it would take no job any more"
    assert call("--commit", new, "--trust", tmp_path / "none.json").code == 2
