"""The Python environment of hyops-ci, made of wheels and compared with them: what somebody else left in its folder is never run.

`actions/setup/environment.py` runs this before there is any package, hence nothing but the standard library.

Every file of the environment must be, byte for byte, a file of a wheel whose hash the requirements name. One that is not is written anew,
one that no wheel has is removed: a folder that is missing, half built, damaged or prepared by a job ends as the same environment.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import stat
import sys
from base64 import urlsafe_b64decode
from contextlib import suppress
from hashlib import sha256
from zipfile import ZipFile, ZipInfo

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})\b")


class Incomplete(Exception):
    """Requirements for which there is no wheel, or more than one."""


class PackageFile:
    """One file of a wheel whose hash the requirements name."""

    __slots__ = ("archive", "digest", "entry")

    def __init__(self, archive: ZipFile, entry: ZipInfo, digest: bytes) -> None:
        self.archive, self.entry = archive, entry
        self.digest = digest
        """sha256, as the wheel's RECORD says; empty for what RECORD gives none, itself among it."""

    def content(self) -> bytes:
        """Return its bytes."""
        return self.archive.read(self.entry)

    def has(self, content: bytes) -> bool:
        """Return whether these are its bytes."""
        return sha256(content).digest() == self.digest if self.digest else content == self.content()


class Link(str):
    """The target of a symbolic link."""

    __slots__ = ()


Wanted = PackageFile | Link | bytes
"""What a path of the environment must be."""


def read_wheels(requirements: str, folder: str) -> dict[str, PackageFile]:
    """Return the files of the one wheel of each requirement, by their path below site-packages. Scripts and headers are not installed.

    Raises Incomplete: a folder that holds other wheels too, if of hashes that are named, is made anew.
    """
    pins = list(_PIN.finditer(requirements))
    ends = [*(pin.start() for pin in pins[1:]), len(requirements)]
    named = {found: pin[1] for pin, end in zip(pins, ends, strict=True) for found in _HASH.findall(requirements, pin.end(), end)}
    wheels: dict[str, list[bytes]] = {pin[1]: [] for pin in pins}
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        path = os.path.join(folder, name)
        if name.endswith(".whl") and os.path.isfile(path):
            with open(path, "rb") as file:
                content = file.read()
            if pin := named.get(sha256(content).hexdigest()):
                wheels[pin].append(content)
    if lacking := [name for name, found in wheels.items() if len(found) != 1]:
        raise Incomplete(", ".join(lacking))
    return {path: file for found in wheels.values() for path, file in _files(found[0])}


def _files(wheel: bytes) -> list[tuple[str, PackageFile]]:
    archive, found = ZipFile(io.BytesIO(wheel)), []
    record = next(name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
    rows = (line.rsplit(",", 2) for line in archive.read(record).decode().splitlines())
    digests = {name: urlsafe_b64decode(said[7:] + "=") for name, said, _ in rows if said.startswith("sha256=")}
    for entry in archive.infolist():
        path, (top, _, rest) = entry.filename, entry.filename.partition("/")
        if top.endswith(".data"):
            path = rest.partition("/")[2] if rest.startswith(("purelib/", "platlib/")) else ""
        if path and not entry.is_dir():
            found.append((path, PackageFile(archive, entry, digests.get(entry.filename, b""))))
    return found


def make_environment(root: str, packages: dict[str, PackageFile]) -> None:
    """Make `root` a virtual environment (PEP 405) of the running interpreter that holds these files, and nothing else. Raises OSError."""
    interpreter: str = getattr(sys, "_base_executable", "") or sys.executable
    settings = f"home = {os.path.dirname(interpreter)}\ninclude-system-site-packages = false\nversion = {sys.version.split()[0]}\n"
    library = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    wanted: dict[str, Wanted] = {f"{library}/{path}": file for path, file in packages.items()}
    wanted |= {"bin/python": Link(interpreter), "pyvenv.cfg": settings.encode()}
    folders = {""}
    for path in wanted:
        while (path := os.path.dirname(path)) not in folders:
            folders.add(path)
    if os.path.islink(root):
        os.unlink(root)
    os.makedirs(root, exist_ok=True)
    kept = _compare(root, folders, wanted)
    for folder in folders:
        os.makedirs(os.path.join(root, folder), exist_ok=True)
    for path, what in wanted.items():
        if path not in kept:
            _write(os.path.join(root, path), what)


def _compare(root: str, folders: set[str], wanted: dict[str, Wanted]) -> set[str]:
    """Return the paths that are as wanted, with all the rest removed. Links are not followed."""
    kept = set()
    for at, names, files in os.walk(root):
        prefix = f"{at[len(root) + 1 :]}/" if at != root else ""
        for name in names + files:
            path, inside = os.path.join(at, name), prefix + name
            folder = name in names and not os.path.islink(path)
            if folder and inside in folders:
                continue
            if folder:
                names.remove(name)
            elif (what := wanted.get(inside)) is not None and _is(path, what):
                kept.add(inside)
                continue
            _remove(path, root)
    return kept


def _remove(path: str, root: str) -> None:
    """Take `path` out of `root` in one step: another job of this host may be writing compiled files in it, or removing it, too."""
    away = f"{root}.{os.urandom(8).hex()}.old"
    with suppress(FileNotFoundError):
        os.rename(path, away)
        if os.path.isdir(away) and not os.path.islink(away):
            shutil.rmtree(away, ignore_errors=True)
        else:
            os.unlink(away)


def _is(path: str, what: Wanted) -> bool:
    """Return whether there is at `path` what is wanted."""
    try:
        if isinstance(what, Link):
            return os.readlink(path) == what
        found = _content(path, len(what) if isinstance(what, bytes) else what.entry.file_size)
    except OSError:
        return False
    return found is not None and (found == what if isinstance(what, bytes) else what.has(found))


def _content(path: str, size: int) -> bytes | None:
    """Return the bytes of a regular file of this size, None for anything else. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(handle, "rb", buffering=0) as file:
        facts = os.fstat(handle)
        return file.readall() if stat.S_ISREG(facts.st_mode) and facts.st_size == size else None


def _write(path: str, what: Wanted) -> None:
    """Put at `path`, where nothing is, what is wanted."""
    if isinstance(what, Link):
        os.symlink(what, path)
        return
    with open(path, "xb") as file:
        file.write(what.content() if isinstance(what, PackageFile) else what)
