"""A plan that was made where no host was known, at a host with limits of its own: each stage works with the stricter of both."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hyops_ci.contracts.approval import ApprovalRequest
from hyops_ci.contracts.base import moment, stamp
from hyops_ci.contracts.run import State
from hyops_ci.operations.rehearse.scenarios import example_decision
from hyops_ci.report.approval_page import approval_lines
from hyops_ci.stages.check.stage import check
from hyops_ci.stages.conclude.stage import conclude
from hyops_ci.stages.context import RunContext, ShiftedClock
from tests.security.incident import Incident, Stage, assert_recovered, assert_refused, start_incident

pytestmark = pytest.mark.slow

SILENT: dict[str, Any] = {"channels": ["signed"]}
"""Approvals of a config that leaves quorum and lifetime open."""


@pytest.fixture
def incident(tmp_path: Path) -> Iterator[Incident]:
    with start_incident(tmp_path) as made:
        made.approvers("jonas", "priya")
        made.pinned = True
        yield made


def later(incident: Incident, stage: Stage, minutes: float) -> RunContext:
    """The context of a job that runs so many minutes later, with a token of that time."""
    world = incident.world(stage)
    clock = ShiftedClock(world.clock.now() + timedelta(minutes=minutes))
    now = int(clock.now().timestamp())
    incident.issuer.claims |= {"iat": now, "nbf": now - 5, "exp": now + 300}  # type: ignore[dict-item]  # times are numbers, the other claims texts
    return replace(world, clock=clock, github=None)


def at_the_gate(incident: Incident, **trust: Any) -> ApprovalRequest:
    """Planned on a hosted job, which knows no host, and checked on a host that trusts no more than this."""
    incident.trust |= trust
    incident.reach_gate()
    return incident.request


# ------------------------------------------------------------------------------------------------ lifetime of the decision


def test_a_decision_older_than_the_host_allows_is_refused_at_the_check(incident: Incident) -> None:
    incident.trust["max_decision_lifetime"] = "PT5M"
    decided = json.loads(example_decision("failover", incident.site.clock, 1))
    decided["issued_at"] = stamp(incident.site.clock.now().replace(microsecond=0) - timedelta(minutes=6))
    assert incident.plan(json.dumps(decided).encode()).state is State.PLANNED
    ended = incident.check()
    assert_refused(incident, ended, "decision.expired", 6)
    assert (ended.state, incident.folder.has("request.json")) == (State.BLOCKED, False)


def test_an_expiry_that_the_decision_names_is_no_longer_than_the_host_allows(incident: Incident) -> None:
    decided = json.loads(example_decision("failover", incident.site.clock, 1))
    decided["issued_at"] = stamp(incident.site.clock.now().replace(microsecond=0) - timedelta(minutes=6))
    decided["expires_at"] = stamp(incident.site.clock.now().replace(microsecond=0) + timedelta(minutes=50))
    incident.trust["max_decision_lifetime"] = "PT5M"
    assert incident.plan(json.dumps(decided).encode()).state is State.PLANNED
    assert_refused(incident, incident.check(), "decision.expired", 6)


@pytest.mark.parametrize(("lifetime", "gate"), [("PT5M", "decision.expired"), ("PT60M", "")])
def test_a_decision_that_outlived_the_host_is_refused_before_the_claim(incident: Incident, lifetime: str, gate: str) -> None:
    at_the_gate(incident, max_decision_lifetime=lifetime)
    ended = incident.execute(incident.signed("jonas"), world=later(incident, "execute", 40))
    if gate:
        assert_refused(incident, ended, gate, 6)
        assert ended.state is State.EXPIRED
    else:
        assert_recovered(incident, ended)


# ------------------------------------------------------------------------------------------------ lifetime of an approval


def test_a_shorter_lifetime_of_the_host_is_adopted(incident: Incident) -> None:
    asked = at_the_gate(incident, max_approval_lifetime="PT30M")
    assert (asked.lifetime, asked.plan.approval.lifetime) == ("PT30M", "PT60M")
    until = moment(asked.requested_at) + timedelta(minutes=30)
    assert f"valid until {until:%H:%M:%S}Z" in approval_lines(asked)[0]
    assert_recovered(incident, incident.execute(incident.signed("jonas"), world=later(incident, "execute", 20)))


@pytest.mark.parametrize(("minutes", "gate"), [(31, "approval.expired"), (5, "approval.time")])
def test_an_answer_that_claims_to_live_longer_does_not(incident: Incident, minutes: int, gate: str) -> None:
    """Signed for the hour that the plan alone would give."""
    asked = at_the_gate(incident, max_approval_lifetime="PT30M")
    incident.folder.write_model("request.json", asked.model_copy(update={"lifetime": "PT60M"}))
    assert_refused(incident, incident.execute(incident.signed("jonas"), world=later(incident, "execute", minutes)), gate, 6)


def test_the_report_of_a_run_nobody_approved_names_the_hosts_time(incident: Incident) -> None:
    """`conclude` runs on a hosted job, which knows no host: what the check wrote tells it."""
    asked = at_the_gate(incident, max_approval_lifetime="PT30M")
    results = {"plan": "success", "check": "success", "execute": "skipped"}
    ended = conclude(incident.folder, later(incident, "conclude", 31), evidence=None, digest="", results=results)
    refusal = ended.result.refusal
    assert refusal is not None
    assert (ended.result.outcome, refusal.gate) == (State.EXPIRED, "approval.expired")
    until = moment(asked.requested_at) + timedelta(minutes=30)
    assert refusal.found == f"valid until {stamp(until)}"
    assert ended.result.headline == f"NOBODY APPROVED by {until:%H:%MZ}"


# ------------------------------------------------------------------------------------------------------------- the quorum


@pytest.mark.parametrize(("people", "gate"), [(("jonas",), "approval.quorum"), (("jonas", "priya"), "")])
def test_a_larger_quorum_of_the_host_is_adopted(incident: Incident, people: tuple[str, ...], gate: str) -> None:
    asked = at_the_gate(incident, quorum=2)
    assert asked.plan.approval.quorum == 1
    ended = incident.execute(*(incident.signed(each) for each in people))
    if gate:
        assert_refused(incident, ended, gate, 6)
        assert ended.state is State.UNSIGNED
    else:
        assert_recovered(incident, ended)


def test_the_check_says_how_many_this_host_demands(incident: Incident) -> None:
    incident.trust["quorum"] = 2
    assert incident.plan().state is State.PLANNED
    ended = check(incident.folder, incident.world("check"))
    assert ended.run is not None
    assert any("Needs 2." in line for line in approval_lines(incident.request, demand=ended.run.demand))


# ------------------------------------------------------------------------------- what the host took back after the check


def no_key_of_priya(incident: Incident) -> None:
    incident.trust["approvers"] = [each for each in incident.trust["approvers"] if each["login"] != "priya"]


def another_gate(incident: Incident) -> None:
    incident.trust["gates"] = {"lab": "dr-other"}


@pytest.mark.parametrize(
    ("take_back", "gate", "exit_code"),
    [(no_key_of_priya, "trust.looser", 4), (another_gate, "host.caller", 7)],
)
def test_what_the_host_takes_back_is_missed_at_execute(
    incident: Incident, take_back: Callable[[Incident], None], gate: str, exit_code: int
) -> None:
    at_the_gate(incident)
    take_back(incident)
    assert_refused(incident, incident.execute(incident.signed("jonas")), gate, exit_code)
