"""The password of the runtime bundle, from the file that HyOps reads, too (`HYOPS_VAULT_PASSWORD_FILE`).

Never from `HYOPS_VAULT_PASSWORD_COMMAND`: HyOps 0.1.4 leaves what it prints in clear below `/tmp` after every call.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hyops_ci import files
from hyops_ci.dataclass import dataclass, field
from hyops_ci.errors import Exit, Refusal
from hyops_ci.files import UnsafeFile

MAX_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Password:
    """The password of the bundle; `repr` shows its source only."""

    source: str
    secret: bytes = field(repr=False)


def read_password(path: str, unnamed: str = "no password file is named") -> Password:
    """Return the password in `path`, stripped as ansible strips it; `unnamed` says what is found where the path is empty.

    Raises Refusal (exit 8) `secrets.password` unless it is a plain file of this user or root that others cannot read.
    """
    if not path:
        raise _refuse(unnamed, "a private file with the password of the env's bundle", "name it: host.vault_password_file in the config")
    try:
        secret = read_private(path).strip()
    except UnsafeFile as fault:
        raise _refuse(fault.found, fault.expected, fault.fix) from None
    if not secret:
        raise _refuse(f"{path} is empty", "one line with the password", "write the password of the env's bundle into it")
    if secret.startswith(b"$ANSIBLE_VAULT"):
        raise _refuse(f"{path} is itself a vault", "the password in clear, in a private file", "decrypt it on the host once")
    return Password(path, secret)


def read_private(path: str) -> bytes:
    """Return the content of a small file that holds one secret: of this user or root, mode 0600 or less. Raises UnsafeFile."""
    if not Path(path).is_absolute():
        raise UnsafeFile(path, "an absolute path", "name the file by its absolute path")
    try:
        return files.read(Path(path), MAX_BYTES, private=True, follow=True)
    except OSError as error:
        problem = f"{path}: {error.strerror}"
    raise UnsafeFile(problem, "a file that this user can read", "create it, mode 0600")


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
