"""The password of the runtime bundle, from the file that HyOps and we both read (`HYOPS_VAULT_PASSWORD_FILE`).

Never from `HYOPS_VAULT_PASSWORD_COMMAND`: HyOps 0.1.4 leaves what it prints in clear below `/tmp` after every call.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hyops_ci.errors import Exit, Refusal

MAX_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Password:
    """The bytes that open the bundle; `repr` shows where they came from only."""

    source: str
    secret: bytes = field(repr=False)


def read_password(path: str) -> Password:
    """The password in `path`, stripped as ansible strips it.

    Raises Refusal (exit 8) `secrets.password` unless it is a plain file of this user or root that nobody else can read.
    """
    if not path:
        raise _refuse("no password file is named", "HYOPS_VAULT_PASSWORD_FILE or `host.vault_password_file`", "name the file")
    if not Path(path).is_absolute():
        raise _refuse(path, "an absolute path", "name the file by its absolute path")
    content = _read_private(path)
    secret = content.strip()
    if not secret:
        raise _refuse(f"{path} is empty", "one line with the password", "write the password of the env's bundle into it")
    if secret.startswith(b"$ANSIBLE_VAULT"):
        raise _refuse(f"{path} is itself a vault", "the password in clear, in a private file", "decrypt it on the host once")
    return Password(path, secret)


def _read_private(path: str) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _refuse(f"{path}: {error.strerror}", "a file that this user can read", "create it, mode 0600") from None
    with os.fdopen(handle, "rb") as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise _refuse(f"{path} is no regular file", "a regular file", "write the password into a file")
        if facts.st_uid not in (os.geteuid(), 0):
            raise _refuse(f"{path} belongs to uid {facts.st_uid}", f"owner uid {os.geteuid()} or root", f"chown it to uid {os.geteuid()}")
        if facts.st_mode & 0o077:
            raise _refuse(f"{path} has mode {stat.S_IMODE(facts.st_mode):04o}", "mode 0600: nobody else reads it", f"chmod 0600 {path}")
        if facts.st_mode & 0o100:
            raise _refuse(f"{path} is executable", "a plain file: ansible-vault would run it", f"chmod 0600 {path}")
        if facts.st_size > MAX_BYTES:
            raise _refuse(f"{path} has {facts.st_size} bytes", f"at most {MAX_BYTES} bytes", "name the right file")
        return file.read(MAX_BYTES + 1)


def _refuse(found: str, expected: str, fix: str) -> Refusal:
    return Refusal(
        "secrets.password",
        "the password of the runtime bundle cannot be read safely",
        exit_code=Exit.SECRETS,
        found=found,
        expected=expected,
        fix=fix,
        docs="secrets.md",
    )
