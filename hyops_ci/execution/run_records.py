"""HyOps' run records of this run only, and the little of them that may become evidence (docs/design/contracts.md 7).

An allow-list of files and of JSON fields: HyOps redacts a handful of patterns in log text and nothing in its
JSON (HyOps `runtime/redact.py`), so inputs, published outputs and provider output stay on the runner.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from hyops_ci import files
from hyops_ci.dataclass import dataclass
from hyops_ci.execution.records import ALIASES, MAX_FILE
from hyops_ci.execution.run_ids import started_at
from hyops_ci.json_file import read_object

MAX_LOG: Final = 256 * 1024
"""Bytes of a log that are kept, from its end."""
_DRIVER = ("command", "driver", "run_id", "status", "warnings", "error")
FIELDS: Final[dict[str, Collection[str]]] = {
    "preflight_decision.json": (
        *("schema_version", "scope", "requirement", "command", "decision", "decision_source", "guarantee", "status"),
        *("reason", "mutating", "recorded_at", "completed_at", "parent"),
    ),
    "preflight_result.json": _DRIVER,
    "driver_result.json": _DRIVER,
    "result.json": _DRIVER,
    "module_state.json": ("status", "detail", "publish_policy"),
    "cancelled.json": ("command", "module_ref", "run_id", "status", "reason"),
}
"""File -> top-level fields that may leave the runner. A `*.result.json` process envelope gives `rc` and `duration_ms`."""
LOGS: Final = ("ansible.log",)
"""Logs kept from their end. A terragrunt log may repeat published outputs and stays."""
MAX_RUNS: Final = 200
"""Run records that are kept of one run, the newest. A run of HyOps has one for each step."""
MAX_KEPT: Final = 40
"""Files that are kept of one run record."""
_ENVELOPE = re.compile(r"[a-z0-9_]{1,60}(\.retry\d{1,3})?\.result\.json")
_NAME = re.compile(r"(?=.{1,140}$)[A-Za-z0-9][A-Za-z0-9_.#-]*/[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One directory below `logs/module/`."""

    module: str
    """Module id as in the path (`core__shared__manual-gate`)."""
    run_id: str
    path: Path


def new_runs(root: Path, since: datetime) -> tuple[RunRecord, ...]:
    """Run records begun at or after `since`, oldest first, at most the `MAX_RUNS` newest. HyOps' run ids carry whole seconds.

    A folder whose name HyOps would not give is no record: it becomes a name in the evidence.
    """
    found = []
    for path in (root / "logs" / "module").glob("*/*"):
        began = started_at(path.name)
        named = _NAME.fullmatch(f"{path.parent.name}/{path.name}")
        if named and began is not None and began >= since.replace(microsecond=0) and path.is_dir() and not path.is_symlink():
            found.append((began, RunRecord(path.parent.name, path.name, path)))
    return tuple(record for _, record in sorted(found, key=lambda each: (each[0], str(each[1].path))))[-MAX_RUNS:]


def evidence_files(record: RunRecord, redact: Callable[[str], str]) -> dict[str, bytes]:
    """Return what may become evidence of one run record: path below `hyops/` -> bytes, every text through `redact`."""
    kept: dict[str, bytes] = {}
    for entry in _entries(record.path):
        content = None
        if entry.name in FIELDS:
            content = _fields(Path(entry.path), FIELDS[entry.name], redact)
        elif _ENVELOPE.fullmatch(entry.name) and "_output." not in entry.name:
            content = _fields(Path(entry.path), ("rc", "duration_ms"), redact)
        elif entry.name in LOGS and (text := _tail(Path(entry.path))) is not None:
            content = redact(text).encode()
        if content is not None:
            kept[f"{record.module}/{record.run_id}/{entry.name}"] = content
        if len(kept) == MAX_KEPT:
            break
    return kept


def last_lines(record: RunRecord, redact: Callable[[str], str], count: int = 40) -> tuple[str, ...]:
    """Return the end of the log of a run record, for the person who reads about its failure."""
    for name in LOGS:
        if (text := _tail(record.path / name)) is not None:
            return tuple(redact(text).splitlines()[-count:])
    return ()


def is_of(name: str, module_ref: str) -> bool:
    """Return whether a run record, by its name below `logs/module/`, is of this module, under either of the module's names."""
    return name.partition("/")[0] in {each.replace("/", "__") for each in (module_ref, ALIASES.get(module_ref, module_ref))}


def log_path(root: Path, name: str) -> Path:
    """Return where the log of a run record lies, of which `last_lines` shows the end."""
    return root / "logs" / "module" / name / LOGS[0]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return sorted(os.scandir(folder), key=lambda each: each.name)
    except OSError:
        return []


def _fields(path: Path, names: Collection[str], redact: Callable[[str], str]) -> bytes | None:
    """Return the allowed fields of a JSON object, or None for what is none."""
    try:
        content = read_object(path, MAX_FILE)
        allowed: dict[str, Any] = {name: content[name] for name in names if name in content}
        return redact(json.dumps(allowed, indent=2, sort_keys=True)).encode() + b"\n"
    except (OSError, ValueError, RecursionError):
        return None


def _tail(path: Path) -> str | None:
    """Return the last `MAX_LOG` bytes of a log, or None where there is no plain file that can be read."""
    try:
        text = files.read_end(path, MAX_LOG)
    except (OSError, files.UnsafeFile):
        return None
    # The first line may be cut, and with it a secret that redaction would then not know: leave it out.
    whole = text.partition(b"\n")[2] if len(text) == MAX_LOG else text
    return whole.decode("utf-8", errors="replace")
