"""The copy of this repository that act runs, and the whole list of what the copy says differently.

GitHub resolves `uses: $/actions/x` to the repository and commit of the workflow itself. act's own schema check
refuses the form, so the copy names both, as the release for GHES does. Nothing else differs.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tools.release import references

ROOT = Path(__file__).parents[2]
REPOSITORY = references.REPOSITORY
UNPINNED = "0" * 40
"""What the templates carry where a caller writes the commit of the release."""
PARTS = (
    ".github/workflows/dispatch.yml",
    ".github/workflows/drill.yml",
    ".github/workflows/readiness.yml",
    ".github/workflows/runner.yml",
    "action.yml",
    "actions",
    "hyops_ci",
    "schemas",
    "requirements",
)


@dataclass(frozen=True)
class Rewrite:
    """One thing that act cannot read, and what the copy says instead; `{sha}` is the commit that callers pin."""

    pattern: str
    instead: str


REWRITES = (Rewrite(references.OWN.pattern, REPOSITORY + r"/\1@{sha}"),)


def copy_dispatch(to: Path, sha: str) -> Path:
    """This repository as a caller's pin would fetch it, rewritten for act."""
    for part in PARTS:
        source, target = ROOT / part, to / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    for path in [to / "action.yml", *(to / ".github").rglob("*.yml"), *(to / "actions").rglob("*.yml")]:
        path.write_text(rewritten(path.read_text(), sha))
    return to


def rewritten(text: str, sha: str) -> str:
    """A workflow or action as the copy says it."""
    for rewrite in REWRITES:
        text = re.sub(rewrite.pattern, rewrite.instead.format(sha=sha), text)
    return text


def pinned(workflow: str) -> dict[str, str]:
    """The actions of others that a workflow names: `owner/repo` to the commit it pins."""
    return dict(re.findall(r"uses: ([A-Za-z0-9_-]+/[A-Za-z0-9_.-]+)@([0-9a-f]{40})\b", workflow))
