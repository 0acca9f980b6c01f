"""HyOps' runtime bundle on the runner (`vault/bootstrap.vault.env`): opened, merged and replaced, with no plaintext on disk.

HyOps writes a plaintext temporary file beside the bundle and takes no lock. Here the text exists in memory
only, the new file is complete and on disk before it takes the old one's name, and one writer works at a time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Final

from hyops_ci import files
from hyops_ci.dataclass import dataclass, field
from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.files import UnsafeFile
from hyops_ci.secrets.ansible_vault import NotAVault, WrongPassword, authenticate, decrypt, encrypt
from hyops_ci.secrets.bundle_text import parse, render
from hyops_ci.secrets.password import Password, read_password

NAME: Final = "bootstrap.vault.env"
LOCK: Final = ".dr-dispatch.lock"
MAX_BYTES: Final = 16 * 1024 * 1024
LOCK_SECONDS: Final = 30.0
_HYOPS_PLAINTEXT: Final = "hyops.vaultenv.*"


@dataclass(frozen=True, slots=True)
class Written:
    """The result of a merge, in names."""

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

    @property
    def there(self) -> bool:
        """Whether there was a file."""
        return self.original is not None

    @property
    def hidden(self) -> tuple[str, ...]:
        """What no output may hold: every value in it, for HyOps reads it whole, and its password."""
        return tuple(sorted({*self.values.values(), self.password.secret.decode("utf-8", "replace")}))

    def merge(self, values: Mapping[str, str]) -> Written:
        """Overlay `values`, keep the others, replace the file atomically (mode 0600, on disk when this returns), until `files.put_back`.

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
        def unchanged() -> None:
            if _read(self.path) != self.original:
                raise _refuse(self.path, "another program changed it meanwhile", "one writer", "end that program, then a new run")

        try:
            files.replace_for_now(self.path, vault, self.original, before=unchanged)
        except OSError as error:
            raise _fault(self.path, f"cannot be written: {error.strerror}") from None


@contextmanager
def open_bundle(path: Path, password: Password, *, wait: float = LOCK_SECONDS) -> Iterator[Bundle]:
    """Yield the bundle at `path`, locked for this writer and opened, empty if there is none yet; waits `wait` seconds for the lock.

    The env's own directory must exist (HyOps would create one for a misspelt name). Raises Refusal (exit 8) for a wrong
    password or a file that is not a bundle, before any secret is fetched.
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
    with ExitStack() as stack:
        _lock(stack, directory, wait)
        files.remove_drafts(path)
        original = _read(path)
        values = {} if original is None else read_values(original, password, path)
        leftovers = tuple(sorted(file.name for file in directory.glob(_HYOPS_PLAINTEXT)))
        yield Bundle(path, password, values, original, leftovers)


def bundle_password(path: Path, password_file: str) -> Password | None:
    """Return the password of the bundle at `path`; None for an env that has neither a bundle nor a password file named.

    HyOps then gets the secrets in its environment alone, and no bundle is written. Raises Refusal (exit 8) as `read_password`.
    """
    if not password_file and not path.exists() and not path.is_symlink():
        return None
    return read_password(password_file, f"no password file is named, and {path} is there")


def require_usable(path: Path, password_file: str) -> None:
    """Require, before anyone approves, what `open_bundle` will need of the bundle at `path`; nothing is decrypted or written.

    Raises Refusal or Fault (exit 8) in the words of that moment.
    """
    password = bundle_password(path, password_file)
    if password is None:
        return
    folder = path.parent if path.parent.exists() else path.parent.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _fault(folder, "cannot be written by this user")
    if (vault := _read(path)) is not None:
        with _explained(path, password):
            authenticate(vault, password.secret)


def held(path: Path, password: Password) -> tuple[str, ...]:
    """Return what no output may hold: every value of the bundle, those that it gets back at the end of a run too, and its password.

    It waits for no lock: who holds that would keep it from being known. Raises Refusal (exit 8) where the bundle itself cannot be read.
    """
    values = {password.secret.decode("utf-8", "replace")}
    for look in (files.former_files, lambda _: [path], files.former_files):  # a run may begin or end between two looks
        for each in look(path):
            if vault := _read(each):
                with suppress(Refusal) if each != path else nullcontext():
                    values.update(read_values(vault, password, path).values())
    return tuple(sorted(values))


def read_values(vault: bytes, password: Password, path: Path = Path(NAME)) -> dict[str, str]:
    """Return the names and values in an encrypted bundle, as HyOps reads them. Raises Refusal (exit 8)."""
    with _explained(path, password):
        return parse(decrypt(vault, password.secret).decode("utf-8"))


@contextmanager
def _explained(path: Path, password: Password) -> Iterator[None]:
    try:
        yield
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


def _read(path: Path) -> bytes | None:
    try:
        return files.read(path, MAX_BYTES)
    except FileNotFoundError:
        return None
    except UnsafeFile as fault:
        raise _refuse(path, "it is not a regular file of a bundle's size", f"a file of at most {MAX_BYTES} bytes", fault.fix) from None
    except OSError as error:
        raise _refuse(path, f"{error.strerror}", "a regular file that this user can read", "repair it on the host") from None


def _lock(stack: ExitStack, directory: Path, wait: float) -> None:
    """Lock the bundle until `stack` closes, by a file that no other user can open."""
    try:
        stack.enter_context(files.locked(directory / LOCK, wait=wait))
    except BlockingIOError:
        raise _refuse(directory, f"another writer holds it for more than {wait:g} s", "one writer", "wait for that run to end") from None
    except OSError as error:
        raise _fault(directory, f"cannot be opened: {error.strerror}") from None


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
