"""The environment of a release that root makes ahead: `/opt/dr-dispatch/<key>`, compiled, for every job of the host."""

from __future__ import annotations

import compileall
import os
import py_compile
import re
import secrets
import shutil
import sys
from hashlib import sha256
from importlib.util import cache_from_source
from pathlib import Path
from typing import Final

import hyops_ci
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Exit, Refusal
from hyops_ci.files import only_root_writes
from hyops_ci.operations.prepare.packages import Incomplete, PackageFile, make_environment, read_wheels

CHECKOUT: Final = Path(hyops_ci.__file__).resolve().parents[1]
SETUP: Final = "actions/setup/setup.sh"


@dataclass(frozen=True)
class Requirements:
    """The pinned packages of this release, and where their environment is."""

    text: str
    home: Path

    @property
    def ready(self) -> bool:
        """Whether it is there, made by this Python."""
        marker = self.home / "complete"
        return marker.is_file() and marker.read_text(encoding="utf-8") == sys.version


def requirements_of(root: Path = Path("/")) -> Requirements:
    """Return the requirements of this release. Raises Refusal (exit 2) outside a checkout: an installed package does not carry them."""
    path = CHECKOUT / "requirements" / "runtime.txt"
    if not path.is_file():
        raise _refuse(f"{CHECKOUT} is no checkout of dr-dispatch", "the release that callers pin")
    content, machine = path.read_bytes(), os.uname()
    key = sha256(f"{machine.sysname} {machine.machine}\n".encode() + content).hexdigest()[:24]
    return Requirements(content.decode(), root / "opt" / "dr-dispatch" / key)


@dataclass(frozen=True)
class PreparedState:
    """What is on this host, and only root's to write."""

    hook_path: Path
    hook: bool
    home: Path
    environment: bool


def commit_of(checkout: Path = CHECKOUT) -> str:
    """Return the commit that a checkout was set to, empty where that is a branch, or where it is no checkout."""
    try:
        head = (checkout / ".git" / "HEAD").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
    return head if re.fullmatch(r"[0-9a-f]{40}", head) else ""


def interpreter() -> Path:
    """Return the Python that environments are made with: the one behind the environment of this process."""
    return Path(getattr(sys, "_base_executable", "") or sys.executable)


def prepared_state(root: Path = Path("/")) -> PreparedState:
    """Return what root has prepared. The environment is one of this release where that is known, else any."""
    folder = root / "opt" / "dr-dispatch"
    hook = folder / "job-started.sh"
    path = CHECKOUT / "requirements" / "runtime.txt"
    homes = [requirements_of(root).home] if path.is_file() else [each.parent for each in folder.glob("*/complete")]
    there = [home for home in homes if (home / "complete").is_file() and only_root_writes(home)]
    return PreparedState(hook, only_root_writes(hook), next(iter([*there, *homes]), folder), bool(there))


def packages_of(requirements: Requirements, wheels: str) -> dict[str, PackageFile]:
    """Return the files of the packages. Raises Refusal (exit 2) without the wheels."""
    try:
        return read_wheels(requirements.text, wheels or "/nonexistent")
    except Incomplete as lacking:
        problem = f"no wheel of {lacking} in {wheels or 'reach'}"
    raise _refuse(problem, "one wheel, of a known hash, of each line of requirements/runtime.txt")


def make(requirements: Requirements, packages: dict[str, PackageFile]) -> None:
    """Make the environment beside its place and rename it. Raises OSError."""
    draft = requirements.home.with_name(f".{requirements.home.name}.{secrets.token_hex(8)}")
    try:
        make_environment(str(draft), packages)
        _compile(draft, requirements.home)
        (draft / "complete").write_text(sys.version, encoding="utf-8")
        shutil.rmtree(requirements.home, ignore_errors=True)
        draft.rename(requirements.home)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _compile(draft: Path, home: Path) -> None:
    """Compile packages and library ahead: a job can write neither. Of the library as `hyops_ci/start.py` looks for it."""
    compileall.compile_dir(draft, quiet=2, stripdir=str(draft), prependdir=str(home))
    for source in sorted((CHECKOUT / "hyops_ci").rglob("*.py")):
        target = draft / "compiled" / Path(cache_from_source(str(source))).relative_to(CHECKOUT)
        py_compile.compile(str(source), str(target), invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH, quiet=2)


def _refuse(found: str, expected: str) -> Refusal:
    return Refusal(
        "runner.environment",
        "the environment of this release cannot be made here",
        exit_code=Exit.USAGE,
        found=found,
        expected=expected,
        fix=f"as root, in a checkout of the release: bash {SETUP} runner prepare; without a package index with --wheelhouse FOLDER",
        docs="host-trust.md",
    )
