"""The lines of `hyops blueprint deploy --execute`, and of `destroy`, that mean something (HyOps `blueprint/command.py`, docs/hyops.md).

Only standard output carries them. Every other line is text for people.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from hyops_ci.dataclass import dataclass


class StepStatus(StrEnum):
    """What HyOps says of one step."""

    RUNNING = "running"
    OK = "ok"
    SKIPPED = "skipped"
    RERUN = "rerun"
    FAILED = "failed"
    FAILED_OPTIONAL = "failed-optional"
    CANCELLED = "cancelled"
    RETAINED = "retained"
    """Of a destroy: the blueprint keeps it."""


SETTLED: Final = frozenset(StepStatus) - {StepStatus.RUNNING, StepStatus.RERUN}
"""Statuses after which HyOps no longer works on the step. `rerun` announces, `running` begins."""


@dataclass(frozen=True, slots=True)
class StepEvent:
    """One `step=` line. `rc` and `progress` (percent) are None where the line has none."""

    step: str
    status: StepStatus
    reason: str = ""
    rc: int | None = None
    progress: int | None = None
    module: str = ""
    action: str = ""


@dataclass(frozen=True, slots=True)
class PreflightLine:
    """`blueprint=... preflight_status=...`: the preflight that deploy makes for itself."""

    blueprint: str
    status: str
    steps: int


@dataclass(frozen=True, slots=True)
class FinalLine:
    """`blueprint=... status=...`: the last line. `status` is `ok failed cancelled skeleton`; a skeleton counts no steps."""

    blueprint: str
    status: str
    steps: int | None


HyOpsLine = StepEvent | PreflightLine | FinalLine

_STEP = re.compile(r"step=((?:[A-Za-z0-9_.-]|\[redacted(?::[^\]\s]{1,200})?\]){1,200}) status=([a-z-]+)(?: (.*))?", re.DOTALL)
"""A step whose name was redacted is one that was not planned, and counts as such."""
_PREFLIGHT = re.compile(r"blueprint=(\S+) mode=\S* preflight_status=(ok|failed) steps=(\d{1,6})")
_FINAL = re.compile(r"blueprint=(\S+) mode=\S* status=(ok|failed|cancelled) steps=(\d{1,6})")
_SKELETON = re.compile(r"blueprint=(\S+) status=skeleton")
_STATUSES: Final = {status.value: status for status in StepStatus}
VOCABULARY: Final = ("step=", "preflight_status=", *(f"status={status}" for status in (*_STATUSES, "skeleton")))
"""Words by which these lines are told from text."""


def read_line(line: str) -> HyOpsLine | None:
    """Return what one line of standard output says, or None for a line that is only text. Never raises."""
    text = line.rstrip("\r\n")
    if (found := _STEP.fullmatch(text)) and found[2] in _STATUSES:
        return _step(found[1], _STATUSES[found[2]], found[3] or "")
    if found := _PREFLIGHT.fullmatch(text):
        return PreflightLine(found[1], found[2], int(found[3]))
    if found := _FINAL.fullmatch(text):
        return FinalLine(found[1], found[2], int(found[3]))
    if found := _SKELETON.fullmatch(text):
        return FinalLine(found[1], "skeleton", None)
    return None


def _step(step: str, status: StepStatus, rest: str) -> StepEvent:
    before, sep, reason = f" {rest}".partition(" reason=")
    words = dict(word.split("=", 1) for word in before.split() if "=" in word)
    return StepEvent(
        step=step,
        status=status,
        reason=reason if sep else "",
        rc=_number(words.get("rc", "")),
        progress=_number(words.get("progress", "").removesuffix("%")),
        module=words.get("module", ""),
        action=words.get("action", ""),
    )


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?[0-9]{1,6}", text, re.ASCII) else None
