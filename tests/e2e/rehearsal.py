"""A rehearsal as a person starts it: the command in a process of its own, and everything it left behind."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hyops_ci.contracts.ledger import Tip
from hyops_ci.ledger.ledger import Ledger

SERVICE = "pg-ha/lab"


def hyops_ci(*words: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    command = [sys.executable, "-m", "hyops_ci", *map(str, words)]
    env = {"PATH": os.environ["PATH"], "HOME": environ.get("HOME", "/nonexistent"), **environ}
    root = Path(__file__).resolve().parents[2]
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd=root, timeout=400, check=False)


@dataclass(frozen=True)
class Rehearsal:
    """A rehearsal that is over."""

    folder: Path
    ended: subprocess.CompletedProcess[str]

    @cached_property
    def said(self) -> dict[str, Any]:
        """The one JSON value on stdout."""
        value: dict[str, Any] = json.loads(self.ended.stdout)
        return value

    @property
    def bundle(self) -> Path:
        """The sealed bundle."""
        return Path(self.said["bundle"])

    def tip(self) -> Tip:
        """Where the ledger stands, as a host sees it that never looked before."""
        return Ledger.over_git(str(self.folder / "ledger.git"), SERVICE, state_dir=self.folder.parent / "fresh").tip()


Rehearsed = Callable[[str], Rehearsal]
"""The fixture `rehearsed`: a scenario -> its rehearsal."""


def rehearse(folder: Path, *words: str | Path) -> Rehearsal:
    """`hyops-ci rehearse --format json`, on the stand-in."""
    return Rehearsal(folder, hyops_ci("rehearse", "--stand-in", "--format", "json", "--folder", folder, *words))


def secrets_of(folder: Path) -> list[str]:
    """Every value that must stay where it is."""
    known = folder / "authority.json"
    values = list(json.loads(known.read_text()).values()) if known.exists() else []
    return [*values, (folder / "runner" / "vault-password").read_text()]


def places(rehearsal: Rehearsal) -> Iterator[tuple[str, bytes]]:
    """Everything that a rehearsal leaves, but for the homes of secrets: the authority, the password, the runtime bundle."""
    yield "stdout", rehearsal.ended.stdout.encode()
    yield "stderr", rehearsal.ended.stderr.encode()
    homes = ("authority.json", "runner/vault-password", "keys/")
    for path in sorted(rehearsal.folder.rglob("*")):
        name = path.relative_to(rehearsal.folder).as_posix()
        if path.is_file() and not name.startswith(homes) and "/vault/" not in name:
            yield name, path.read_bytes()
    for repository in [rehearsal.folder / "ledger.git", *sorted((rehearsal.folder / "host").glob("*.git"))]:
        command = ["git", "-C", str(repository), "cat-file", "--batch-all-objects", "--batch"]
        yield repository.name, subprocess.run(command, capture_output=True, check=True).stdout


def forms(value: str) -> list[bytes]:
    """A value as it is, and inside base64 at each of its alignments."""
    raw = value.encode()
    inside = [base64.b64encode(b"\0" * shift + raw)[[0, 2, 3][shift] : -4] for shift in range(3)]
    return [raw, *inside]


def processes_of(folder: Path, patience: float = 60.0) -> list[str]:
    """Command lines of processes that name `folder`, after giving the supervisor its moment to end."""
    until = time.monotonic() + patience
    while (found := _naming(str(folder).encode())) and time.monotonic() < until:
        time.sleep(0.1)
    return found


def _naming(folder: bytes) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words, environ = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:
            continue
        if folder in words or folder in environ:
            found.append(words.replace(b"\0", b" ").decode(errors="replace"))
    return found
