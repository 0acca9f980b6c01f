from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.cli.app import main
from hyops_ci.config.file import read_config
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.figures import Figures
from hyops_ci.contracts.run import State
from hyops_ci.errors import Exit, Fault
from hyops_ci.github.api import client
from hyops_ci.ledger.git_store import create_repository
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.vouching import Vouchers
from hyops_ci.operations.status import Places, ServiceStatus, status
from hyops_ci.readiness.store import KeptChecks
from hyops_ci.signing.dsse import sign
from tests.ledger.ledger_setup import SERVICE, START, MemoryStore, at, request
from tests.support.github import faults
from tests.support.github.fixture import github_fake
from tests.support.github.server import FakeGitHub
from tests.unit.readiness.samples import KEYS, PUBLIC, MemoryChecks, branch, envelope, record
from tests.unit.readiness.samples import NOW as NOW_OF_CHECKS

__all__ = ["github_fake"]

CONFIG = """
services:
  pg-ha/prod:
    failover: {lane: gcp, blueprint: dr/x@v1}
    failback: {lane: onprem, blueprint: dr/y@v1}
"""
SIGNED = """
approvals: {channels: [signed], quorum: 2, approvers: {jonas: "ed25519:7UkoxijRwsbq6QM4kFmVYSlZJzpcY/k2NsFGFKyHN9E="}}
"""
NOW = START + timedelta(days=3)


def config_of(text: str = CONFIG) -> DispatchConfig:
    return read_config(text.encode(), "dr-dispatch.yml")[0]


@pytest.fixture
def ledger() -> Ledger:
    made = Ledger(MemoryStore(), SERVICE)
    made.init("onprem", at(-60))
    made.vouchers = Vouchers(lambda: NOW, home_site="onprem")
    return made


def seen(ledger: Ledger, *, minutes: float | None = None) -> ServiceStatus:
    return seen_by(config_of(), ledger, NOW if minutes is None else START + timedelta(minutes=minutes))


def seen_by(config: DispatchConfig, ledger: Ledger, now: datetime = NOW, kept: KeptChecks | None = None) -> ServiceStatus:
    [found] = status(config, Places(lambda _: ledger, lambda _: MemoryChecks(kept)), now, None)
    return found


def end(ledger: Ledger, state: State, **move: Any) -> None:
    claim = ledger.claim(request())
    ledger.advance(claim, State.EXECUTING, at=at(1), mutating=True)
    ledger.advance(claim, state, at=at(2), **move)


def test_a_service_of_which_nothing_was_ever_asked(ledger: Ledger) -> None:
    found = seen(ledger)
    assert found.exit_code == 0
    assert found.lines() == [
        "ok    pg-ha/prod  serves from onprem (primary), lock free, epoch 0",
        "      last run   never",
        "      last drill never",
        f"      vouched    {ledger.vouched().line}",
        "      approvers  the reviewers of environment dr-prod: not asked, no token",
        "      readiness  not known: no host signs a check: the config has no host_keys",
    ]


def test_a_lock_that_a_run_holds_and_one_that_a_person_must_settle(ledger: Ledger) -> None:
    claim = ledger.claim(request())
    held = seen(ledger, minutes=5)
    assert (held.lock, held.exit_code, held.lines()[0]) == (
        "held",
        0,
        "warn  pg-ha/prod  serves from onprem (primary), lock held by run 1001-1: CLAIMED since 2026-11-23T03:00:00Z",
    )
    assert seen(ledger, minutes=15).lock == "free", "it went silent before it changed anything"
    ledger.advance(claim, State.EXECUTING, at=at(1), mutating=True)
    lost = seen(ledger, minutes=30)
    assert (lost.lock, lost.exit_code) == ("unknown", Exit.CONFLICT)
    assert lost.lines()[0] == (
        "FAIL  pg-ha/prod  serves from onprem (primary), UNKNOWN since run 1001-1 (EXECUTING at 2026-11-23T03:01:00Z): "
        "look which site serves, then settle"
    )


@pytest.mark.parametrize(("drill", "name"), [(False, "last_run"), (True, "last_drill")])
def test_the_last_run_and_the_last_drill_that_ended(drill: bool, name: str, ledger: Ledger) -> None:
    claim = ledger.claim(request(drill=drill))
    ledger.advance(claim, State.FAILED, at=at(2), bundle_sha256="sha256:" + "a" * 64)
    found = seen(ledger)
    assert getattr(found, name) == "run 1001-1 failover, FAILED 2026-11-23T03:02:00Z, 2 d ago"
    assert [found.last_run, found.last_drill].count("never") == 1


def test_one_ledger_that_does_not_answer_hides_no_other(ledger: Ledger) -> None:
    def opened(service: str) -> Ledger:
        if service == "web/prod":
            raise Fault("ledger.unreachable", "the ledger does not answer", exit_code=Exit.UNAVAILABLE, found="silence", fix="wait")
        return ledger

    both = config_of(CONFIG + "  web/prod:\n    failover: {lane: gcp, blueprint: dr/x@v1}\n")
    first, second = status(both, Places(opened, lambda _: MemoryChecks()), NOW, None)
    assert (first.exit_code, second.exit_code) == (0, Exit.UNAVAILABLE)
    assert second.lines()[:3] == [
        "FAIL  web/prod  not known",
        "      ledger     the ledger does not answer; silence",
        "      fix        wait",
    ]
    assert second.document()["serves"] is None


def test_what_nobody_vouches_for_is_shown_as_that(ledger: Ledger) -> None:
    end(ledger, State.FAILED)
    ledger.vouchers = Vouchers(lambda: NOW, {"gcp": "ed25519:7UkoxijRwsbq6QM4kFmVYSlZJzpcY/k2NsFGFKyHN9E="}, home_site="onprem")
    found = seen(ledger)
    assert (found.exit_code, found.last_run, found.vouched) == (Exit.CONFLICT, "", "")
    assert found.trouble is not None
    assert found.trouble.gate == "ledger.unvouched"
    assert "serves from onprem" in found.lines()[0]


@pytest.mark.parametrize(
    ("text", "who"),
    [
        (SIGNED, "2 of jonas by signature"),
        (
            SIGNED.replace("[signed]", "[environment, signed]"),
            "the reviewers of environment dr-prod: not asked, no token; or 2 of jonas by signature",
        ),
    ],
)
def test_who_may_approve(text: str, who: str, ledger: Ledger) -> None:
    found = seen_by(config_of(CONFIG + text), ledger)
    assert found.approvers == who


OWED = """
drills: {pg-ha/prod: {check: {every: PT12H}}}
host_keys: {gcp: "KEY"}
objectives: {pg-ha/prod: {rto: PT30M}}
"""


def test_the_last_check_what_is_owed_and_how_long_it_took(ledger: Ledger) -> None:
    config = config_of(CONFIG + OWED.replace("KEY", PUBLIC["gcp"]))
    ledger.sign = lambda payload, kind: sign(payload, kind, [KEYS["gcp"]])
    assert ledger.vouchers is not None
    ledger.vouchers = replace(ledger.vouchers, host_keys=config.host_keys)
    end(ledger, State.FAILED, figures=Figures(verdict="unproven"))
    check = record(4, ledger_id=ledger.tip().ledger_id)
    now = NOW_OF_CHECKS
    kept = branch(None, envelope(check))
    found = seen_by(config, ledger, now, kept)
    lines = [line.strip() for line in found.lines()]
    assert lines[0].startswith("warn"), "something lies on the branch that is no check"
    assert f"readiness  {check.checked_at}, 4h00m ago, ready, run 4711-1 on gcp-ops-runner" in lines
    assert any(line.startswith("ALARM of the readiness branch") for line in lines)
    assert "runs       1 ended, none with a time to its proof" in lines
    assert f"owed       check of pg-ha/prod every PT12H: next {stamp(now + timedelta(hours=8))}, last done {check.checked_at}" in lines
    document = json.loads(json.dumps(found.document()))
    assert (document["readiness"]["standing"], document["owed"][0]["state"], document["runs"]["runs"]) == ("ready", "done", 1)


def test_what_was_missed_is_a_warning(ledger: Ledger) -> None:
    found = seen_by(config_of(CONFIG + OWED.replace("KEY", PUBLIC["gcp"])), ledger, NOW)
    assert found.exit_code == 0
    assert found.lines()[0].startswith("warn")
    assert any("MISSED since" in line for line in found.lines())


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """`hyops-ci status` in a checkout whose config names its ledger."""
    create_repository(tmp_path / "ledger.git")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "checkout" / ".github").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "checkout")
    Path(".github/dr-dispatch.yml").write_text(f"{CONFIG}ledger: {{repository: {tmp_path}/ledger.git}}\n")

    def call(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main([*words])
        return int(ended.value.code or 0), capsys.readouterr().out

    return call


def test_the_command(run: Callable[..., tuple[int, str]]) -> None:
    code, out = run("status")
    assert (code, "ledger.missing" in out or "has no ledger" in out) == (5, True)
    run("ledger", "init", "--all")
    code, out = run("status", "--format", "json")
    [found] = json.loads(out)
    assert (code, found["serves"], found["lock"], found["last_run"]) == (0, "onprem", "free", "never")


def test_reviewers_are_those_of_github(
    run: Callable[..., tuple[int, str]], github_fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = github_fake.add_repository("acme/recovery")
    repository.protect()
    run("ledger", "init", "--all")
    monkeypatch.setenv("GITHUB_API_URL", github_fake.url)
    monkeypatch.setenv("GH_REPO", "acme/recovery")
    monkeypatch.setenv("GH_TOKEN", github_fake.add_token("actions: read", "metadata: read"))
    code, out = run("status")
    assert (code, "approvers  environment dr-prod: dr-prod does not exist" in out) == (0, True)


@pytest.mark.parametrize(("answer", "code", "why"), [(503, 12, "GitHub does not answer"), (401, 2, "GitHub does not know this token")])
def test_a_github_that_says_nothing_hides_no_ledger(
    answer: int, code: int, why: str, run: Callable[..., tuple[int, str]], github_fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    github_fake.add_repository("acme/recovery")
    github_fake.inject(faults.answer(answer), times=None)
    run("ledger", "init", "--all")
    monkeypatch.setattr(client, "PATIENCE", 0.0)
    monkeypatch.setenv("GITHUB_API_URL", github_fake.url)
    monkeypatch.setenv("GH_REPO", "acme/recovery")
    monkeypatch.setenv("GH_TOKEN", github_fake.add_token("actions: read", "metadata: read"))
    ended, out = run("status")
    assert (ended, "serves from onprem" in out) == (code, True)
    assert f"approvers  the reviewers of environment dr-prod: not known: {why}" in out
