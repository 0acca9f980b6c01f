"""What an earlier run handed over, taken out of its artifact. Whoever can push a branch can upload one: it vouches for nothing."""

from __future__ import annotations

import io
import tarfile
from pathlib import PurePosixPath
from typing import Final

from hyops_ci.contracts.control import RunFact
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.artifacts import artifact
from hyops_ci.github.client import Client

MOST: Final = 4 << 20
"""Bytes of one document in a handover."""


def handover_of(client: Client, run: RunFact, names: tuple[str, ...]) -> dict[str, bytes]:
    """Named documents of what the check of a run handed over. Raises Refusal (exit 11) where one is not there."""
    name = f"dr-check-{run.run_id}-{run.attempt}"
    files = artifact(client, run.run_id, name)
    packed = next((data for path, data in files.items() if PurePosixPath(path).name == "handover.tar"), b"")
    found = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:") as tar:
            for member in tar:
                if member.name in names and member.isfile() and member.size <= MOST and (file := tar.extractfile(member)):
                    found[member.name] = file.read()
    except tarfile.TarError:
        found = {}
    if missing := sorted(set(names) - set(found)):
        raise Refusal(
            "handover.file",
            "the run left nothing that can be answered",
            exit_code=Exit.EVIDENCE,
            found=f"artifact {name} without {', '.join(missing)}",
            expected="a run whose check is done",
            fix="look at the run: only a run that ended UNSIGNED waits for an answer",
        )
    return found
