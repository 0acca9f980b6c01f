from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import paramiko
import pytest

from hyops_ci.errors import DispatchError, Fault, Refusal
from hyops_ci.runners.ports import Machine, MachineState
from hyops_ci.runners.ssh import Candidate, Login, ProvenHost, new_login, prove
from tests.support.clock import Clock
from tests.support.ssh_server import SshServer, line_of, new_key, serving

MACHINE = Machine("ops-1", MachineState.RUNNING, id="7", place="europe-west1-b", address="10.0.0.7")


class TrueClock(Clock):
    """Waits take no time; the day is the real one, since a real machine is compared with it."""

    ahead = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC) - timedelta(seconds=self.ahead)


@pytest.fixture
def login() -> Login:
    return new_login("ops")


@pytest.fixture
def server(tmp_path: Path, login: Login) -> Iterator[SshServer]:
    with serving(login, tmp_path / "bin") as made:
        yield made


def cloud_init(server: SshServer, text: str) -> None:
    path = server.programs / "cloud-init"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def attempt(
    server: SshServer, login: Login, *, keys: Callable[[], tuple[str, ...]] | None = None, limit: float = 60, clock: Clock | None = None
) -> tuple[ProvenHost | DispatchError, list[str]]:
    said: list[str] = []
    candidate = Candidate(MACHINE, server, keys or (lambda: (line_of(server.host_key),)), lambda: "boot\n[  OK  ] Reached target")
    try:
        return prove(candidate, login, limit=limit, clock=clock or TrueClock(), say=said.append), said
    except DispatchError as problem:
        return problem, said


def test_a_machine_that_is_up(server: SshServer, login: Login) -> None:
    host, _ = attempt(server, login)
    assert isinstance(host, ProvenHost), host.to_json()
    with host:
        heard: list[str] = []
        done = host.run("cat; echo done >&2; exit 3", stdin="a\nb\n" * 50_000, heard=heard.append)
    assert (done.rc, done.out, done.err) == (3, "a\nb\n" * 50_000, "done\n")
    assert heard == ["a", "b"] * 50_000
    assert host.facts.cloud_init == "absent"
    assert host.facts.attempts == 1
    assert host.facts.host_key.startswith("SHA256:")
    assert host.round_trips == 2


def test_everything_that_a_machine_on_its_way_up_does_first(server: SshServer, login: Login) -> None:
    server.unreachable, server.silent, server.late = 2, 2, 2  # the first silent one meets no key yet
    known: list[str] = []

    def keys() -> tuple[str, ...]:
        known.append(line_of(server.host_key))
        return tuple(known[1:2])

    cloud_init(server, "echo status: done")
    host, said = attempt(server, login, keys=keys)
    assert isinstance(host, ProvenHost), host
    host.close()
    assert host.facts.attempts == 7
    stages = [line.split(": ")[1] for line in said[:-1]]
    assert stages == ["port 22", "host key of the provider", "SSH banner", "login"]
    assert host.facts.cloud_init == "done"


def fails(stage: str, problem: Any, kind: type[DispatchError] = Fault) -> str:
    assert type(problem) is kind, problem
    assert (problem.gate, int(problem.exit_code)) == ("runner.ssh", 7)
    assert "europe-west1-b/ops-1 (id 7)" in problem.reason
    assert stage in problem.reason
    assert problem.found.endswith("its console ends with: [  OK  ] Reached target")
    return str(problem.found)


def test_nothing_answers(server: SshServer, login: Login) -> None:
    server.unreachable = 1000
    problem, said = attempt(server, login)
    assert "Connection refused" in fails("port 22", problem)
    assert said[-1] == "console of ops-1: [  OK  ] Reached target"
    assert 950 < server.unreachable < 995, "waits grow, and the time is used"


def test_something_else_answers(server: SshServer, login: Login) -> None:
    server.silent = 1000
    fails("SSH banner", attempt(server, login)[0])


def test_the_provider_knows_no_key(server: SshServer, login: Login) -> None:
    problem, _ = attempt(server, login, keys=lambda: ("ssh-ed25519 !", "nonsense"))
    assert "none of 2 lines is a key" in fails("host key of the provider", problem)


@pytest.mark.parametrize("other", [new_key, lambda: paramiko.ECDSAKey.generate(bits=256)], ids=["same kind", "another kind"])
def test_another_host_key_is_final_and_sees_no_login(other: Callable[[], paramiko.PKey], server: SshServer, login: Login) -> None:
    named = line_of(other())
    server.late = 1
    problem, _ = attempt(server, login, keys=lambda: (named,))
    fails("another host key", problem, Refusal)
    assert server.late == 1, "no login was tried"


def test_a_key_beside_the_right_one_does_no_harm(server: SshServer, login: Login) -> None:
    host, _ = attempt(server, login, keys=lambda: (line_of(paramiko.ECDSAKey.generate(bits=256)), line_of(server.host_key)))
    assert isinstance(host, ProvenHost), host
    host.close()


def test_a_login_that_never_comes(server: SshServer, login: Login) -> None:
    server.late = 1000
    problem, _ = attempt(server, login, limit=20)
    assert "Authentication failed" in fails("login", problem)
    assert "as ops" in problem.expected  # type: ignore[union-attr]  # it was raised


@pytest.mark.parametrize(
    "text, state",
    [
        ("echo status: done", "done"),
        ("echo status: disabled", "disabled"),
        ("printf 'status: degraded done\\nx: y\\n'; exit 2", "degraded done"),
    ],
)
def test_cloud_init_is_done(text: str, state: str, server: SshServer, login: Login) -> None:
    cloud_init(server, text)
    host, _ = attempt(server, login)
    assert isinstance(host, ProvenHost), host
    host.close()
    assert host.facts.cloud_init == state


@pytest.mark.parametrize("text", ["echo status: error; echo 'detail: runcmd failed'; exit 1", "echo nonsense", "exit 1"])
def test_a_cloud_init_that_failed_is_final(text: str, server: SshServer, login: Login) -> None:
    cloud_init(server, text)
    problem, _ = attempt(server, login)
    fails("cloud-init", problem)
    assert len(server.commands) == 1


def test_a_cloud_init_that_goes_on(server: SshServer, login: Login) -> None:
    cloud_init(server, "echo status: running; sleep 30")
    problem, _ = attempt(server, login, limit=2)
    assert "it is still" in fails("cloud-init", problem)


@pytest.mark.parametrize(("ahead", "words"), [(100.0, "ahead of"), (-100.0, "behind")])
def test_a_wrong_clock(ahead: float, words: str, server: SshServer, login: Login) -> None:
    clock = TrueClock()
    clock.ahead = ahead
    problem, _ = attempt(server, login, limit=10, clock=clock)
    assert words in fails("clock", problem)


def test_a_connection_that_breaks_is_a_fault(server: SshServer, login: Login) -> None:
    host, _ = attempt(server, login)
    assert isinstance(host, ProvenHost)
    host.close()
    with pytest.raises(Fault, match="the connection broke") as problem:
        host.run("true", stdin="s3cr3t-of-nobody", timeout=5)
    assert "s3cr3t" not in str(problem.value.to_json())


def test_a_command_that_ends_before_it_has_read_everything_says_why(server: SshServer, login: Login) -> None:
    """As where root's rule is gone, or a disk is full: what it said is the cause, not that nobody took the rest."""
    host, _ = attempt(server, login)
    assert isinstance(host, ProvenHost)
    with host:
        ran = host.run("echo 'sudo: a password is required' >&2; exit 1", stdin="x" * 8_000_000, timeout=30)
        assert (ran.rc, ran.err) == (1, "sudo: a password is required\n")
        assert host.run("wc -c", stdin="x" * 8_000_000, timeout=30).out.strip() == "8000000", "and the connection holds"


def test_a_connection_that_is_lost_while_a_command_runs_is_no_exit_code(server: SshServer, login: Login) -> None:
    """Else whatever ran would be called failed, with nothing said."""
    host, _ = attempt(server, login)
    assert isinstance(host, ProvenHost)
    server.hangs_up = True
    with host, pytest.raises(Fault, match="the connection broke") as problem:
        host.run("sleep 3", timeout=10)
    assert problem.value.found == "it ended without an exit code"


def test_a_command_that_takes_too_long(server: SshServer, login: Login) -> None:
    host, _ = attempt(server, login)
    assert isinstance(host, ProvenHost)
    with host, pytest.raises(Fault, match="the connection broke"):
        host.run("sleep 3", timeout=0.5)


def test_nothing_else_makes_a_proven_host() -> None:
    with pytest.raises(TypeError, match="prove"):
        ProvenHost(object(), None, None, None)  # type: ignore[arg-type]  # the mistake that is tested
