"""The last head that this host saw. A branch that was rolled back or replaced is an alarm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from hyops_ci import files
from hyops_ci.errors import Exit, Refusal
from hyops_ci.ledger.store import Head
from hyops_ci.parsing.documents import read_json

UNREADABLE: Final = "0" * 40
"""Stands for a file that cannot be read: it raises the alarm, as a missing commit would."""


class TipMemory:
    """The last head of one branch, in one small file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def seen(self) -> str | None:
        """Return the commit last seen, None for a host that never saw the branch. Call it before the branch is read."""
        try:
            return str(read_json(self._path.read_bytes())["commit"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            return UNREADABLE

    def trusted(self) -> str | None:
        """Return as `seen`. Raises Refusal (exit 5) for a file that cannot be read."""
        if (seen := self.seen()) == UNREADABLE:
            raise alarm(f"{self._path} cannot be read", self._path)
        return seen

    def check(self, seen: str | None, head: Head | None, branch: str) -> None:
        """Raise Refusal (exit 5) unless `head` is what was seen before, or has grown from it."""
        if seen == UNREADABLE:
            raise alarm(f"{self._path} cannot be read", self._path)
        must_hold(seen, head, branch, self._path)

    def keep(self, head: Head) -> None:
        """Store a head durably; a newer one that another process stored stays."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with files.locked(self._path.with_suffix(".lock"), wait=None):
            seen = self.seen()
            if seen == head.commit or (seen is not None and seen not in head.commits):
                return
            files.write(self._path, json.dumps({"commit": head.commit}).encode())


def must_hold(seen: str | None, head: Head | None, branch: str, memory: Path | None = None) -> None:
    """Raise Refusal (exit 5) unless `head` is the commit `seen` before, or has grown from it."""
    if seen is None or (head is not None and seen in head.commits):
        return
    if head is None:
        raise alarm(f"{branch} is gone; it was at {seen[:12]}", memory)
    raise alarm(f"{branch} is at {head.commit[:12]}, which has not grown from {seen[:12]}", memory)


def alarm(found: str, memory: Path | None = None) -> Refusal:
    """Return the refusal that needs people at once."""
    forget = f"; only then remove {memory}" if memory is not None else ""
    return Refusal(
        "ledger.alarm",
        "the ledger was deleted, rolled back or replaced",
        exit_code=Exit.CONFLICT,
        found=found,
        expected="a branch that only grows",
        fix=f"ALARM: find out who changed it; restore it from a clone{forget}",
        docs="ledger.md",
    )
