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
from tests.security.kit import Night, Stage, a_night, assert_recovered, assert_refused

SILENT: dict[str, Any] = {"channels": ["signed"]}
"""Approvals of a config that leaves quorum and lifetime open."""


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    with a_night(tmp_path) as made:
        made.approvers("jonas", "priya")
        made.pinned = True
        yield made


def later(night: Night, stage: Stage, minutes: float) -> RunContext:
    """The context of a job that runs so many minutes later, with a token of that time."""
    world = night.world(stage)
    clock = ShiftedClock(world.clock.now() + timedelta(minutes=minutes))
    now = int(clock.now().timestamp())
    night.issuer.claims |= {"iat": now, "nbf": now - 5, "exp": now + 300}  # type: ignore[dict-item]
    return replace(world, clock=clock, github=None)


def at_the_gate(night: Night, **trust: Any) -> ApprovalRequest:
    """Planned on a hosted job, which knows no host, and checked on a host that trusts no more than this."""
    night.trust |= trust
    night.come_to_the_gate()
    return night.request


# ------------------------------------------------------------------------------------------------ lifetime of the decision


def test_a_decision_older_than_the_host_allows_is_refused_at_the_check(night: Night) -> None:
    night.trust["max_decision_lifetime"] = "PT5M"
    decided = json.loads(example_decision("failover", night.site.clock, 1))
    decided["issued_at"] = stamp(night.site.clock.now().replace(microsecond=0) - timedelta(minutes=6))
    assert night.plan(json.dumps(decided).encode()).state is State.PLANNED
    ended = night.check()
    assert_refused(night, ended, "decision.expired", 6)
    assert (ended.state, night.folder.has("request.json")) == (State.BLOCKED, False)


def test_an_expiry_that_the_decision_names_is_no_longer_than_the_host_allows(night: Night) -> None:
    decided = json.loads(example_decision("failover", night.site.clock, 1))
    decided["issued_at"] = stamp(night.site.clock.now().replace(microsecond=0) - timedelta(minutes=6))
    decided["expires_at"] = stamp(night.site.clock.now().replace(microsecond=0) + timedelta(minutes=50))
    night.trust["max_decision_lifetime"] = "PT5M"
    assert night.plan(json.dumps(decided).encode()).state is State.PLANNED
    assert_refused(night, night.check(), "decision.expired", 6)


@pytest.mark.parametrize(("lifetime", "gate"), [("PT5M", "decision.expired"), ("PT60M", "")])
def test_a_decision_that_outlived_the_host_is_refused_before_the_claim(night: Night, lifetime: str, gate: str) -> None:
    at_the_gate(night, max_decision_lifetime=lifetime)
    ended = night.execute(night.signed("jonas"), world=later(night, "execute", 40))
    if gate:
        assert_refused(night, ended, gate, 6)
        assert ended.state is State.EXPIRED
    else:
        assert_recovered(night, ended)


# ------------------------------------------------------------------------------------------------ lifetime of an approval


def test_a_shorter_lifetime_of_the_host_is_adopted(night: Night) -> None:
    asked = at_the_gate(night, max_approval_lifetime="PT30M")
    assert (asked.lifetime, asked.plan.approval.lifetime) == ("PT30M", "PT60M")
    until = moment(asked.requested_at) + timedelta(minutes=30)
    assert f"valid until {until:%H:%M:%S}Z" in approval_lines(asked)[0]
    assert_recovered(night, night.execute(night.signed("jonas"), world=later(night, "execute", 20)))


@pytest.mark.parametrize(("minutes", "gate"), [(31, "approval.expired"), (5, "approval.time")])
def test_an_answer_that_claims_to_live_longer_does_not(night: Night, minutes: int, gate: str) -> None:
    """Signed for the hour that the plan alone would give."""
    asked = at_the_gate(night, max_approval_lifetime="PT30M")
    night.folder.write_model("request.json", asked.model_copy(update={"lifetime": "PT60M"}))
    assert_refused(night, night.execute(night.signed("jonas"), world=later(night, "execute", minutes)), gate, 6)


def test_the_report_of_a_run_nobody_approved_names_the_hosts_time(night: Night) -> None:
    """`conclude` runs on a hosted job, which knows no host: what the check wrote tells it."""
    asked = at_the_gate(night, max_approval_lifetime="PT30M")
    results = {"plan": "success", "check": "success", "execute": "skipped"}
    ended = conclude(night.folder, later(night, "conclude", 31), evidence=None, digest="", results=results)
    refusal = ended.result.refusal
    assert refusal is not None
    assert (ended.result.outcome, refusal.gate) == (State.EXPIRED, "approval.expired")
    until = moment(asked.requested_at) + timedelta(minutes=30)
    assert refusal.found == f"valid until {stamp(until)}"
    assert ended.result.headline == f"NOBODY APPROVED by {until:%H:%MZ}"


# ------------------------------------------------------------------------------------------------------------- the quorum


@pytest.mark.parametrize(("people", "gate"), [(("jonas",), "approval.quorum"), (("jonas", "priya"), "")])
def test_a_larger_quorum_of_the_host_is_adopted(night: Night, people: tuple[str, ...], gate: str) -> None:
    asked = at_the_gate(night, quorum=2)
    assert asked.plan.approval.quorum == 1
    ended = night.execute(*(night.signed(each) for each in people))
    if gate:
        assert_refused(night, ended, gate, 6)
        assert ended.state is State.UNSIGNED
    else:
        assert_recovered(night, ended)


def test_the_check_says_how_many_this_host_demands(night: Night) -> None:
    night.trust["quorum"] = 2
    assert night.plan().state is State.PLANNED
    ended = check(night.folder, night.world("check"))
    assert ended.run is not None
    assert any("Needs 2." in line for line in approval_lines(night.request, demand=ended.run.demand))


# ------------------------------------------------------------------------------- what the host took back after the check


def no_key_of_priya(night: Night) -> None:
    night.trust["approvers"] = [each for each in night.trust["approvers"] if each["login"] != "priya"]


def another_gate(night: Night) -> None:
    night.trust["gates"] = {"lab": "dr-other"}


@pytest.mark.parametrize(
    ("take_back", "gate", "exit_code"),
    [(no_key_of_priya, "trust.looser", 4), (another_gate, "host.caller", 7)],
)
def test_what_the_host_takes_back_is_missed_at_execute(night: Night, take_back: Callable[[Night], None], gate: str, exit_code: int) -> None:
    at_the_gate(night)
    take_back(night)
    assert_refused(night, night.execute(night.signed("jonas")), gate, exit_code)
