from __future__ import annotations

from pathlib import Path

import pytest

from hyops_ci.operations.callers import Call, calls_in, calls_nothing_but, recovering, workflows_of
from hyops_ci.operations.init.files import template

SHA = "3f2a" + "0" * 36
OURS = "hybridops/dr-dispatch/.github/workflows"
PIN = (f"{OURS}/dispatch.yml", SHA)


def jobs(*uses: str) -> bytes:
    return "".join(["jobs:\n", *(f"  job{number}:\n    {each}\n" for number, each in enumerate(uses))]).encode()


@pytest.mark.parametrize("name", ["dr-manual.yml", "dr-decision.yml", "dr-alert.yml", "dr-runner.yml"])
def test_each_template_is_nothing_but_a_call(name: str) -> None:
    text = template(name).read_bytes()
    [found] = calls_in(text)
    assert found.folder == OURS
    assert calls_nothing_but(text, (f"{OURS}/dispatch.yml", "0" * 40))
    assert bool(recovering({name: text})) is (name != "dr-runner.yml")


def test_a_call_is_a_job_by_the_commit_that_it_pins() -> None:
    text = jobs(f"uses: {OURS}/dispatch.yml@{SHA} # v1", f"uses: '{OURS}/runner.yaml@{SHA}'", "runs-on: ubuntu-24.04")
    assert calls_in(text) == (Call(OURS, "dispatch", ".yml", SHA), Call(OURS, "runner", ".yaml", SHA))
    assert calls_in(text)[0].pin == PIN
    assert recovering({"a": text, "b": b""}) == [Call(OURS, "dispatch", ".yml", SHA)]


@pytest.mark.parametrize(
    "text",
    [
        jobs(f"uses: {OURS}/dispatch.yml@main"),
        jobs(f"uses: {OURS}/dispatch.yml@{SHA[:-1]}"),
        jobs(f"uses: {OURS}/ci.yml@{SHA}"),
        jobs(f"uses: acme/ci/.github/workflows/dispatch.yml@{SHA}"),
        jobs(f"uses: acme/not-dr-dispatch/.github/workflows/dispatch.yml@{SHA}"),
        jobs(f"runs-on: x\n    steps: [{{uses: {OURS}/dispatch.yml@{SHA}}}]"),
        b"jobs: [1]",
        b"- 1",
        b"\xff",
        b"",
    ],
)
def test_what_is_no_call(text: bytes) -> None:
    assert calls_in(text) == ()
    assert not calls_nothing_but(text, PIN)


@pytest.mark.parametrize(
    "other", [f"uses: mallory/dr-dispatch/.github/workflows/runner.yml@{SHA}", f"uses: {OURS}/runner.yml@{'e' * 40}", "runs-on: x"]
)
def test_one_other_job_is_something_else(other: str) -> None:
    mine = f"uses: {OURS}/dispatch.yml@{SHA}"
    assert calls_nothing_but(jobs(mine, f"uses: {OURS}/runner.yml@{SHA}"), PIN)
    assert not calls_nothing_but(jobs(mine, other), PIN)


def test_the_workflows_of_a_checkout(tmp_path: Path) -> None:
    assert workflows_of(tmp_path) == {}
    (folder := tmp_path / ".github" / "workflows").mkdir(parents=True)
    for name in ("b.yml", "a.yaml", "notes.txt"):
        (folder / name).write_text(name)
    (folder / "c.yml").mkdir()
    assert workflows_of(tmp_path) == {".github/workflows/a.yaml": b"a.yaml", ".github/workflows/b.yml": b"b.yml"}
