"""What an earlier run handed over, taken out of its artifact. Whoever can push a branch can upload one: it vouches for nothing."""

from __future__ import annotations

from pathlib import PurePosixPath

from hyops_ci.contracts.control import RunFact
from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.artifacts import artifact
from hyops_ci.github.client import Client
from hyops_ci.stages.rundir import MAX_HANDOVER_BYTES, contents


def handover_of(client: Client, run: RunFact, names: tuple[str, ...]) -> dict[str, bytes]:
    """Named documents of what the check of a run handed over. Raises Refusal: exit 11 where one is not there, 4 for a strange tar."""
    name, files = newest(client, run)
    packed = next((data for path, data in files.items() if PurePosixPath(path).name == "handover.tar"), b"")
    known = contents(packed) if 0 < len(packed) <= MAX_HANDOVER_BYTES else {}
    found = {each: known[each] for each in names if each in known}
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


def newest(client: Client, run: RunFact) -> tuple[str, dict[str, bytes]]:
    """(name, files) of the last check of a run. Where only its report was made again, that is one of an earlier attempt."""
    for attempt in range(run.attempt, 1, -1):
        name = f"dr-check-{run.run_id}-{attempt}"
        try:
            return name, artifact(client, run.run_id, name)
        except Refusal as error:
            if error.gate != "artifact.missing":
                raise
    name = f"dr-check-{run.run_id}-1"
    return name, artifact(client, run.run_id, name)
