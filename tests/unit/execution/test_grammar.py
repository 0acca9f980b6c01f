from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.execution.grammar import FinalLine, HyOpsLine, PreflightLine, StepEvent, StepStatus, read_line

LINES: list[tuple[str, HyOpsLine]] = [
    (
        "step=dr_gate status=running action=deploy module=core/shared/manual-gate",
        StepEvent("dr_gate", StepStatus.RUNNING, action="deploy", module="core/shared/manual-gate"),
    ),
    ("step=dr_gate status=ok progress=100%", StepEvent("dr_gate", StepStatus.OK, progress=100)),
    ("step=a status=skipped reason=state-ok", StepEvent("a", StepStatus.SKIPPED, "state-ok")),
    ("step=a status=skipped reason=state-ok (3 of 3 running)", StepEvent("a", StepStatus.SKIPPED, "state-ok (3 of 3 running)")),
    (
        "step=a status=rerun reason=inputs-drift (restore_set changed)",
        StepEvent("a", StepStatus.RERUN, "inputs-drift (restore_set changed)"),
    ),
    ("step=a status=rerun reason=live-state-drift (vm is gone)", StepEvent("a", StepStatus.RERUN, "live-state-drift (vm is gone)")),
    (
        "step=a status=failed rc=1 reason=configuration apply failed",
        StepEvent("a", StepStatus.FAILED, "configuration apply failed", rc=1),
    ),
    ("step=a status=failed reason=contract failed: rc=7 status=ok", StepEvent("a", StepStatus.FAILED, "contract failed: rc=7 status=ok")),
    ("step=a status=failed-optional rc=1", StepEvent("a", StepStatus.FAILED_OPTIONAL, rc=1)),
    ("step=a status=cancelled rc=130\n", StepEvent("a", StepStatus.CANCELLED, rc=130)),
    ("blueprint=dr/x@v1 mode=hybrid preflight_status=ok steps=6", PreflightLine("dr/x@v1", "ok", 6)),
    ("blueprint=dr/x@v1 mode=hybrid status=failed steps=3", FinalLine("dr/x@v1", "failed", 3)),
    ("blueprint=dr/x@v1 status=skeleton", FinalLine("dr/x@v1", "skeleton", None)),
]
TEXT = [
    "",
    "step=a",
    "step=a WARN: failed to materialize inputs file: x",
    "step=a status=unheard-of",
    " step=a status=ok progress=100%",
    "hint: step=a status=ok progress=100%",
    "blueprint=dr/x@v1 mode=hybrid status=ok",
    "blueprint=dr/x@v1 mode=hybrid status=ready steps=1",
    "required_failures: a, b",
    "blueprint=dr/x@v1 mode=hybrid status=ok steps=6 and more",
]


@pytest.mark.parametrize("line,event", LINES)
def test_lines_that_mean_something(line: str, event: HyOpsLine) -> None:
    assert read_line(line) == event


@pytest.mark.parametrize("line", TEXT)
def test_lines_that_are_only_text(line: str) -> None:
    assert read_line(line) is None


@given(st.text())
def test_no_text_raises(line: str) -> None:
    read_line(line)


@given(st.text(min_size=1).filter(lambda text: "\n" not in text and "\r" not in text))
def test_a_reason_is_read_whole(reason: str) -> None:
    assert read_line(f"step=a status=failed rc=2 reason={reason}") == StepEvent("a", StepStatus.FAILED, reason, rc=2)
