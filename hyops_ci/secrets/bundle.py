"""HyOps' runtime bundle on the runner (`vault/bootstrap.vault.env`): opened, merged and replaced, with no plaintext on disk.

HyOps writes a plaintext temporary file beside the bundle and takes no lock. Here the text exists in memory
only, the new file is complete and on disk before it takes the old one's name, and one writer works at a time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.secrets.ansible_vault import NotAVault, WrongPassword, decrypt, encrypt
from hyops_ci.secrets.bundle_text import parse, render
from hyops_ci.secrets.password import Password

NAME: Final = "bootstrap.vault.env"
MAX_BYTES: Final = 16 * 1024 * 1024
LOCK_SECONDS: Final = 30.0
_HYOPS_PLAINTEXT: Final = "hyops.vaultenv.*"


@dataclass(frozen=True, slots=True)
class Written:
    """What a merge did, in names."""

    kept: tuple[str, ...]
    """Keys that were in the bundle and that this merge did not bring: HyOps never removes any either."""
    changed: tuple[str, ...]
    """Keys that are new or have another value than before."""
    sha256: str
    """Of the encrypted file, `sha256:<hex>`."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle; valid inside `open_bundle` only."""

    path: Path
    password: Password
    values: Mapping[str, str] = field(repr=False)
    original: bytes | None = field(repr=False)
    """The file's bytes when it was opened, None when there was none."""
    leftovers: tuple[str, ...] = ()
    """Names of plaintext files that a crashed HyOps left beside the bundle."""

    def merge(self, values: Mapping[str, str]) -> Written:
        """Overlay `values`, keep the others, replace the file atomically (mode 0600, on disk when this returns).

        Raises Refusal (exit 8) when the text would not read back as written, or when another program changed the file meanwhile.
        """
        merged = {**self.values, **values}
        text = render(merged)
        if (back := parse(text)) != merged:
            names = sorted(key for key in merged if back.get(key) != merged[key])
            raise _refuse(
                self.path, f"{', '.join(names)} would not read back as written", "values that HyOps reads back", "see docs/secrets.md"
            )
        vault = encrypt(text.encode(), self.password.secret)
        if decrypt(vault, self.password.secret) != text.encode():
            raise _refuse(self.path, "the new file does not open", "a file that opens", "report this: it must not happen")
        self._replace(vault)
        kept = tuple(sorted(self.values.keys() - values.keys()))
        changed = tuple(sorted(key for key, value in values.items() if self.values.get(key) != value))
        return Written(kept, changed, "sha256:" + hashlib.sha256(vault).hexdigest())

    def _replace(self, vault: bytes) -> None:
        draft = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}.tmp")
        try:
            _write_private(draft, vault)
            if _read(self.path) != self.original:
                raise _refuse(self.path, "another program changed it meanwhile", "one writer", "end that program, then a new run")
            draft.replace(self.path)
            _sync_directory(self.path.parent)
        except OSError as error:
            raise _fault(self.path, f"cannot be written: {error.strerror}") from None
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)


@contextmanager
def open_bundle(path: Path, password: Password, *, wait: float = LOCK_SECONDS) -> Iterator[Bundle]:
    """The bundle at `path`, locked for this writer and opened, empty if there is none yet; waits `wait` seconds for the lock.

    The env's own directory must exist (HyOps makes one for every typing error). Raises Refusal (exit 8) for a wrong
    password or a file that is no bundle: before any secret is fetched.
    """
    directory = path.parent
    if not directory.parent.is_dir():
        raise _refuse(
            path,
            f"{directory.parent} does not exist",
            "the runtime root of an existing env",
            "run HyOps' init for the env on this host first",
        )
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise _fault(directory, f"cannot be made: {error.strerror}") from None
    with _locked(directory, wait):
        for draft in directory.glob(f".{path.name}.*.tmp"):
            draft.unlink(missing_ok=True)
        original = _read(path)
        values = {} if original is None else read_values(original, password, path)
        leftovers = tuple(sorted(file.name for file in directory.glob(_HYOPS_PLAINTEXT)))
        yield Bundle(path, password, values, original, leftovers)


def read_values(vault: bytes, password: Password, path: Path = Path(NAME)) -> dict[str, str]:
    """The names and values in an encrypted bundle, as HyOps reads them. Raises Refusal (exit 8)."""
    try:
        text = decrypt(vault, password.secret).decode("utf-8")
    except WrongPassword:
        raise _refuse(
            path,
            f"the password in {password.source} does not open it",
            "the password it was written with",
            "put the right password there, or restore the file",
        ) from None
    except NotAVault as error:
        raise _refuse(path, f"{error}", "an ansible-vault file", "move it away: the next run writes a new one from the authority") from None
    except UnicodeDecodeError:
        raise _refuse(
            path, "its text is not UTF-8", "text that HyOps wrote", "move it away: the next run writes a new one from the authority"
        ) from None
    return parse(text)


def _read(path: Path) -> bytes | None:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _refuse(path, f"{error.strerror}", "a regular file that this user can read", "repair it on the host") from None
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > MAX_BYTES:
            raise _refuse(path, "it is no regular file of a bundle's size", f"a file of at most {MAX_BYTES} bytes", "repair it on the host")
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


def _write_private(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _locked(directory: Path, wait: float) -> Iterator[None]:
    """An exclusive `flock` on the directory itself: no lock file to leave behind."""
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _fault(directory, f"cannot be opened: {error.strerror}") from None
    try:
        until = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise _refuse(
                        directory, f"another writer holds it for more than {wait:g} s", "one writer", "wait for that run to end"
                    ) from None
                time.sleep(0.05)
        yield
    finally:
        os.close(handle)


def _refuse(path: Path, found: str, expected: str, fix: str) -> Refusal:
    return Refusal(
        "secrets.bundle",
        "the runtime bundle cannot be used; it was not touched",
        exit_code=Exit.SECRETS,
        found=f"{path}: {found}",
        expected=expected,
        fix=fix,
        docs="secrets.md",
    )


def _fault(path: Path, found: str) -> Fault:
    return Fault(
        "secrets.bundle",
        "the runtime bundle could not be written; the old one stands",
        exit_code=Exit.SECRETS,
        found=f"{path}: {found}",
        expected="a directory that this user can write, with free space",
        fix="repair the disk or the owner on the host, then a new run",
        docs="secrets.md",
    )
