"""A clone of this repository as it stands, about to be released: its own remote, a version in the changelog, one commit on main."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import date
from pathlib import Path
from typing import Final

from tests.unit.test_house import tracked
from tools.release.changelog import cut

ROOT = Path(__file__).parents[2]
VERSION: Final = "1.0.0"
TAG: Final = f"v{VERSION}"
_ROLES: Final = ("AUTHOR", "COMMITTER")
_DATED: Final = {"NAME": "t", "EMAIL": "t@example.net", "DATE": "1700000000 +0000"}
_SOMEBODY: Final = {f"GIT_{role}_{what}": value for role in _ROLES for what, value in _DATED.items()}


def git(folder: Path, *words: str) -> str:
    """What git prints there, as somebody of the tests and at one time."""
    done = subprocess.run(["git", *words], cwd=folder, env=os.environ | _SOMEBODY, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def remote_and_clone(folder: Path, files: dict[str, str]) -> Path:
    """A clone in `folder`, whose `origin` is a bare repository beside it, of one commit that holds the files."""
    clone = folder / "clone"
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", "origin.git")
    git(folder, "clone", "--quiet", "origin.git", "clone")
    for path, text in files.items():
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        (clone / path).write_text(text)
    return push_all(clone)


def release_candidate(folder: Path) -> Path:
    """The same with all files of this checkout, the version cut."""
    made = remote_and_clone(folder, {"CHANGELOG.md": ""})
    for path in tracked():
        (made / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, made / path)
    changelog, package = made / "CHANGELOG.md", made / "hyops_ci" / "__init__.py"
    if "## [1.0.0]" not in changelog.read_text("utf-8"):
        changelog.write_text(cut(changelog.read_text("utf-8"), VERSION, date(2026, 11, 29)), "utf-8")
    head, quote, rest = package.read_text("utf-8").partition('__version__ = "')
    package.write_text(f'{head}{quote}{VERSION}"{rest.partition(chr(34))[2]}', "utf-8")
    return push_all(made)


def push_all(clone: Path) -> Path:
    """Commit whatever is there to main, and push it."""
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--message", "Release")
    git(clone, "push", "--quiet", "origin", "HEAD:main")
    return clone
