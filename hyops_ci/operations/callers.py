"""The workflows of a repository that call dr-dispatch: which of its workflows, at which commit, and whether they do anything else.

Read as GitHub reads them, `jobs.<id>.uses` alone: a comment or a script that has such a line calls nothing, and a `dispatch.yml` of a
repository of another name is another thing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Refusal
from hyops_ci.github.actions.workflow_file import mapping, read_workflow

WORKFLOWS: Final = ".github/workflows"
RECOVERS: Final = "dispatch"
_USES: Final = re.compile(r"([\w-]+/dr-dispatch/\.github/workflows)/(dispatch|drill|readiness|runner)(\.ya?ml)@([0-9a-f]{40})")


@dataclass(frozen=True)
class Call:
    """One job that is a workflow of dr-dispatch."""

    folder: str
    """`<owner>/dr-dispatch/.github/workflows`."""
    name: str
    """`dispatch`, `drill`, `readiness` or `runner`."""
    suffix: str
    commit: str

    @property
    def pin(self) -> tuple[str, str]:
        """The workflow as `uses:` names it, without its `@`, and the commit behind it."""
        return f"{self.folder}/{self.name}{self.suffix}", self.commit


def calls_in(text: bytes) -> tuple[Call, ...]:
    """Return the calls of a workflow's text, in order; none of a text that GitHub could not read."""
    return tuple(call for call in _jobs(text) if call is not None)


def calls_nothing_but(text: bytes, pin: tuple[str, str]) -> bool:
    """Return whether each job of a workflow is one of the repository and commit of `pin`: then none of it runs steps of its own."""
    folder, commit = pin[0].rpartition("/")[0], pin[1]
    jobs = _jobs(text)
    return bool(jobs) and all(call is not None and (call.folder, call.commit) == (folder, commit) for call in jobs)


def workflows_of(checkout: Path) -> dict[str, bytes]:
    """Return the workflows of a checkout by their paths, in order."""
    folder = checkout / WORKFLOWS
    found = sorted(path for path in folder.glob("*.y*ml") if path.is_file()) if folder.is_dir() else []
    return {f"{WORKFLOWS}/{path.name}": path.read_bytes() for path in found}


def recovering(texts: Mapping[str, bytes]) -> list[Call]:
    """Return the calls of dispatch.yml in these workflows."""
    return [call for text in texts.values() for call in calls_in(text) if call.name == RECOVERS]


def _jobs(text: bytes) -> list[Call | None]:
    """Return what each job of a workflow calls, None for one that calls nothing of ours."""
    try:
        jobs = mapping(read_workflow(text, "").get("jobs"))
    except Refusal:
        return []
    hits = [_USES.fullmatch(str(mapping(job).get("uses", ""))) for job in jobs.values()]
    return [Call(*hit.groups()) if hit else None for hit in hits]
