"""Remove secrets that reached the run folder, and record which files held them (docs/design/contracts.md 7).

A secret never prevents sealing. Events are chained anew, so that the result still verifies.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from hyops_ci import files
from hyops_ci.contracts.digest import canonical, digest
from hyops_ci.contracts.run import Event
from hyops_ci.evidence.recorder import EVENTS, GENESIS, STAGES, BrokenChain, read_chain
from hyops_ci.parsing.documents import json_object

REDACTIONS: Final = "redactions.json"
CHANGED: Final = "changed_at_sealing"
"""Key in `redactions.json`: the files that sealing had to change."""
Scrub: TypeAlias = Callable[[bytes], bytes]
_FIXED: Final = ("seq", "at", "stage", "kind")


def scrub_run(run_dir: Path, paths: Iterable[str], scrub: Scrub) -> None:
    """Replace every file in `paths` that holds a secret by its clean form, and name it in `redactions.json`.

    The name is on disk before the file is changed, so that a crash in between loses neither.
    """
    events = {f"parts/{stage}/{EVENTS}" for stage in STAGES}
    leaking = [path for path in paths if _leaks(run_dir / path, scrub)]
    if not leaking:
        return
    _record(run_dir, leaking)
    for path in leaking:
        if path not in events:
            files.write(run_dir / path, scrub((run_dir / path).read_bytes()))
    if events & set(leaking):
        _scrub_events(run_dir, scrub)


def changed_at_sealing(content: bytes | None) -> frozenset[str]:
    """Return the files that `redactions.json` names as changed; none if it cannot be read."""
    names = (json_object(content) or {}).get(CHANGED)
    return frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset()


def _leaks(path: Path, scrub: Scrub) -> bool:
    data = path.read_bytes()
    return scrub(data) != data


def _record(run_dir: Path, leaking: Iterable[str]) -> None:
    """Add the files to `redactions.json`, beside the counts and the files that are already in it."""
    path = run_dir / REDACTIONS
    before = path.read_bytes() if path.is_file() else b"{}"
    document = json_object(before) or {}
    document[CHANGED] = sorted({*changed_at_sealing(before), *leaking})
    files.write(path, (json.dumps(document, indent=2, sort_keys=True) + "\n").encode())


def _scrub_events(run_dir: Path, scrub: Scrub) -> None:
    """Clean every event and chain them anew. A broken chain is cleaned as bytes, and stays as broken as it was."""
    paths = {stage: run_dir / "parts" / stage / EVENTS for stage in STAGES}
    try:
        parts = _chained(_clean(event, scrub) for event in read_chain(run_dir))
    except BrokenChain:
        parts = {stage: scrub(path.read_bytes()) for stage, path in paths.items() if path.is_file()}
    for stage, content in parts.items():
        if paths[stage].read_bytes() != content:
            files.write(paths[stage], content)


def _clean(event: Event, scrub: Scrub) -> dict[str, Any]:
    fields: dict[str, Any] = event.model_dump(mode="json", exclude={"prev", "hash"})
    clean = json_object(scrub(canonical(fields)))
    fixed = (*_FIXED, "name") if event.kind == "transition" else _FIXED
    if clean is not None and clean.keys() == fields.keys() and all(clean[key] == fields[key] for key in fixed):
        return clean
    return fields | {"data": {"redacted": "all of it"}, "name": fields["name"] if event.kind == "transition" else "redacted"}


def _chained(events: Iterator[Mapping[str, Any]]) -> dict[str, bytes]:
    parts: dict[str, bytes] = {}
    last = GENESIS
    for fields in events:
        event = {**fields, "prev": last}
        last = event["hash"] = digest(event)
        parts[fields["stage"]] = parts.get(fields["stage"], b"") + canonical(event) + b"\n"
    return parts
