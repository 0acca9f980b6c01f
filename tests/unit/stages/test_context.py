"""The outside of a stage: what is judged by which clock, and which ledger is in use."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hyops_ci.contracts.base import stamp
from hyops_ci.errors import Refusal
from hyops_ci.github.api.client import Client
from hyops_ci.ledger.git_store import create_repository
from hyops_ci.ledger.standby import RISK
from hyops_ci.stages.context import RunContext, ShiftedClock, SystemClock
from hyops_ci.stages.job import local_job

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SERVICE = "pg-ha/lab"


def world(tmp_path: Path, **changes: Any) -> RunContext:
    made = RunContext(
        job=local_job(NOW, "maria", {}),
        clock=ShiftedClock(NOW),
        home=tmp_path,
        state_dir=tmp_path / "state",
        ledger_remote=str(tmp_path / "ledger.git"),
    )
    return replace(made, **changes)


@pytest.mark.parametrize(("ahead", "later"), [(-90.0, 90.0), (90.0, 0.0), (0.0, 0.0), (None, 0.0)])
def test_lifetimes_are_judged_by_the_later_clock(ahead: float | None, later: float, tmp_path: Path) -> None:
    github = cast("Client", SimpleNamespace(ahead=ahead, ask=refuse))
    judged = world(tmp_path, github=github).judged_at() - NOW
    assert abs(judged - timedelta(seconds=later)) < timedelta(seconds=5)


def refuse(*_: object, **__: object) -> None:
    raise Refusal("github.permission", "no", exit_code=4)  # type: ignore[arg-type]  # 4 is Exit.POLICY


def test_with_the_first_ledger_silent_a_shell_works_with_the_standby_and_the_risk_has_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hyops_ci.ledger.git_branch.WAITS", (0.01,))
    create_repository(tmp_path / "ledger.git")
    create_repository(tmp_path / "standby.git")
    here = world(tmp_path, clock=SystemClock(), standby_remote=str(tmp_path / "standby.git"))
    first = here._primary(SERVICE)
    first.init("onprem", stamp(NOW))
    standby = here.standby(SERVICE)
    assert standby is not None
    assert standby.take(first, None, first.read()) if first.read() else False
    assert here.ledger_in_use(SERVICE).risks == ()

    silent = replace(here, ledger_remote="http://127.0.0.1:9/nobody", chosen={})
    chosen = silent.ledger_in_use(SERVICE)
    assert chosen.risks == (RISK,)
    assert chosen.ledger.tip().service == SERVICE
    assert silent.ledger_in_use(SERVICE) is chosen, "a run does not change ledgers in its middle"
