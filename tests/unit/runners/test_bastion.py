from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import paramiko
import pytest

from hyops_ci.contracts.runner_machine import Bastion
from hyops_ci.errors import Exit, Refusal
from hyops_ci.runners.bastion import ThroughBastion
from hyops_ci.runners.ports import Machine, MachineState
from tests.support.clock import Clock
from tests.support.ssh_agent import ssh_agent
from tests.support.ssh_server import line_of, new_key

HOST_KEY, OURS, OTHER = new_key(), new_key(), new_key()
MACHINE = Machine("gcp-ops-runner", MachineState.RUNNING, "1", "europe-west1-b", "10.20.0.2")


@dataclass
class Host(paramiko.ServerInterface):
    """A bastion that carries bytes to one address."""

    asked: list[tuple[str, int]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.logins.append(line_of(key))
        right = (username, line_of(key)) == ("dr", line_of(OURS))
        return int(paramiko.AUTH_SUCCESSFUL if right else paramiko.AUTH_FAILED)

    def check_channel_direct_tcpip_request(self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]) -> int:
        self.asked.append(destination)
        there = destination == (MACHINE.address, 22)
        return int(paramiko.OPEN_SUCCEEDED if there else paramiko.OPEN_FAILED_CONNECT_FAILED)


@contextmanager
def bastion(host: Host) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                wire, _ = listener.accept()
                with wire, paramiko.Transport(wire) as transport:
                    transport.add_server_key(HOST_KEY)
                    with suppress(paramiko.SSHException, EOFError):
                        transport.start_server(server=host)
                        if (channel := transport.accept(10)) is not None:
                            channel.sendall(b"SSH-2.0-machine\r\n")
                            while data := channel.recv(100):
                                channel.sendall(data)
                            channel.close()

        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join(15)


def way(where: str, host_key: paramiko.PKey = HOST_KEY, until: str = "2026-12-01T00:00:00Z") -> ThroughBastion:
    settings = Bastion(host=where, user="dr", host_key=line_of(host_key), reason="IAP is down, INC-4242", until=until)
    return ThroughBastion(settings, Clock())


def test_it_carries_bytes_to_the_machines_ssh_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host()
    with ssh_agent(tmp_path, OTHER, OURS) as path, bastion(host) as where:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        with way(where).connect(MACHINE, 10) as wire:
            assert wire.recv(100) == b"SSH-2.0-machine\r\n"
            wire.sendall(b"hello")
            assert wire.recv(100) == b"hello"
    assert host.asked == [("10.20.0.2", 22)]


def test_another_host_key_is_told_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host()
    with ssh_agent(tmp_path, OURS) as path, bastion(host) as where:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        with pytest.raises(ConnectionError, match="another host key"), way(where, OTHER).connect(MACHINE, 10):
            pass
    assert host.logins == []


def test_no_key_of_the_agent_is_a_permission_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ssh_agent(tmp_path, OTHER) as path, bastion(Host()) as where:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        with pytest.raises(PermissionError, match="no key of the SSH agent"), way(where).connect(MACHINE, 10):
            pass


def test_a_machine_that_it_does_not_reach_is_an_oserror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    away = Machine("gcp-ops-runner", MachineState.RUNNING, "1", "europe-west1-b", "10.99.0.2")
    with ssh_agent(tmp_path, OURS) as path, bastion(Host()) as where:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        with pytest.raises(ConnectionError, match=r"10\.99\.0\.2:22"), way(where).connect(away, 10):
            pass


def test_after_its_time_nothing_is_connected() -> None:
    """The port of this test would hang: nobody is asked."""
    with pytest.raises(Refusal) as caught, way("127.0.0.1:1", until="2026-11-23T03:09:02Z").connect(MACHINE, 10):
        pass
    assert (caught.value.gate, caught.value.exit_code) == ("runner.bastion", Exit.POLICY)
    assert "until 2026-11-23T03:09:02Z" in caught.value.found


def test_it_says_why_it_is_used() -> None:
    assert way("bastion.example.net").words == "bastion bastion.example.net until 2026-12-01T00:00:00Z: IAP is down, INC-4242"
