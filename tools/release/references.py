"""Own references: `uses: $/actions/x` means the commit of the workflow itself, which GitHub Enterprise Server does not know. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

REPOSITORY: Final = "hybridops/dr-dispatch"
NAMED: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+")
REF: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""What may stand in `uses: NAMED/...@REF`: neither can be anything else in YAML."""
OWN: Final = re.compile(r"(?m)(?<=uses: )\$/(actions/[a-z-]+|\.github/workflows/[a-z-]+\.yml)$")
_NAMED: Final = re.compile(rf"(?m)(?<=uses: ){REPOSITORY}(?=[/@])")
_USES: Final = re.compile(r"(?m)^[ -]*uses:\s*[\"']?(\$\S*)")
_FOLDERS: Final = (".github/workflows", "actions", "workflows-templates")


def named(text: str, repository: str, ref: str) -> str:
    """Return a workflow or action whose own references name a repository and ref; callers keep the ref that they pin."""
    return _NAMED.sub(repository, OWN.sub(rf"{REPOSITORY}/\1@{ref}", text))


def unnamed(text: str) -> list[str]:
    """Return the own references that are left, in whatever spelling."""
    return _USES.findall(text)


def refers(path: str) -> bool:
    """Return whether a file of the tree is a workflow, a template of one, or an action."""
    place = PurePosixPath(path)
    return place.suffix in {".yml", ".yaml"} and (path == "action.yml" or any(place.is_relative_to(folder) for folder in _FOLDERS))


def for_server(files: Iterable[tuple[str, bytes]], repository: str, ref: str) -> dict[str, bytes]:
    """Return the tree of a release for GitHub Enterprise Server, path to content. Raises ValueError where a reference is left."""
    made = {path: named(content.decode(), repository, ref).encode() if refers(path) else content for path, content in files}
    left = {path: found for path, content in made.items() if refers(path) and (found := unnamed(content.decode()))}
    if left:
        raise ValueError(f"own references that are spelled in a way that is not known: {left}")
    return made
