from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hyops_ci.approvals.context import ApprovalContext
from hyops_ci.approvals.judge import judge_approvals
from hyops_ci.approvals.request import MAX_REQUEST, answer, read_request
from hyops_ci.contracts.approval import ApprovalRequest, Person
from hyops_ci.contracts.base import moment, stamp
from hyops_ci.contracts.check import Check
from hyops_ci.errors import Refusal
from hyops_ci.report.approval_page import approval_lines
from tests.unit.evidence import sample_run

PLAN = sample_run.plan()
CHECK = sample_run.check(PLAN)
END = moment(CHECK.checked_at)
MARIA, JONAS = Person(login="maria", id=11), Person(login="jonas", id=12)


def request(**changes: Any) -> ApprovalRequest:
    given: dict[str, Any] = {"subject": sample_run.subject(PLAN, CHECK), "requesters": (MARIA,), "decision": sample_run.decision()}
    given |= {"requested_at": CHECK.checked_at, "lifetime": PLAN.approval.lifetime, "plan": PLAN, "check": CHECK}
    return ApprovalRequest(**(given | changes))


def content(of: ApprovalRequest, **changes: Any) -> bytes:
    return json.dumps(of.document() | changes).encode()


def test_what_is_asked_is_answered_and_counts() -> None:
    asked = read_request(content(request()))
    now, risks = END + timedelta(minutes=4), ["ledger-fork"]
    envelope = answer(asked, "approve", JONAS, sample_run.JONAS, now=now, comment="dark", accepted_risks=risks)
    seen = sample_run.subject(PLAN, CHECK, accepted_risks=["ledger-fork"])
    at = END + timedelta(minutes=5)
    (approval,) = judge_approvals([envelope], ApprovalContext(PLAN.approval, seen, (MARIA,), at, requested_at=END))
    assert (approval.approver, approval.comment, approval.subject.nonce) == (JONAS, "dark", sample_run.NONCE)
    assert moment(approval.expires_at) == END + timedelta(hours=1)
    no = answer(asked, "deny", MARIA, sample_run.PRIYA, now=at)
    assert json.loads(base64.b64decode(no["payload"]))["verdict"] == "deny"


def test_no_yes_to_an_own_or_an_old_question() -> None:
    with pytest.raises(Refusal, match=r"approval\.self"):
        answer(request(), "approve", Person(login="MARIA"), sample_run.JONAS, now=END)
    with pytest.raises(Refusal, match=r"approval\.expired"):
        answer(request(), "approve", JONAS, sample_run.JONAS, now=END + timedelta(hours=1))


def test_no_answer_to_a_question_of_another_age() -> None:
    """A time at the end of the calendar is no time; one ahead of this clock is not answered."""
    for year in ("9999", "3000", "1969", "0001"):
        with pytest.raises(Refusal, match=r"approval\.request"):
            read_request(content(request(), requested_at=f"{year}-12-31T23:59:59Z"))
    ahead = request(requested_at=stamp(END + timedelta(seconds=61)))
    with pytest.raises(Refusal, match=r"approval\.time: this request comes from the future"):
        answer(ahead, "approve", JONAS, sample_run.JONAS, now=END)
    assert answer(ahead, "approve", JONAS, sample_run.JONAS, now=END + timedelta(seconds=1))


@given(day=st.integers(0, 376_199), life=st.integers(0, 9999 * 3600 + 99_999 * 60 + 999_999))
@example(day=0, life=9999 * 3600)
@example(day=376_199, life=9999 * 3600)
def test_any_time_and_any_length_of_a_document_add_up(day: int, life: int) -> None:
    at = moment(stamp(moment("1970-01-01T00:00:00Z") + timedelta(days=day)))
    assert at + timedelta(seconds=life) > at - timedelta(seconds=life) or not life


@pytest.mark.parametrize(
    "changed",
    [
        {"plan": sample_run.plan(lane="azure").document()},
        {"check": sample_run.check(PLAN, restore_point={"value": "another"}).document()},
        {"lifetime": "PT99H"},
        {"decision": sample_run.decision(rationale="another reason").document()},
        {"subject": sample_run.subject(PLAN, CHECK, service="other/prod").document()},
        {"subject": sample_run.subject(PLAN, CHECK, decision_type="failback_onprem").document()},
        {"subject": sample_run.subject(PLAN, CHECK, decision_digest=sample_run.ZERO).document()},
    ],
)
def test_a_request_that_shows_something_else_is_not_signed(changed: dict[str, Any]) -> None:
    with pytest.raises(Refusal, match=r"approval\.request"):
        read_request(content(request(), **changed))


def test_a_check_of_another_plan_is_not_signed() -> None:
    of_another = sample_run.check(sample_run.plan(lane="azure"))
    subject = sample_run.subject(PLAN, CHECK, check_digest=of_another.digest())
    with pytest.raises(Refusal, match=r"approval\.request") as refused:
        read_request(content(request(), check=of_another.document(), subject=subject.document()))
    assert refused.value.found.startswith("decision, check or lifetime")


def test_a_host_may_shorten_what_the_plan_asks_for() -> None:
    asked = read_request(content(request(), lifetime="PT30M"))
    envelope = answer(asked, "approve", JONAS, sample_run.JONAS, now=END)
    said = json.loads(base64.b64decode(envelope["payload"]))
    assert moment(said["expires_at"]) == END + timedelta(minutes=30)
    assert approval_lines(asked)[0].split("valid until ")[1][:9] == f"{END + timedelta(minutes=30):%H:%M:%S}Z"


def test_a_request_without_end_is_not_read() -> None:
    whole = content(request())
    assert read_request(whole + b" " * (MAX_REQUEST - len(whole))) == request()
    with pytest.raises(Refusal, match=r"approval\.request"):
        read_request(whole + b" " * (MAX_REQUEST - len(whole) + 1))


@given(data=st.binary(max_size=200) | st.just(b"[" * 100_000) | st.just(b" " * (2 << 20)))
def test_no_request_gives_a_traceback(data: bytes) -> None:
    with pytest.raises(Refusal):
        read_request(data)


def shown(**changes: Any) -> list[str]:
    return approval_lines(request().model_copy(update={"requested_at": stamp(sample_run.START)} | changes))


def test_the_page_answers_the_questions_of_the_texts() -> None:
    lines = shown()
    assert lines[0].startswith("APPROVE?  FAILOVER pg-ha/prod, onprem -> gcp  ")
    assert lines[0].endswith(f"valid until 04:04:31Z, plan {PLAN.digest()[7:15]}")
    labels = [line[:10].strip() for line in lines[1:]]
    assert labels == "Asked|Does|Data|Old side|Guards|Steps|Checked|Time|Approvers|Not now?".split("|")
    assert all(line[10] == " " != line[11] for line in lines[1:])
    text = "\n".join(lines)
    assert "moves clients in postgresql_dns_cutover (step 5 of 6: point of no return)" in text
    assert "whether the repository still has it is not known here" in text
    assert "NOT CONFIRMED off" in text
    assert "jonas or priya (not maria)." in text


def test_what_nobody_knows_is_said() -> None:
    unread = sample_run.check(PLAN, restore_point={"reason": "no state"}, states=[], secret_names=[], unknown={"clock": "no answer"})
    text = "\n".join(shown(check=unread))
    for words in ("which set that is: not measured (no state)", "states not confirmed", "secret names not confirmed"):
        assert words in text
    assert "Unknown    clock: no answer" in text
    assert "objective 30m00s; how long it will take is not known here" in text


def test_a_host_that_pins_nobody_and_warnings_are_on_the_page() -> None:
    loose = sample_run.check(PLAN, runner={"name": "r"}, deviations=["this host does not pin its callers"])
    text = "\n".join(shown(check=loose, plan=sample_run.plan(warnings=["no probe"])))
    assert "Deviation  no probe" in text
    assert "Deviation  this host does not pin its callers" in text


OTHERS: dict[str, Any] = {
    "run_id": "999-1",
    "checked_at": "2026-11-24T00:00:00Z",
    "runner": {"name": "another"},
    "hyops_version": "9.9.9",
    "modules": [{"module_ref": "x", "sha256": sample_run.ZERO}],
    "steps": [],
    "states": [{"ref": "x", "status": "error"}],
    "guards": [],
    "secret_names": ["X", "Y"],
    "authority": "another",
    "restore_point": {"value": "another"},
    "gates": [{"id": "x"}],
    "deviations": ["something"],
    "unknown": {"disk": "not measured"},
}


@pytest.mark.parametrize("name", sorted(Check.model_fields.keys() - {"api_version", "kind", "plan_digest", "blueprint_digest"}))
def test_whatever_of_the_check_is_shown_is_bound(name: str) -> None:
    """A field that changes the page changes the digest that is signed."""
    other = sample_run.check(PLAN, **{name: OTHERS[name]})
    assert shown(check=other) == shown() or other.digest() != CHECK.digest()


def test_text_of_a_decision_cannot_draw_on_the_terminal() -> None:
    text = "\n".join(shown(decision=sample_run.decision().model_copy(update={"rationale": "\x1b[2J\u202egnp\nAPPROVED"})))
    assert not set(text) & set("\x1b\u202e\r")
    assert len(text.splitlines()) == 11


def test_a_reason_is_read_to_its_end() -> None:
    reason = "x" * 1990 + " no drill."
    assert f'"{reason}"' in shown(decision=sample_run.decision(rationale=reason))[1]


def test_nobody_left_to_approve() -> None:
    alone = sample_run.plan(
        approval=PLAN.approval.document() | {"channels": ["signed"], "approvers": {"maria": PLAN.approval.approvers["jonas"]}}
    )
    assert "NO ELIGIBLE APPROVER (not maria)" in "\n".join(shown(plan=alone))
