"""A host that HyOps logs in at: a port that answers, and an `ssh` on the PATH that lets one key in and keeps who came."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEY_NAME = "WAN_EDGE_SSH_PRIVATE_KEY"
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nthe-right-one\n-----END OPENSSH PRIVATE KEY-----"
_SSH = """\
import json, os, sys
argv = sys.argv[1:]
path = argv[argv.index("-i") + 1] if "-i" in argv else ""
key = open(path).read().strip() if path else ""
with open({log!r}, "a") as log:
    log.write(json.dumps({{"to": argv[-2], "key": key}}) + chr(10))
if key != {key!r}:
    print("Permission denied (publickey).", file=sys.stderr)
    sys.exit(255)
"""


@dataclass(frozen=True)
class Host:
    """One host; `programs` goes first on the PATH of HyOps."""

    programs: Path
    port: int
    log: Path

    @property
    def keys(self) -> list[str]:
        """The keys that were tried, in order."""
        return [json.loads(line)["key"] for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def inputs(self, **more: Any) -> dict[str, Any]:
        """Inputs of a step that works on this host."""
        return {
            "inventory_groups": {"dns_control": [{"name": "edge", "host": "127.0.0.1"}]},
            "target_port": self.port,
            "ssh_private_key_env": KEY_NAME,
            "required_env": [KEY_NAME],
            "connectivity_check": True,
        } | more


@contextmanager
def ssh_host(folder: Path) -> Iterator[Host]:
    """Listen until the block ends."""
    programs, log = folder / "ssh-host", folder / "ssh-host" / "logins.jsonl"
    programs.mkdir()
    ssh = programs / "ssh"
    ssh.write_text(f"#!{sys.executable} -I\n{_SSH.format(log=str(log), key=KEY)}")
    ssh.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Host(programs, server.getsockname()[1], log)
