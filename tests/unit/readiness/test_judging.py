"""Only what a host of the config signed about this very service counts; everything else is passed over, and said."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.ledger import TRANSITION_PAYLOAD
from hyops_ci.readiness.judging import SAID, readiness_of
from tests.unit.readiness.samples import LEDGER, NOW, about, branch, envelope, record, refused


def test_the_newest_check_is_the_readiness() -> None:
    found = readiness_of(branch(envelope(record(1)), envelope(record(30))), about())
    assert (found.standing, found.record, found.last_passed, found.signed_by) == ("ready", record(1), record(1), ("gcp",))
    assert found.passed_over == ()


def test_a_check_that_was_refused_is_newer_than_the_one_that_passed() -> None:
    found = readiness_of(branch(envelope(refused(1)), envelope(record(30))), about())
    assert (found.standing, found.record, found.last_passed) == ("not ready", refused(1), record(30))


def test_the_time_of_the_check_decides_and_not_the_order_of_pushes() -> None:
    """Two runs at once: the one that checked later may push first."""
    found = readiness_of(branch(envelope(record(3)), envelope(refused(1))), about())
    assert (found.standing, found.record) == ("not ready", refused(1))


@pytest.mark.parametrize("of", [record, refused])
def test_a_check_expires(of: Callable[..., object]) -> None:
    found = readiness_of(branch(envelope(record(49))), about())
    assert (found.standing, found.last_passed) == ("expired", record(49))


@pytest.mark.parametrize(("hours", "standing"), [(5, "ready"), (6, "expired"), (30, "expired")])
def test_a_check_says_no_more_than_the_config_of_today_lets_it(hours: int, standing: str) -> None:
    """It was signed when the config let it count for two days; what says ready on a board must pass the gate, too."""
    found = readiness_of(branch(envelope(record(hours))), about(lasts=timedelta(hours=6)))
    until = stamp(NOW + timedelta(hours=6 - hours))
    assert (found.standing, found.record, found.last_passed) == (standing, *[record(hours).model_copy(update={"expires_at": until})] * 2)
    longer = readiness_of(branch(envelope(record(1))), about(lasts=timedelta(days=9)))
    assert longer.record == record(1), "nor longer than it was signed for"


def test_nothing_is_known_where_nothing_was_kept_and_where_no_host_signs() -> None:
    assert readiness_of(None, about()).why == "no check was kept yet"
    assert "host_keys" in readiness_of(branch(envelope(record())), about(host_keys={})).why
    assert readiness_of(branch(None), about()).standing == "unknown"


def test_a_check_of_the_way_back_says_nothing_of_the_way_out() -> None:
    back = record(1, decision_type=DecisionType.FAILBACK_ONPREM, runner_ref="proxmox-ops-runner")
    found = readiness_of(branch(envelope(back), envelope(record(5))), about())
    assert (found.record, found.passed_over) == (record(5), ())
    assert readiness_of(branch(envelope(back)), about()).standing == "unknown"


STRANGE = {
    "is signed by no host of the config": envelope(record(), "stranger"),
    "is about pg-ha/other": envelope(record(service="pg-ha/other")),
    "is about another ledger of this service": envelope(record(ledger_id="sha256:" + "00" * 32)),
    "is signed by drill-runner and speaks for gcp-ops-runner": envelope(record(), "drill-runner"),
    "is about drill-runner, which is not the runner of this move": envelope(record(runner_ref="drill-runner"), "drill-runner"),
    "which is still to come": envelope(record(-1)),
    "holds no check that this release can read": b'{"payloadType": "x"}',
    "holds no check": None,
}


@pytest.mark.parametrize("why", STRANGE)
def test_what_counts_as_nothing(why: str) -> None:
    found = readiness_of(branch(STRANGE[why], envelope(record(30))), about())
    assert (found.standing, found.record) == ("ready", record(30))
    [said] = found.passed_over
    assert why in said


@pytest.mark.parametrize("content", [envelope(record(), kind=TRANSITION_PAYLOAD), b"", b"[]", b"{", b"\xff", b'{"a":1,"a":2}'])
def test_what_is_no_signed_check_at_all(content: bytes) -> None:
    assert readiness_of(branch(content), about()).standing == "unknown"


def test_a_payload_that_was_changed_after_it_was_signed() -> None:
    signed, other = json.loads(envelope(refused())), json.loads(envelope(record()))
    assert readiness_of(branch(json.dumps(signed | {"payload": other["payload"]}).encode()), about()).standing == "unknown"


def test_a_key_that_was_taken_out_of_the_config_is_believed_no_more() -> None:
    assert readiness_of(branch(envelope(record())), about(host_keys={"other": about().host_keys["drill-runner"]})).standing == "unknown"


def test_a_key_of_any_name_speaks_for_the_runner_that_it_names() -> None:
    """Names of keys are free: one that is no runner's is a recovery host's, as it is in the ledger."""
    assert readiness_of(branch(envelope(record(), "gcp")), about()).standing == "ready"


def test_a_clock_may_be_a_little_ahead() -> None:
    ahead = record().model_copy(update={"checked_at": stamp(NOW + timedelta(seconds=59))})
    assert readiness_of(branch(envelope(ahead)), about()).standing == "ready"


def test_a_branch_full_of_nothing_is_told_in_a_few_lines() -> None:
    found = readiness_of(branch(*[None] * 30), about())
    assert len(found.passed_over) == SAID + 1
    assert found.passed_over[-1] == "and 25 more"


@given(st.lists(st.tuples(st.integers(0, 100), st.booleans(), st.sampled_from(["gcp", "stranger"])), max_size=12))
def test_of_any_branch_the_newest_that_counts(checks: list[tuple[int, bool, str]]) -> None:
    signed = [(hours, ready, envelope(record(hours) if ready else refused(hours), who), who) for hours, ready, who in checks]
    found = readiness_of(branch(*[each[2] for each in signed]) if signed else None, about())
    counted = [(hours, ready) for hours, ready, _, who in signed if who == "gcp"]
    assert (found.record is None) == (not counted)
    if found.record is not None:
        newest = min(hours for hours, _ in counted)
        assert found.record.checked_at == stamp(NOW - timedelta(hours=newest))
        assert found.record.ledger_id == LEDGER
