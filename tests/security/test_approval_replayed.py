"""Attack: a true yes is used for something else, somewhere else, again, or too late; or an old run is started again."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from hyops_ci.contracts.approval import APPROVAL_PAYLOAD
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.digest import canonical
from hyops_ci.contracts.run import State
from hyops_ci.ledger.ledger import ClaimRequest
from hyops_ci.signing.dsse import sign
from hyops_ci.stages.context import RunContext, ShiftedClock
from hyops_ci.stages.execute.recovery import Recovery
from hyops_ci.stages.handover import RunDir
from tests.security.kit import CHECK_GATE, GATE, SERVICE, Night, assert_recovered, assert_refused

OTHER = "sha256:" + "0" * 64


def answered(night: Night, **subject: Any) -> dict[str, Any]:
    """jonas's own signature under a yes to another question."""
    document = json.loads(base64.b64decode(night.signed("jonas")["payload"]))
    return sign(canonical(document | {"subject": document["subject"] | subject}), APPROVAL_PAYLOAD, [night.keys["jonas"]])


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"repository_id": 4243},
        {"ledger_id": OTHER},
        {"min_epoch": 1},
        {"plan_digest": OTHER},
        {"check_digest": OTHER},
        {"decision_digest": OTHER},
        {"service": "pg-ha/prod"},
        {"decision_type": "failback_onprem"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_yes_to_another_question(at_the_gate: Night, elsewhere: dict[str, Any]) -> None:
    """Another repository, another ledger of a service of the same name, another epoch, plan, check or decision."""
    ended = at_the_gate.execute(answered(at_the_gate, **elsewhere))
    assert_refused(at_the_gate, ended, "approval.subject", 6, f"another {next(iter(elsewhere))}")


def test_a_yes_whose_nonce_a_claim_has_spent(night: Night) -> None:
    """The approver was made to sign the next epoch, too, with the nonce of the first."""
    night.come_to_the_gate()
    request = night.request
    spent = ClaimRequest(
        service=SERVICE,
        decision_id="another-0001",
        decision_type=DecisionType.FAILOVER,
        drill=False,
        source_sha256=OTHER,
        decision_digest=OTHER,
        run_id="8000-1",
        run_url="",
        at=stamp(night.site.clock.now()),
        target_site="gcp",
        home_site="onprem",
        plan_digest=OTHER,
        check_digest=OTHER,
        approvals=(OTHER,),
        nonces=(request.subject.nonce,),
    )
    ledger = night.ledger()
    ledger.advance(ledger.claim(spent), State.FAILED, at=stamp(night.site.clock.now()))
    assert_refused(night, night.execute(answered(night, min_epoch=1)), "approval.nonce", 6, request.subject.nonce, epoch=1)
    night.again()
    assert_recovered(night, night.execute(answered(night, min_epoch=1, nonce="a" * 32)))


def test_a_yes_after_its_use(night: Night) -> None:
    """The recovery was carried out. The same envelope, the same decision, a new run."""
    night.come_to_the_gate()
    yes = night.signed("jonas")
    first = night.folder
    assert_recovered(night, night.execute(yes))
    night.start(actor="mallory")
    ended = night.plan(first.read("decision.raw"), approvals=json.dumps([yes]))
    assert ended.state is State.DUPLICATE
    assert night.ledger().tip().epoch == 1


def later(night: Night, minutes: int) -> RunContext:
    world = night.world("execute")
    return replace(world, clock=ShiftedClock(world.clock.now() + timedelta(minutes=minutes)))


def test_a_yes_after_its_time(night: Night) -> None:
    night.configure(lambda config: config["approvals"].update(lifetime="PT5M"))
    night.come_to_the_gate()
    yes = night.signed("jonas")
    assert_refused(night, night.execute(yes, world=later(night, 6)), "approval.expired", 6, "judged at")
    night.again()
    assert_recovered(night, night.execute(yes, world=later(night, 4)))


def test_a_yes_to_a_decision_that_ran_out(night: Night) -> None:
    night.configure(lambda config: config.update(policy={"decision_lifetime": "PT10M"}))
    night.come_to_the_gate()
    assert_refused(night, night.execute(night.signed("jonas"), world=later(night, 11)), "decision.expired", 6)


def test_a_yes_dated_into_the_future(at_the_gate: Night) -> None:
    """So that it would last longer than any approval may."""
    ahead = at_the_gate.site.clock.now() + timedelta(minutes=30)
    document = json.loads(base64.b64decode(at_the_gate.signed("jonas")["payload"]))
    document |= {"requested_at": stamp(ahead), "observed_at": stamp(ahead), "expires_at": stamp(ahead + timedelta(minutes=60))}
    yes = sign(canonical(document), APPROVAL_PAYLOAD, [at_the_gate.keys["jonas"]])
    assert_refused(at_the_gate, at_the_gate.execute(yes), "approval.time", 6)


# ------------------------------------------------------------------------------------------------------- reviews


def test_a_review_of_another_environment(night: Night) -> None:
    """One that anybody may review lets its own job through, and not this one."""
    night.approvers(channels=("environment",))
    night.come_to_the_gate()
    night.review("jonas", environment=night.repository.environments[CHECK_GATE])
    assert_refused(night, night.execute(), "approval.bypass", 6, f"no review of {GATE}")


def test_a_review_of_another_run(night: Night) -> None:
    night.approvers(channels=("environment",))
    night.review("jonas")
    night.start(actor="maria")
    night.come_to_the_gate()
    assert_refused(night, night.execute(), "approval.bypass", 6)
    night.again()
    night.review("jonas")
    assert_recovered(night, night.execute())


# -------------------------------------------------------------------------------------------------------- re-runs


def second_attempt(night: Night) -> None:
    night.run.rerun("maria")


@pytest.mark.parametrize(("pinned", "gate", "exit_code"), [(False, "run.attempt", 6), (True, "host.caller", 7)])
def test_execute_alone_is_run_again_with_the_review_of_the_first_attempt(night: Night, pinned: bool, gate: str, exit_code: int) -> None:
    """GitHub asks nobody again where an environment's job is re-run after its review; the host does not take it."""
    night.approvers(channels=("environment",))
    night.trust["approvers"] = [{"id": 1002, "login": "jonas"}]
    night.come_to_the_gate()
    night.review("jonas")
    night.pinned = pinned
    second_attempt(night)
    assert_refused(night, night.execute(), gate, exit_code, "attempt")


def test_everything_is_run_again(night: Night) -> None:
    night.come_to_the_gate()
    night.run.history.clear()
    second_attempt(night)
    night.folder = RunDir(night.site.root.parent / "second" / "run")
    night.come_to_the_gate()
    assert_refused(night, night.execute(night.signed("jonas")), "run.attempt", 6, "attempt 2")


def test_an_old_run_is_run_again(night: Night) -> None:
    """A form is as old as its run, whatever its attempt."""
    night.start(created_at=stamp(night.site.clock.now().replace(microsecond=0) - timedelta(days=8)))
    second_attempt(night)
    ended = night.plan()
    assert ended.refusal is not None
    assert_refused(night, ended, ended.refusal.gate, ended.refusal.exit_code)
    assert ended.refusal.gate in ("intake.age", "decision.expired", "decision.lifetime"), ended.refusal


def test_the_report_alone_may_be_made_again(night: Night) -> None:
    night.come_to_the_gate()
    first = night.conclude()
    second_attempt(night)
    night.again()
    second = night.conclude()
    assert (first.result.outcome, second.result.outcome) == (State.UNSIGNED, State.UNSIGNED)
    assert second.verdict.ok
    assert second.result.run_id == f"{night.run.id}-2"
    assert night.ledger().tip().epoch == 0


def killed(recovery: Recovery) -> None:
    """In place of the recovery: it said EXECUTING, and was never heard of again."""
    for state in (State.SECRETS_READY, State.PREFLIGHT_PASSED, State.EXECUTING):
        at = stamp(recovery.context.clock.now())
        recovery.run.ledger.advance(recovery.claim, state, at=at, mutating=state is State.EXECUTING)
    raise SystemExit(137)


@pytest.mark.parametrize("attempt", [1, 2])
def test_a_second_report_hides_no_effect(night: Night, monkeypatch: pytest.MonkeyPatch, attempt: int) -> None:
    """Whoever runs only the report again does not get a run that changed nothing out of one that nobody knows the end of."""
    monkeypatch.setattr(Recovery, "carry_out", killed)
    night.come_to_the_gate()
    known = night.folder
    night.again()
    with pytest.raises(SystemExit):
        night.execute(night.signed("jonas"))
    night.folder = known
    if attempt == 2:
        second_attempt(night)
    ended = night.conclude({"plan": "success", "check": "success", "execute": "failure"})
    assert ended.result.outcome is State.INDETERMINATE, ended.result
    assert ended.verdict.ok, ended.verdict
    assert night.ledger().tip().state is State.INDETERMINATE
