"""`hyops-ci readiness`: which check is due, and the ping that keeps an outside watcher quiet."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hyops_ci.cli.app import main
from tests.ledger.ledger_setup import bare
from tests.support.receiver import start_receiver

CANARY = "c4n4ry-6b1f-4a6e-of-the-watcher"
CONFIG = """
services:
  pg-ha/{env}:
    failover: {{lane: gcp, blueprint: dr/x@v1}}
envs: {{lab: {{class: lab}}}}
drills: {{pg-ha/{env}: {{check: {{every: P1D}}}}}}
host_keys: {{gcp: "ed25519:7UkoxijRwsbq6QM4kFmVYSlZJzpcY/k2NsFGFKyHN9E="}}
ledger: {{repository: {ledger}}}
{more}
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("GITHUB_ACTIONS", "DR_SERVICE", "GITHUB_RUN_NUMBER"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "checkout" / ".github").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "checkout")

    def write(more: str = "", env: str = "lab") -> None:
        Path(".github/dr-dispatch.yml").write_text(CONFIG.format(env=env, ledger=tmp_path / "ledger.git", more=more))

    write()
    return write


@pytest.fixture
def run(write: object, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([*words])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


def test_what_was_never_checked_is_due(run: Run, tmp_path: Path) -> None:
    bare(tmp_path / "ledger.git")
    run("ledger", "init", "--all")
    code, out, _ = run("readiness", "due", "--format", "json")
    assert (code, json.loads(out)["service"]) == (0, "pg-ha/lab")
    assert "check of pg-ha/lab every P1D" in json.loads(out)["owed"][0]


def test_a_job_gets_it_as_an_output(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare(tmp_path / "ledger.git")
    run("ledger", "init", "--all")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        (tmp_path / name).touch()
        monkeypatch.setenv(name, str(tmp_path / name))
    code, _, _ = run("readiness", "due")
    assert code == 0
    assert "pg-ha/lab" in (tmp_path / "GITHUB_OUTPUT").read_text()
    assert "check pg-ha/lab" in (tmp_path / "GITHUB_STEP_SUMMARY").read_text()


def test_a_service_that_is_none(run: Run, tmp_path: Path) -> None:
    bare(tmp_path / "ledger.git")
    code, _, err = run("readiness", "due", "--service", "mail/lab")
    assert (code, "form.service" in err) == (2, True)


def test_a_ping_and_its_address_is_shown_nowhere(run: Run, write: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    with start_receiver() as watcher:
        origin = watcher.url.removesuffix("/dr")
        write(f"notify: {{heartbeat: '{origin}'}}")
        monkeypatch.setenv("DR_HEARTBEAT_URL", f"{origin}/{CANARY}\n")
        code, out, err = run("readiness", "heartbeat")
    assert (code, out.strip(), watcher.pings) == (0, f"{origin} pinged", [f"/{CANARY}"])
    assert CANARY not in out + err


@pytest.mark.parametrize(
    ("env", "url", "why"),
    [
        ("lab", "", "no address to ping (heartbeat_url)"),
        ("lab", f"https://elsewhere.example/{CANARY}", "is none at"),
        ("prod", f"{{origin}}/{CANARY}", "its address is not https"),
    ],
)
def test_what_was_not_pinged_is_a_warning_and_no_failure(
    env: str, url: str, why: str, run: Run, write: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with start_receiver() as watcher:
        origin = watcher.url.removesuffix("/dr")
        write(f"notify: {{heartbeat: '{origin}'}}", env)
        monkeypatch.setenv("DR_HEARTBEAT_URL", url.format(origin=origin))
        code, out, err = run("readiness", "heartbeat")
    assert (code, why in out, watcher.pings) == (0, True, [])
    assert CANARY not in out + err


def test_without_a_watcher_nothing_is_pinged(run: Run) -> None:
    code, out, _ = run("readiness", "heartbeat")
    assert (code, out.strip()) == (0, "no watcher is pinged: notify.heartbeat is not set")
