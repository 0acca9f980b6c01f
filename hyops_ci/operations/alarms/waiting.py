"""Runs that wait for an approval that can count no more: ended, and said (docs/design/workflows.md 2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from hyops_ci.contracts.board import Alarm
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.operations.callers import calls_in
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.overdue import cancel_overdue


def waiting_alarms(config: DispatchConfig, texts: Mapping[str, bytes], context: RunContext) -> Iterator[Alarm]:
    """End what waits too long, of every workflow of the checkout that calls one of ours, and yield each run that was ended."""
    for path, text in texts.items():
        if calls_in(text):
            for run in cancel_overdue(config, PurePosixPath(path).name, context):
                said = f"run {run} of {PurePosixPath(path).name} waited longer than an approval counts, and was ended"
                yield Alarm(level="warning", kind="run.waiting", text=said)
