"""What this host remembers: the last head it saw. A branch that went back, or became another one, is an alarm."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from hyops_ci.errors import Exit, Refusal
from hyops_ci.ledger.store import Head


class TipMemory:
    """The last head of one branch, in one small file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def check(self, head: Head | None, branch: str) -> None:
        """Raise Refusal (exit 5) unless `head` is what was seen before, or has grown from it."""
        seen = self._read()
        if seen is None or (head is not None and seen in head.commits):
            return
        found = (
            f"{branch} is at {head.commit[:12]}, which has not grown from {seen[:12]}"
            if head
            else f"{branch} is gone; it was at {seen[:12]}"
        )
        raise Refusal(
            "ledger.alarm",
            "the ledger was deleted, rolled back or replaced",
            exit_code=Exit.CONFLICT,
            found=found,
            expected="a branch that only grows",
            fix=f"ALARM: find out who changed it; restore it from a clone; only then remove {self._path}",
            docs="ledger.md",
        )

    def keep(self, commit: str) -> None:
        """Remember a head, on disk when this returns."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._path.with_name(f".{self._path.name}.{secrets.token_hex(6)}")
        with draft.open("x", encoding="ascii") as file:
            json.dump({"commit": commit}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)

    def _read(self) -> str | None:
        try:
            return str(json.loads(self._path.read_text(encoding="ascii"))["commit"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            return "0" * 40  # a memory that cannot be read has not forgotten: it alarms
