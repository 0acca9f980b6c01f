"""Attack: a dry run of the decision service is passed on until nothing in it says so (docs/design/contracts.md 1)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.contracts.approval import ApprovalRequest
from hyops_ci.contracts.run import State
from hyops_ci.intake.records import NO_APPROVER_WARNING, REQUEST_WARNING
from hyops_ci.report.approval_page import approval_lines
from tests.security.incident import SERVICE, Incident, assert_refused

SAMPLES = Path(__file__).parents[1] / "cases" / "intake" / "accept"
BLUEPRINT = "dr/postgresql-ha-failover-gcp@v1"
PASSED_ON = ("dispatch-request", "execution-record", "executor-attempt")


def record(kind: str, now: datetime, **changes: Any) -> bytes:
    """What HybridOps makes of a dry run, of now: the same as of a decision that was meant."""
    value = json.loads((SAMPLES / f"sample-{kind}-cutover" / "input.json").read_bytes())
    value |= {"timestamp_utc": now.isoformat(), "target_env": "lab"} | changes
    for check in value["checks"]:
        check["sample_epoch"] = now.timestamp()
    return json.dumps(value).encode()


def route(incident: Incident, **more: Any) -> None:
    only = {"service": SERVICE, "as": "failover", "decision_type": "cutover", "target_ref": BLUEPRINT, **more}
    incident.configure(lambda config: config.update(routes=[only]))


def now(incident: Incident) -> datetime:
    return incident.site.clock.now().astimezone(UTC)


@pytest.mark.parametrize("kind", PASSED_ON)
def test_a_dry_run_that_was_passed_on(incident: Incident, kind: str) -> None:
    """The config refuses requests; an execution record and an attempt are made of one and say no more of where it came from."""
    route(incident)
    assert_refused(incident, incident.plan(record(kind, now(incident))), "route.requests", 4, "cannot be told apart")


@pytest.mark.parametrize("kind", PASSED_ON)
def test_a_route_that_takes_it_warns_the_approver(incident: Incident, kind: str) -> None:
    route(incident, accept_requests=True)
    nobody = {} if kind == "dispatch-request" else {"approval": {"required": True, "approved_by": "", "approval_file": "", "note": ""}}
    assert incident.plan(record(kind, now(incident), **nobody)).state is State.PLANNED
    assert incident.check().state is State.CHECKED
    page = "\n".join(approval_lines(incident.folder.read_model("request.json", ApprovalRequest)))
    assert REQUEST_WARNING in page
    assert (NO_APPROVER_WARNING in page) is bool(nobody)
