"""What the guest agent of a machine tells and takes: files and addresses, by the hypervisor's own channel and never by the network."""

from __future__ import annotations

import re
from typing import Final

from hyops_ci.dataclass import dataclass
from hyops_ci.runners.deadline import Deadline
from hyops_ci.runners.ports import Machine
from hyops_ci.runners.proxmox import answers
from hyops_ci.runners.proxmox.api import Api, ApiError

HOST_KEYS: Final = ("/etc/ssh/ssh_host_ed25519_key.pub", "/etc/ssh/ssh_host_ecdsa_key.pub")
BOOT_LOG: Final = "/var/log/cloud-init-output.log"
SETTLED: Final = ("/run/cloud-init/result.json", "/run/cloud-init/disabled")
"""One of them is there when cloud-init has done all of this boot, or never runs."""
ROUTES: Final = "/proc/net/route"
NEIGHBOURS: Final = "/proc/net/arp"
POLL: Final = 3.0
_SILENT: Final = re.compile(r"guest agent is not running|No QEMU guest agent configured|is not running|qga command|got timeout")
_NO_FILE: Final = re.compile(r"No such file or directory")
_KEY: Final = re.compile(r"(ssh-ed25519|ecdsa-sha2-nistp256) [A-Za-z0-9+/]{50,200}={0,2}")


class AgentSilentError(Exception):
    """The agent does not answer: the machine is off, boots, or has none."""


@dataclass(frozen=True)
class Guest:
    """One machine's agent. Its methods raise AgentSilentError, or ApiError."""

    api: Api
    machine: Machine

    def read(self, path: str) -> str | None:
        """Return a file, as much of it as the API reads (16 MiB); None where there is none."""
        try:
            return answers.file_content(self._agent("get", "file-read", file=path))
        except ApiError as error:
            if _NO_FILE.search(error.words):
                return None
            raise

    def write(self, path: str, text: str) -> None:
        """Put a text in the place of a file's."""
        self._agent("post", "file-write", file=path, content=text)

    def addresses(self) -> frozenset[str]:
        """Return its IPv4 addresses."""
        return answers.addresses(self._agent("get", "network-get-interfaces"))

    def host_keys(self) -> tuple[str, ...]:
        """Return its public host keys, without comments."""
        found = [_KEY.match(self.read(path) or "") for path in HOST_KEYS]
        return tuple(match[0] for match in found if match)

    def settled(self, patience: Deadline) -> bool:
        """Wait until cloud-init is done; return whether it was in time."""
        while True:
            try:
                if any(self.read(path) is not None for path in SETTLED):
                    return True
            except AgentSilentError:
                pass
            if not patience.pause(POLL):
                return False

    def _agent(self, verb: str, command: str, **values: str | int) -> object:
        path = ("nodes", self.machine.place, "qemu", self.machine.id, "agent", command)
        try:
            return self.api.get(*path, **values) if verb == "get" else self.api.repeat(verb, *path, **values)
        except ApiError as error:
            if error.status == 500 and _SILENT.search(error.words):
                raise AgentSilentError from None
            raise
