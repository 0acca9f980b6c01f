"""Attack: a true yes is used for something else, somewhere else, again, or too late; or an old run is started again."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from hyops_ci.cli.plan import outputs_of
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
from tests.security.incident import CHECK_GATE, GATE, SERVICE, Incident, assert_recovered, assert_refused
from tests.support.host_key import host_signs

OTHER = "sha256:" + "0" * 64


def answered(incident: Incident, **subject: Any) -> dict[str, Any]:
    """jonas's own signature under a yes to another question."""
    document = json.loads(base64.b64decode(incident.signed("jonas")["payload"]))
    return sign(canonical(document | {"subject": document["subject"] | subject}), APPROVAL_PAYLOAD, [incident.keys["jonas"]])


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
def test_a_yes_to_another_question(at_the_gate: Incident, elsewhere: dict[str, Any]) -> None:
    """Another repository, another ledger of a service of the same name, another epoch, plan, check or decision."""
    ended = at_the_gate.execute(answered(at_the_gate, **elsewhere))
    assert_refused(at_the_gate, ended, "approval.subject", 6, f"another {next(iter(elsewhere))}")


def test_a_yes_whose_nonce_a_claim_has_spent(incident: Incident) -> None:
    """The approver was made to sign the next epoch, too, with the nonce of the first."""
    incident.reach_gate()
    request = incident.request
    spent = ClaimRequest(
        service=SERVICE,
        decision_id="another-0001",
        decision_type=DecisionType.FAILOVER,
        drill=False,
        source_sha256=OTHER,
        decision_digest=OTHER,
        run_id="8000-1",
        run_url="",
        at=stamp(incident.site.clock.now()),
        target_site="gcp",
        home_site="onprem",
        plan_digest=OTHER,
        check_digest=OTHER,
        approvals=(OTHER,),
        nonces=(request.subject.nonce,),
    )
    ledger = host_signs(incident.ledger(), incident.site.host_key)
    ledger.advance(ledger.claim(spent), State.FAILED, at=stamp(incident.site.clock.now()))
    assert_refused(incident, incident.execute(answered(incident, min_epoch=1)), "approval.nonce", 6, request.subject.nonce, epoch=1)
    incident.again()
    assert_recovered(incident, incident.execute(answered(incident, min_epoch=1, nonce="a" * 32)))


def test_a_yes_after_its_use(incident: Incident) -> None:
    """The recovery was carried out. The same envelope, the same decision, a new run."""
    incident.reach_gate()
    yes = incident.signed("jonas")
    first = incident.folder
    assert_recovered(incident, incident.execute(yes))
    incident.start(actor="mallory")
    ended = incident.plan(first.read("decision.raw"), approvals=json.dumps([yes]))
    assert ended.state is State.DUPLICATE
    assert incident.ledger().tip().epoch == 1


def later(incident: Incident, minutes: int) -> RunContext:
    world = incident.world("execute")
    return replace(world, clock=ShiftedClock(world.clock.now() + timedelta(minutes=minutes)))


def test_a_yes_after_its_time(incident: Incident) -> None:
    incident.configure(lambda config: config["approvals"].update(lifetime="PT5M"))
    incident.reach_gate()
    yes = incident.signed("jonas")
    assert_refused(incident, incident.execute(yes, world=later(incident, 6)), "approval.expired", 6, "judged at")
    incident.again()
    assert_recovered(incident, incident.execute(yes, world=later(incident, 4)))


def reviewed(incident: Incident, *, checked_after: int) -> None:
    """A review is asked for, and given; GitHub says when the job that checked was done."""
    incident.approvers("jonas", channels=("environment", "signed"))
    incident.configure(lambda config: config["approvals"].update(lifetime="PT5M"))
    incident.reach_gate()
    job = incident.run.add_job(f"dr / {outputs_of(incident.folder)['check_title']}")
    job.finish()
    job.completed_at = stamp((incident.site.clock.now() + timedelta(minutes=checked_after)).replace(microsecond=0))
    incident.review("jonas")


def asked_at(incident: Incident, minutes: int) -> None:
    """What the check hands over as the time of its request."""
    told = stamp((incident.site.clock.now() + timedelta(minutes=minutes)).replace(microsecond=0))
    incident.folder.write_json("request.json", incident.folder.read_json("request.json") | {"requested_at": told})


def test_a_review_after_its_time_of_a_request_that_says_it_is_young(incident: Incident) -> None:
    reviewed(incident, checked_after=0)
    asked_at(incident, 6)
    assert_refused(incident, incident.execute(world=later(incident, 7)), "approval.expired", 6, "judged at")


def test_the_same_where_nothing_says_when_the_check_was_done(incident: Incident) -> None:
    reviewed(incident, checked_after=0)
    incident.run.jobs.clear()
    asked_at(incident, 6)
    assert_refused(incident, incident.execute(world=later(incident, 7)), "approval.expired", 6, "judged at")


def test_a_review_in_time_of_a_check_that_came_late(incident: Incident) -> None:
    """The twin: its runner was busy for longer than an approval lasts."""
    reviewed(incident, checked_after=6)
    asked_at(incident, 6)
    assert_recovered(incident, incident.execute(world=later(incident, 7)))


def test_a_yes_to_a_decision_that_ran_out(incident: Incident) -> None:
    incident.configure(lambda config: config.update(policy={"decision_lifetime": "PT10M"}))
    incident.reach_gate()
    assert_refused(incident, incident.execute(incident.signed("jonas"), world=later(incident, 11)), "decision.expired", 6)


def test_a_yes_dated_into_the_future(at_the_gate: Incident) -> None:
    """So that it would last longer than any approval may."""
    ahead = at_the_gate.site.clock.now() + timedelta(minutes=30)
    document = json.loads(base64.b64decode(at_the_gate.signed("jonas")["payload"]))
    document |= {"requested_at": stamp(ahead), "observed_at": stamp(ahead), "expires_at": stamp(ahead + timedelta(minutes=60))}
    yes = sign(canonical(document), APPROVAL_PAYLOAD, [at_the_gate.keys["jonas"]])
    assert_refused(at_the_gate, at_the_gate.execute(yes), "approval.time", 6)


# ------------------------------------------------------------------------------------------------------- reviews


def test_a_review_of_another_environment(incident: Incident) -> None:
    """One that anybody may review lets its own job through, and not this one."""
    incident.approvers(channels=("environment",))
    incident.reach_gate()
    incident.review("jonas", environment=incident.repository.environments[CHECK_GATE])
    assert_refused(incident, incident.execute(), "approval.bypass", 6, f"no review of {GATE}")


def test_a_review_of_another_environment_that_the_request_names(incident: Incident) -> None:
    """The machine that took the check wrote the request, with a plan of its own beside the digests of the true one."""
    incident.approvers("jonas", channels=("environment", "signed"))
    incident.reach_gate()
    told = incident.folder.read_json("request.json")
    told["plan"]["approval"]["gate"] = CHECK_GATE
    incident.folder.write_json("request.json", told)
    incident.review("jonas", environment=incident.repository.environments[CHECK_GATE])
    assert_refused(incident, incident.execute(), "approval.unsigned", 6, f"nobody reviewed {GATE}")


def test_a_review_of_another_run(incident: Incident) -> None:
    incident.approvers(channels=("environment",))
    incident.review("jonas")
    incident.start(actor="maria")
    incident.reach_gate()
    assert_refused(incident, incident.execute(), "approval.bypass", 6)
    incident.again()
    incident.review("jonas")
    assert_recovered(incident, incident.execute())


# -------------------------------------------------------------------------------------------------------- re-runs


def second_attempt(incident: Incident) -> None:
    incident.run.rerun("maria")


@pytest.mark.parametrize(("pinned", "gate", "exit_code"), [(False, "run.attempt", 6), (True, "host.caller", 7)])
def test_execute_alone_is_run_again_with_the_review_of_the_first_attempt(
    incident: Incident, pinned: bool, gate: str, exit_code: int
) -> None:
    """GitHub asks nobody again where an environment's job is re-run after its review; the host does not take it."""
    incident.approvers(channels=("environment",))
    incident.trust["approvers"] = [{"id": 1002, "login": "jonas"}]
    incident.reach_gate()
    incident.review("jonas")
    incident.pinned = pinned
    second_attempt(incident)
    assert_refused(incident, incident.execute(), gate, exit_code, "attempt")


def test_everything_is_run_again(incident: Incident) -> None:
    incident.reach_gate()
    incident.run.history.clear()
    second_attempt(incident)
    incident.folder = RunDir(incident.site.root.parent / "second" / "run")
    incident.reach_gate()
    assert_refused(incident, incident.execute(incident.signed("jonas")), "run.attempt", 6, "attempt 2")


def test_an_old_run_is_run_again(incident: Incident) -> None:
    """A form is as old as its run, whatever its attempt."""
    incident.start(created_at=stamp(incident.site.clock.now().replace(microsecond=0) - timedelta(days=8)))
    second_attempt(incident)
    ended = incident.plan()
    assert ended.refusal is not None
    assert_refused(incident, ended, ended.refusal.gate, ended.refusal.exit_code)
    assert ended.refusal.gate in ("intake.age", "decision.expired", "decision.lifetime"), ended.refusal


def test_the_report_alone_may_be_made_again(incident: Incident) -> None:
    incident.reach_gate()
    first = incident.conclude()
    second_attempt(incident)
    incident.again()
    second = incident.conclude()
    assert (first.result.outcome, second.result.outcome) == (State.UNSIGNED, State.UNSIGNED)
    assert second.verdict.ok
    assert second.result.run_id == f"{incident.run.id}-2"
    assert incident.ledger().tip().epoch == 0


def killed(recovery: Recovery) -> None:
    """In place of the recovery: it said EXECUTING, and was never heard of again."""
    for state in (State.SECRETS_READY, State.PREFLIGHT_PASSED, State.EXECUTING):
        at = stamp(recovery.context.clock.now())
        recovery.run.ledger.advance(recovery.claim, state, at=at, mutating=state is State.EXECUTING)
    raise SystemExit(137)


@pytest.mark.parametrize("attempt", [1, 2])
def test_a_second_report_hides_no_effect(incident: Incident, monkeypatch: pytest.MonkeyPatch, attempt: int) -> None:
    """Whoever runs only the report again does not get a run that changed nothing out of one that nobody knows the end of."""
    monkeypatch.setattr(Recovery, "carry_out", killed)
    incident.reach_gate()
    known = incident.folder
    incident.again()
    with pytest.raises(SystemExit):
        incident.execute(incident.signed("jonas"))
    incident.folder = known
    if attempt == 2:
        second_attempt(incident)
    ended = incident.conclude({"plan": "success", "check": "success", "execute": "failure"})
    assert ended.result.outcome is State.INDETERMINATE, ended.result
    assert ended.verdict.ok, ended.verdict
    assert incident.ledger().tip().state is State.INDETERMINATE
