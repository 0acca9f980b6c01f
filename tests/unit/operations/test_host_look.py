"""A look at a host says what goes bad there while nobody looks."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.config.file import parsed_config
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.operations.host_look import HostLine, HostLook, HostSenses, agent_folder, agent_version, host_look, host_notes
from hyops_ci.operations.prepare.environment import PreparedState
from hyops_ci.signing.dsse import new_key

NOW = datetime.now(UTC)
TEXT = """
services: {pg-ha/prod: {failover: {lane: gcp, blueprint: dr/postgresql-ha-failover-gcp@v1}}}
vault: {address: "https://vault.example.net", site: gcp}
"""


def config(more: str = "") -> DispatchConfig:
    return parsed_config((TEXT + more).encode())


def process(proc: Path, pid: int, parent: int, program: str) -> None:
    (proc / str(pid)).mkdir(parents=True)
    (proc / str(pid) / "status").write_text(f"Name:\tx\nPPid:\t{parent}\n")
    if program:
        (proc / str(pid) / "exe").symlink_to(program)


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    """An agent's folder, and below it the processes of a job: listener, worker, shell, this one."""
    folder, proc = tmp_path / "agent", tmp_path / "proc"
    (folder / "bin.2.337.0").mkdir(parents=True)
    (folder / "bin").symlink_to("bin.2.337.0")
    listener = folder / "bin" / "Runner.Listener"
    listener.write_text('#!/bin/sh\n[ "$1" = --version ] && echo 2.337.0\n')
    listener.chmod(0o755)
    process(proc, 1, 0, "/sbin/init")
    process(proc, 10, 1, str(folder / "bin.2.337.0" / "Runner.Listener"))
    process(proc, 20, 10, str(folder / "bin.2.337.0" / "Runner.Worker"))
    process(proc, 30, 20, "/bin/bash")
    process(proc, 40, 30, "")
    return folder


def senses(tmp_path: Path, **changes: object) -> HostSenses:
    def prepared() -> PreparedState:
        return PreparedState(Path("/opt/dr-dispatch/job-started.sh"), True, Path("/opt/dr-dispatch/abc"), True)

    said = {"environ": {"HOME": str(tmp_path)}, "root": tmp_path, "proc": tmp_path / "proc", "pid": 40, "prepared": prepared}
    return HostSenses(**{**said, "certificate": lambda _: NOW + timedelta(days=90), **changes})  # type: ignore[arg-type]  # keywords of several types


def lines(look: HostLook, topic: str) -> list[tuple[str, str]]:
    return [(line.status, line.text) for line in look.lines if line.topic == topic]


def test_the_agent_of_this_job_is_found_and_says_its_version(tmp_path: Path, agent: Path) -> None:
    assert agent_folder(senses(tmp_path)) == agent
    assert agent_version(senses(tmp_path)) == "2.337.0"
    assert agent_folder(senses(tmp_path, pid=10)) == agent
    assert agent_folder(senses(tmp_path, pid=1)) is None
    assert agent_folder(senses(tmp_path, pid=99)) is None


@pytest.mark.parametrize("says", ["", "not a version", "2.337", "2.337.0; rm -rf"])
def test_an_agent_that_does_not_say_is_not_known(tmp_path: Path, agent: Path, says: str) -> None:
    (agent / "bin" / "Runner.Listener").write_text(f"#!/bin/sh\necho '{says}'\n")
    look = host_look(config(), "gcp", NOW, senses(tmp_path))
    assert [status for status, _ in lines(look, "agent")] == ["?"]


def test_an_agent_that_is_too_old(tmp_path: Path, agent: Path) -> None:
    (agent / "bin" / "Runner.Listener").write_text("#!/bin/sh\necho 2.330.0\n")
    look = host_look(config(), "gcp", NOW, senses(tmp_path))
    assert look.failed
    assert "the first that knows" in lines(look, "agent")[0][1]


def prepared_host(tmp_path: Path) -> str:
    """A host as `runner prepare` leaves it; gives the line of the config."""
    (tmp_path / "etc" / "dr-dispatch").mkdir(parents=True)
    (tmp_path / "etc" / "dr-dispatch" / "trust.json").write_text("{}")
    public = new_key(tmp_path / "etc" / "dr-dispatch" / "host.key")
    return f'host_keys: {{gcp-ops-runner: "{public}"}}\n'


def test_a_host_that_is_as_it_should_be(tmp_path: Path, agent: Path) -> None:
    look = host_look(config(prepared_host(tmp_path)), "gcp", NOW, senses(tmp_path))
    assert not look.failed, [line.text for line in look.lines if line.status == "FAIL"]
    assert {line.topic for line in look.lines} == {"agent", "disk", "certificate", "key", "environment", "hook", "trust"}
    assert {line.status for line in look.lines} == {"ok"}


@pytest.mark.parametrize(
    ("until", "status", "words"),
    [
        (NOW + timedelta(days=31), "ok", "31 d"),
        (NOW + timedelta(days=29), "warn", "29 d"),
        (NOW - timedelta(seconds=1), "FAIL", "-1 d"),
        ("not believed here: self-signed certificate", "FAIL", "self-signed"),
        ("no answer: Connection refused", "warn", "no answer"),
    ],
)
def test_the_authoritys_certificate(tmp_path: Path, until: object, status: str, words: str) -> None:
    look = host_look(config(), "gcp", NOW, senses(tmp_path, certificate=lambda _: until))
    [(found, text)] = lines(look, "certificate")
    assert (found, words in text) == (status, True)


def test_a_key_that_nobody_believes(tmp_path: Path) -> None:
    prepared_host(tmp_path)
    other = prepared_host(tmp_path / "other")
    [(status, text)] = lines(host_look(config(other), "gcp", NOW, senses(tmp_path)), "key")
    assert (status, "not among host_keys" in text) == ("FAIL", True)


def test_a_key_that_is_old(tmp_path: Path) -> None:
    said = prepared_host(tmp_path)
    old = (NOW - timedelta(days=401)).timestamp()
    os.utime(tmp_path / "etc" / "dr-dispatch" / "host.key", (old, old))
    [(status, text)] = lines(host_look(config(said), "gcp", NOW, senses(tmp_path)), "key")
    assert (status, "401 d" in text, "make a new one" in text) == ("warn", True, True)


@pytest.mark.parametrize("lost", ["key", "trust", "hook", "environment"])
def test_what_is_missing_fails(tmp_path: Path, lost: str) -> None:
    said = prepared_host(tmp_path)
    home, hook = Path("/opt/dr-dispatch/abc"), Path("/opt/dr-dispatch/job-started.sh")
    names = {"key": "host.key", "trust": "trust.json"}
    if lost in names:
        (tmp_path / "etc" / "dr-dispatch" / names[lost]).unlink()
    prepared: Callable[[], PreparedState] = lambda: PreparedState(hook, lost != "hook", home, lost != "environment")  # noqa: E731 - shorter than a function
    look = host_look(config(said), "gcp", NOW, senses(tmp_path, prepared=prepared))
    assert [line.topic for line in look.lines if line.status == "FAIL"] == [lost]


def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyops_ci.contracts.facts.MIN_FREE_BYTES", 1 << 62)
    look = host_look(config(), "gcp", NOW, senses(tmp_path))
    assert any(status == "FAIL" for status, _ in lines(look, "disk"))


def trusted(tmp_path: Path, not_after: str | None) -> HostLook:
    approver = {"id": 1002, "login": "jonas", "key": "ed25519:7UkoxijRwsbq6QM4kFmVYSlZJzpcY/k2NsFGFKyHN9E="}
    document = {"api_version": "hybridops/v1", "kind": "HostTrust", "repository_id": 1, "repository_owner_id": 2, "ref": "refs/heads/main"}
    document |= {"workflow_shas": ["3f2a" * 10], "runner_refs": ["gcp-ops-runner"]}
    document |= {"approvers": [approver | ({"not_after": not_after} if not_after else {})]}
    path = tmp_path / "etc" / "dr-dispatch" / "trust.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return host_look(config(), "gcp", NOW, senses(tmp_path))


def test_an_approvers_key_that_soon_counts_no_more(tmp_path: Path) -> None:
    assert lines(trusted(tmp_path, None), "approver") == []
    assert lines(trusted(tmp_path, stamp(NOW + timedelta(days=60))), "approver") == []
    soon, over = stamp(NOW + timedelta(days=9, hours=1)), stamp(NOW - timedelta(days=1))
    assert lines(trusted(tmp_path, soon), "approver") == [("warn", f"the key of jonas counts for 9 d, until {soon}")]
    assert lines(trusted(tmp_path, over), "approver") == [("warn", f"the key of jonas counts no more since {over}")]


def test_what_is_not_well_is_a_note_of_the_readiness(monkeypatch: pytest.MonkeyPatch) -> None:
    words: list[tuple[Any, str]] = [("ok", "disk"), ("?", "agent"), ("warn", "key"), ("FAIL", "hook")]
    said = tuple(HostLine(status=status, topic=topic, text="x" * 400) for status, topic in words)
    look = HostLook(host="h", at=stamp(NOW), lane="gcp", lines=said)
    monkeypatch.setattr("hyops_ci.operations.host_look.host_look", lambda *_: look)
    found = host_notes(config(), "gcp", NOW)
    assert [(note.level, note.topic, len(note.text)) for note in found] == [("warning", "key", 293), ("alarm", "hook", 293)]
