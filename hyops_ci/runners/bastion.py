"""The way through another host, as long as the config says so (docs/design/anti-drift.md 2.4): its key is pinned, the agent has ours."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, cast

from hyops_ci.contracts.base import moment
from hyops_ci.contracts.clock import Clock
from hyops_ci.contracts.runner_machine import Bastion
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Refusal
from hyops_ci.runners.ports import Machine

if TYPE_CHECKING:
    from paramiko import Transport

SSH: Final = 22


@dataclass(frozen=True)
class ThroughBastion:
    """`hyops_ci.runners.ports.Access`: the bastion carries bytes, and sees none of the session's."""

    bastion: Bastion
    clock: Clock

    @property
    def words(self) -> str:
        """Return what people call it."""
        return f"bastion {self.bastion.host} until {self.bastion.until}: {self.bastion.reason}"

    @contextmanager
    def connect(self, machine: Machine, timeout: float) -> Iterator[socket.socket]:
        """Yield a socket to the machine's port 22. Raises Refusal `runner.bastion` after its time, OSError where there is no way."""
        if self.clock.now() >= moment(self.bastion.until):
            raise Refusal(
                "runner.bastion",
                "the time of the bastion has passed",
                found=f"{self.bastion.host} until {self.bastion.until}",
                expected="a bastion whose until lies ahead, or none",
                fix="remove bastion from lanes.<lane>.machine; or give it a new time and reason in a pull request",
                exit_code=Exit.POLICY,
                docs="runners.md",
            )
        from paramiko import SSHException

        host, port = _endpoint(self.bastion.host)
        if not machine.address:
            raise ConnectionRefusedError(f"{machine.name} has no address")
        with socket.create_connection((host, port), timeout) as wire:
            try:
                transport = self._transport(wire, timeout)
            except (SSHException, EOFError) as error:
                raise ConnectionError(f"bastion {self.bastion.host}: {error}") from None
            try:
                try:
                    channel = transport.open_channel("direct-tcpip", (machine.address, SSH), ("127.0.0.1", 0), timeout=timeout)
                except (SSHException, EOFError) as error:
                    raise ConnectionError(f"bastion {self.bastion.host} to {machine.address}:{SSH}: {error}") from None
                with channel:
                    channel.settimeout(timeout)
                    yield cast("socket.socket", channel)  # which paramiko takes for one: its transports run over channels of others
            finally:
                transport.close()

    def _transport(self, wire: socket.socket, timeout: float) -> Transport:
        """Return a session of ours on the bastion. Its host key is compared before anything of ours is sent."""
        from paramiko import Agent, AuthenticationException, Transport

        transport = Transport(wire)
        try:
            kind = self.bastion.host_key.split()[0]
            transport.get_security_options().key_types = (kind,)
            transport.start_client(timeout=timeout)
            shown = transport.get_remote_server_key()
            if f"{shown.get_name()} {shown.get_base64()}" != self.bastion.host_key:
                raise ConnectionError(f"bastion {self.bastion.host} shows another host key")
            agent = Agent()
            try:
                for key in agent.get_keys():
                    with suppress(AuthenticationException):
                        transport.auth_publickey(self.bastion.user, key)
                        return transport
            finally:
                agent.close()
            raise PermissionError(f"bastion {self.bastion.host} lets {self.bastion.user} in with no key of the SSH agent")
        except BaseException:
            transport.close()
            raise


def _endpoint(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if colon and port.isdigit() and not text.endswith("]"):
        return host.strip("[]"), int(port)
    return text.strip("[]"), SSH
