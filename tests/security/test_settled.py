"""Settling and checking from GitHub: the word of people behind the approval gate ends an UNKNOWN, and nothing weaker does."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import Result, State
from hyops_ci.evidence.verify import verify
from hyops_ci.execution.command import Runtime
from hyops_ci.intake.form import Form
from hyops_ci.ledger.host_lock import host_lock
from hyops_ci.report.approval_page import approval_lines
from hyops_ci.report.text import summary_lines
from hyops_ci.stages.plan.stage import Ask, plan
from hyops_ci.stages.runner import StageEnd
from hyops_ci.stages.sealing import bundle_path
from tests.security.incident import SERVICE, Incident
from tests.security.test_ledger_unvouched import cut_off
from tests.support.host_key import people_settle

EXIT_CONFLICT = 5


def asked(incident: Incident, action: str = "settle", serves: str = "gcp") -> StageEnd:
    form = Form(action, SERVICE, "INC-4242  dig and psql show gcp", serves=serves)
    return plan(Ask(incident.site.repository, form=form), incident.folder, incident.world("plan"))


def reach_gate(incident: Incident, serves: str = "gcp") -> None:
    """A run was cut off, and maria asks to settle it."""
    cut_off(incident)
    incident.start(actor="maria")
    assert asked(incident, serves=serves).state is State.PLANNED
    ended = incident.check()
    assert ended.state is State.CHECKED, ended


def at_work(incident: Incident) -> AbstractContextManager[int]:
    """HyOps holds the env of the host, as it does from the claim to its own end."""
    return host_lock(Runtime.of(incident.folder.read_model("plan.json", Plan), incident.site.world().home).root)


def assert_unsettled(incident: Incident, ended: StageEnd, gate: str) -> None:
    assert ended.refusal is not None, ended
    assert ended.refusal.gate == gate
    tip = incident.ledger().tip()
    assert (tip.state, tip.settled_by) == (State.INDETERMINATE, "")
    if not bundle_path(incident.folder).exists():
        incident.conclude()
    assert verify(bundle_path(incident.folder)).problems == ()


@pytest.mark.parametrize("channel", ["signed", "environment"])
@pytest.mark.parametrize("serves", ["gcp", "onprem"])
def test_people_settle_behind_the_gate_and_the_host_signs(incident: Incident, channel: str, serves: str) -> None:
    incident.approvers(*(["jonas"] if channel == "signed" else []), channels=(channel,))
    reach_gate(incident, serves)
    if channel == "environment":
        incident.review("jonas")
    ended = incident.execute(*([incident.signed("jonas")] if channel == "signed" else []))
    assert (ended.state, ended.refusal) == (State.SETTLED, None)
    tip = incident.ledger().tip()
    assert (tip.claim, tip.serves, tip.position) == (None, serves, "failed_over" if serves == "gcp" else "primary")
    assert tip.settled_by == f"jonas in run {incident.run.id}-1"
    assert tip.reason == "INC-4242 dig and psql show gcp"
    assert verify(bundle_path(incident.folder)).problems == ()
    # What follows believes it: the keys of the reviewed config vouch for it, and the lock is free.
    incident.start(actor="maria")
    after = incident.plan()
    assert (after.state, after.refusal.gate if after.refusal else "") == (
        (State.DUPLICATE, "lock.duplicate") if serves == "gcp" else (State.PLANNED, "")
    )


def test_the_page_says_how_to_look_and_starts_nothing(incident: Incident) -> None:
    incident.configure(
        lambda config: config.update(
            verification={SERVICE: [{"kind": "tcp", "target": "pg.example.net:5432"}, {"kind": "dns", "target": "pg.example.net"}]}
        )
    )
    reach_gate(incident)
    page = "\n".join(approval_lines(incident.request))
    assert "SETTLE pg-ha/lab: gcp serves" in page
    assert "Look       dig +short pg.example.net\nLook       psql 'host=pg.example.net port=5432 " in page
    assert "epoch 1" in page
    assert incident.request.plan.commands == ()
    assert incident.request.plan.guards == ()


@pytest.mark.parametrize("who", ["maria", "mallory", "nobody", "no"])
def test_the_word_of_others_settles_nothing(incident: Incident, who: str) -> None:
    """Who asked, who is no approver, no answer, and a no."""
    incident.approvers("jonas", channels=("environment", "signed"))
    reach_gate(incident)
    if who == "maria":
        incident.review(who)
    answers = {"no": lambda: [incident.signed("jonas", "deny")], "mallory": lambda: [incident.signed("mallory")]}
    ended = incident.execute(*answers.get(who, list)())
    assert ended.refusal is not None
    assert_unsettled(incident, ended, ended.refusal.gate)
    assert ended.refusal.gate.startswith("approval.")
    told = "\n".join(summary_lines(incident.folder.read_model("result.json", Result), {}))
    assert "Lock free" not in told
    assert "the lock of pg-ha/lab is kept until it is settled" in told


def test_an_answer_for_one_site_settles_no_other(incident: Incident) -> None:
    reach_gate(incident, "gcp")
    said = incident.signed("jonas")
    incident.start(actor="maria")
    assert asked(incident, serves="onprem").state is State.PLANNED
    assert incident.check().state is State.CHECKED
    assert_unsettled(incident, ended := incident.execute(said), ended.refusal.gate if ended.refusal else "")


def test_nothing_is_settled_while_hyops_is_at_work_on_the_host(incident: Incident) -> None:
    cut_off(incident)
    incident.start(actor="maria")
    assert asked(incident).state is State.PLANNED
    with at_work(incident):
        assert_unsettled(incident, incident.check(), "lock.host")


def test_hyops_that_goes_on_after_the_answer_keeps_it_unsettled(incident: Incident) -> None:
    reach_gate(incident)
    with at_work(incident):
        assert_unsettled(incident, incident.execute(incident.signed("jonas")), "lock.host")


@pytest.mark.parametrize(("serves", "gate"), [("", "lock.site"), ("mars", "lock.site")])
def test_a_site_that_is_none_is_refused_before_anybody_is_asked(incident: Incident, serves: str, gate: str) -> None:
    cut_off(incident)
    incident.start(actor="maria")
    assert_unsettled(incident, asked(incident, serves=serves), gate)


def test_nothing_is_settled_where_nothing_was_cut_off(incident: Incident) -> None:
    ended = asked(incident)
    assert ended.refusal is not None
    assert (ended.refusal.gate, ended.refusal.exit_code) == ("lock.settle", EXIT_CONFLICT)


def test_without_a_host_that_signs_it_is_refused_with_the_way_that_there_is(incident: Incident) -> None:
    cut_off(incident)
    incident.start(actor="maria")
    incident.configure(lambda config: config.pop("host_keys"))
    ended = asked(incident)
    assert ended.refusal is not None
    assert (ended.refusal.gate, ended.refusal.exit_code) == ("settle.key", EXIT_CONFLICT)
    assert "hyops-ci ledger settle" in ended.refusal.fix


def test_a_host_without_its_key_is_told_before_anybody_is_asked(incident: Incident) -> None:
    cut_off(incident)
    incident.start(actor="maria")
    assert asked(incident).state is State.PLANNED
    Path(incident.site.host_key).unlink()
    assert_unsettled(incident, incident.check(), "host.key")


def test_what_was_settled_otherwise_in_the_meantime_is_not_settled_again(incident: Incident) -> None:
    reach_gate(incident)
    people_settle(
        incident.ledger(),
        incident.keys["jonas"],
        home_site="onprem",
        at=stamp(incident.site.clock.now()),
        serves="onprem",
        reason="psql shows onprem",
        settled_by="jonas",
    )
    ended = incident.execute(incident.signed("jonas"))
    assert ended.refusal is not None
    assert ended.refusal.gate == "lock.settle"
    assert incident.ledger().tip().serves == "onprem"


# ------------------------------------------------------------------------------------------------------------ check


def test_a_check_on_demand_asks_nobody_and_changes_nothing(incident: Incident) -> None:
    assert asked(incident, "check").state is State.PLANNED
    assert incident.check().state is State.CHECKED
    before = incident.ledger().head().commit
    said = incident.conclude({"plan": "success", "check": "success", "execute": "skipped"})
    assert (said.result.outcome, said.result.exit_code, said.exit_code) == (State.CHECK_PASSED, 0, 0)
    assert said.result.headline.startswith("CHECK PASSED  pg-ha/lab, onprem -> gcp")
    assert incident.ledger().head().commit == before


def test_the_recovery_of_a_check_is_refused_all_the_same(incident: Incident) -> None:
    assert asked(incident, "check").state is State.PLANNED
    assert incident.check().state is State.CHECKED
    ended = incident.execute(incident.signed("jonas"))
    assert ended.refusal is not None
    assert ended.refusal.gate == "drill.level"
    assert incident.ledger().tip().epoch == 0


def test_a_check_is_refused_what_a_recovery_would_be_refused(incident: Incident) -> None:
    cut_off(incident)
    incident.start(actor="maria")
    ended = asked(incident, "check")
    assert ended.refusal is not None
    assert ended.refusal.gate == "lock.unknown"
