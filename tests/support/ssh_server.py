"""An SSH server in this process, behind an `Access` of its own: with another key, a login that is late, a cloud-init that fails.

Commands run in a real shell; `programs` is the folder that it finds first.
"""

from __future__ import annotations

import io
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import paramiko
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hyops_ci.runners.ports import Machine
from hyops_ci.runners.ssh import Login


def new_key() -> paramiko.Ed25519Key:
    private = Ed25519PrivateKey.generate().private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
    return paramiko.Ed25519Key(file_obj=io.StringIO(private.decode()))


def line_of(key: paramiko.PKey) -> str:
    """A public key as a provider tells it."""
    return f"{key.get_name()} {key.get_base64()}"


@dataclass
class SshServer:
    """One machine's sshd. It is also the way in (`Access`)."""

    user: str
    key: str
    """The public key that may log in."""
    programs: Path
    host_key: paramiko.PKey = field(default_factory=new_key)
    unreachable: int = 0
    """Connections that find no port yet."""
    silent: int = 0
    """Connections that get no banner."""
    hangs_up: bool = False
    """The connection is gone as soon as a command has read what it reads."""
    late: int = 0
    """Logins that are refused: the machine does not know the key yet."""
    commands: list[str] = field(default_factory=list)
    logins: int = 0
    """Keys that somebody offered."""
    words: str = "the tunnel of the test"
    threads: list[threading.Thread] = field(default_factory=list)

    @contextmanager
    def connect(self, machine: Machine, timeout: float) -> Iterator[socket.socket]:
        if self.unreachable > 0:
            self.unreachable -= 1
            raise ConnectionRefusedError(111, "Connection refused")
        ours, theirs = socket.socketpair()
        if self.silent > 0:
            self.silent -= 1
            theirs.sendall(b"HTTP/1.1 400 Bad Request\r\n")
            theirs.close()
        else:
            self._begin(self._serve, theirs)
        try:
            yield ours
        finally:
            ours.close()

    def close(self) -> None:
        for thread in self.threads:
            thread.join(10)

    def _begin(self, target: Any, *arguments: Any) -> threading.Thread:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()
        return thread

    def _serve(self, sock: socket.socket) -> None:
        transport = paramiko.Transport(sock)
        transport.add_server_key(self.host_key)
        with suppress(Exception):
            transport.start_server(server=_Session(self))
        kept = []  # a channel that nobody holds is closed
        while transport.is_active():
            kept.append(transport.accept(0.2))
        transport.close()
        sock.close()

    def run(self, channel: paramiko.Channel, command: str) -> None:
        """Run one command of a client."""
        if self.hangs_up:
            while channel.recv(1 << 16):
                pass
            channel.get_transport().close()
            return
        environment = {"PATH": f"{self.programs}:{os.environ['PATH']}"}
        with subprocess.Popen(
            ["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        ) as process:
            stdin, process.stdin = process.stdin, None  # it is fed beside, as long as it reads
            fed = self._begin(self._feed, channel, stdin)
            out, err = process.communicate()
        with suppress(OSError):
            channel.sendall(out)
            channel.sendall_stderr(err)
            channel.send_exit_status(process.returncode)
            channel.shutdown_write()
        fed.join(10)  # a client that has sent its stdin was told that the command began: a channel closed before that looks broken to it
        channel.close()

    def _feed(self, channel: paramiko.Channel, stdin: IO[bytes]) -> None:
        with suppress(OSError), stdin:
            for piece in iter(lambda: channel.recv(1 << 16), b""):
                stdin.write(piece)
                stdin.flush()


class _Session(paramiko.ServerInterface):
    def __init__(self, server: SshServer) -> None:
        self.server = server

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.server.logins += 1
        if self.server.late > 0:
            self.server.late -= 1
            return int(paramiko.AUTH_FAILED)
        right = username == self.server.user and line_of(key) == self.server.key
        return int(paramiko.AUTH_SUCCESSFUL if right else paramiko.AUTH_FAILED)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return int(paramiko.OPEN_SUCCEEDED)

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.server.commands.append(command.decode())
        self.server._begin(self.server.run, channel, command.decode())
        return True


@contextmanager
def serving(login: Login, programs: Path) -> Iterator[SshServer]:
    """A machine that lets this login in; `programs` is made and comes first on its PATH."""
    programs.mkdir()
    made = SshServer(login.user, login.public, programs)
    try:
        yield made
    finally:
        made.close()
