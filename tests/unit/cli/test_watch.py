"""`hyops-ci watch` as a step: what it is told by environment, and what it leaves for the jobs behind it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from hyops_ci.cli.app import main
from tests.support.clock import Clock
from tests.support.github.fixture import github_fake
from tests.support.github.runs import Run
from tests.support.github.server import FakeGitHub

__all__ = ["github_fake"]
LABELS = ("self-hosted", "gcp-ops-runner")
NAME = "gcp-ops-runner-01"
CHECK = "Check gcp-ops-runner (changes nothing)"


@dataclass
class Step:
    """One step on a fake GitHub whose clock leaps."""

    fake: FakeGitHub
    run: Run
    clock: Clock
    folder: Path
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["watch", *words])
        said = self.capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    def outputs(self) -> dict[str, str]:
        text = (self.folder / "output").read_text("utf-8")
        return {line.partition("<<")[0]: value for line, value in zip(text.splitlines()[::3], text.splitlines()[1::3], strict=True)}


@pytest.fixture
def step(github_fake: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Step:
    clock = Clock()
    github_fake.now = clock.now
    run = github_fake.add_repository("acme/shop", private=True).add_run()
    monkeypatch.setattr("hyops_ci.cli.github_job.SystemClock", lambda: clock)
    for name in ("DR_RUNNER_TOKEN", "DR_APP_ID", "DR_RUNNER_NAMES", "DR_BOOTSTRAP_REASON", "DR_LIMIT"):
        monkeypatch.delenv(name, raising=False)
    environ = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_RUN_ID": str(run.id),
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_REPOSITORY": "acme/shop",
        "GITHUB_API_URL": github_fake.url,
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "DR_TOKEN": github_fake.add_token("actions: write", seconds=86_400),
        "DR_WHICH": "check",
        "DR_JOB": CHECK,
        "DR_RUNS_ON": json.dumps(LABELS),
        "DR_RUNNER_REF": "gcp-ops-runner",
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return Step(github_fake, run, clock, tmp_path, capsys)


def test_taken(step: Step) -> None:
    runner = step.run.repository.add_runner(NAME, ["gcp-ops-runner"])
    step.run.add_job(f"dr / {CHECK}", LABELS).take(runner)
    code, out, err = step()
    assert (code, out) == (0, ""), err
    assert f"taken by {NAME} at once" in err
    left = step.outputs()
    assert (left["verdict"], left["runner_name"], left["runner_id"], left["exit_code"]) == ("taken", NAME, str(runner.id), "0")
    assert json.loads(left["watched"])["verdict"] == "taken"
    assert "refusal" not in json.loads(left["watched"])
    assert not (step.folder / "summary").exists()


def test_nobody(step: Step) -> None:
    step.run.add_job(f"dr / {CHECK}", LABELS)

    def ended(run: Run) -> None:
        shutil.copy(step.folder / "output", step.folder / "outputs-then")

    step.run.on_cancel = ended
    code, _, err = step()
    assert code == 7
    assert "REFUSED runner.silent (exit 7): no runner took the job in 120 s" in err
    assert "::error title=REFUSED runner.silent (exit 7)%3A no runner took the job in 120 s::" in err
    assert err.index("  fix ") < err.index("run cancelled")
    assert "- **expected** `one online runner with both labels`" in (step.folder / "summary").read_text("utf-8")
    left = step.outputs()
    assert (left["verdict"], left["exit_code"], left["runner_id"]) == ("missing", "7", "")
    assert json.loads(left["watched"])["refusal"]["gate"] == "runner.silent"
    assert (step.folder / "outputs-then").read_bytes() == (step.folder / "output").read_bytes(), "outputs are there before the cancel"


def test_a_reason_to_make_one(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DR_BOOTSTRAP_REASON", "runner-recovery")
    monkeypatch.setenv("DR_LIMIT", "60")
    step.run.add_job(CHECK, LABELS)
    assert step()[0] == 0
    assert step.outputs()["verdict"] == "missing"
    assert step.run.conclusion is None
    assert step.clock.seconds < 90


def test_a_stranger_as_json(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DR_RUNNER_NAMES", json.dumps([NAME]))
    step.run.add_job(CHECK, LABELS).take(step.run.repository.add_runner("mallory", ["gcp-ops-runner"]))
    code, out, _ = step("--format", "json")
    assert code == 7
    assert json.loads(out)["verdict"] == "stranger"
    assert step.run.conclusion == "cancelled"


@pytest.mark.parametrize(("group", "code"), [("default", 0), ("dr-runners", 7)])
def test_a_runner_of_another_group_is_a_stranger(group: str, code: int, step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DR_RUNNER_GROUP", group)
    step.run.add_job(CHECK, LABELS).take(step.run.repository.add_runner(NAME, ["gcp-ops-runner"]))
    assert step()[0] == code
    assert step.outputs()["verdict"] == ("stranger" if code else "taken")


def test_a_token_that_lists_runners(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DR_RUNNER_TOKEN", step.fake.add_token("administration: read", seconds=86_400))
    step.run.repository.add_runner(NAME, ["gcp-ops-runner"], status="offline")
    step.run.add_job(CHECK, LABELS)
    step()
    assert step.outputs()["cause"].startswith(f"{NAME} is offline; ")


def test_what_it_may_not_see_is_a_warning(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DR_TOKEN", step.fake.add_token("contents: read"))
    code, _, err = step()
    assert code == 0
    assert "::warning title=Not known whether a runner takes the job::" in err
    assert step.outputs()["verdict"] == "unknown"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DR_RUNS_ON", "gcp-ops-runner"),
        ("DR_RUNS_ON", "[]"),
        ("DR_RUNS_ON", '[["a"]]'),
        ("DR_RUNNER_NAMES", "{}"),
        ("DR_LIMIT", "5"),
        ("DR_BOOTSTRAP_REASON", "quicker"),
    ],
)
def test_inputs_that_are_none(name: str, value: str, step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    assert step()[0] == 2
    assert step.fake.calls == []


def test_no_token_is_shown(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = [step.fake.add_token("administration: read", seconds=86_400), step.fake.add_token("actions: write", seconds=86_400)]
    monkeypatch.setenv("DR_RUNNER_TOKEN", secrets[0])
    monkeypatch.setenv("DR_TOKEN", secrets[1])
    step.run.add_job(CHECK, LABELS)
    _, out, err = step()
    left = out + err + "".join(path.read_text("utf-8") for path in step.folder.iterdir() if path.is_file())
    assert not [secret for secret in secrets if secret in left]
