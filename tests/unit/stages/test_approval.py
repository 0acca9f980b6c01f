"""What the judge is handed at the claim: the strictest of plan, host and incident, and nobody who asked left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from hyops_ci.approvals.context import ApprovalContext
from hyops_ci.contracts.host_trust import HostTrust
from hyops_ci.ledger.store import Head
from hyops_ci.stages import approval
from hyops_ci.stages.approval import granted_approvals
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.planned_run import CheckedRun, checked_run, planned_run, require_plan
from tests.security.incident import SERVICE, Incident, start_incident


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Incident]:
    """maria's run at its gate."""
    with start_incident(tmp_path_factory.mktemp("incident")) as incident:
        incident.approvers("jonas", "priya")
        incident.reach_gate()
        yield incident


@pytest.fixture
def handed(gate: Incident, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Judge in a context, and return what the judge was handed."""

    def of(world: RunContext) -> dict[str, Any]:
        seen: dict[str, Any] = {}

        def judge(_: Any, context: ApprovalContext, **__: Any) -> tuple[()]:
            seen.update(vars(context))
            return ()

        monkeypatch.setattr(approval, "judge_approvals", judge)
        granted_approvals(checked(gate, world), gate_passed=True)
        return seen

    return of


def checked(gate: Incident, world: RunContext) -> CheckedRun:
    return checked_run(planned_run(require_plan(gate.folder), gate.folder, world))


def trusted(gate: Incident, **changes: Any) -> HostTrust:
    return HostTrust.model_validate({**gate.trust, "workflow_shas": tuple(gate.trust["workflow_shas"]), **changes}, strict=False)


@pytest.mark.parametrize(("host", "incident", "wanted"), [(1, 1, 1), (3, 1, 3), (1, 2, 2), (2, 3, 3)])
def test_the_largest_quorum_counts(host: int, incident: int, wanted: int, gate: Incident, handed: Any) -> None:
    world = replace(gate.world("execute"), trust=trusted(gate, quorum=host), min_quorum=incident)
    assert handed(world)["demand"].quorum == wanted


def test_whoever_asked_and_whatever_was_spent_is_told(gate: Incident, handed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world = gate.world("execute")
    monkeypatch.setattr(Head, "spent_nonces", lambda _: frozenset({"ab" * 16}))
    told = handed(world)
    assert [(each.login, each.id) for each in told["requesters"]][:1] == [("maria", 1001)]
    assert told["spent_nonces"] == {"ab" * 16}


def test_where_no_host_pins_anybody_no_machine_is_known(gate: Incident, handed: Any) -> None:
    told = handed(replace(gate.world("execute"), trust=None))
    assert (told["apps"], told["approvers"], told["validity"]) == (frozenset(), None, {})


def test_what_the_host_pins_is_told(gate: Incident, handed: Any) -> None:
    jonas, priya = gate.trust["approvers"]
    people = ({**jonas, "not_after": "2026-12-01T00:00:00Z"}, priya)
    told = handed(replace(gate.world("execute"), trust=trusted(gate, approvers=people, apps=(99,))))
    assert (told["apps"], told["approvers"]) == ((99,), {1002: "jonas", 1003: "priya"})
    window = told["validity"][jonas["key"]]
    assert window[0] is None
    assert window[1].isoformat() == "2026-12-01T00:00:00+00:00"
    assert told["validity"][priya["key"]] == (None, None)


def test_the_later_of_both_clocks_counts(gate: Incident, handed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world = gate.world("execute")
    monkeypatch.setattr(RunContext, "clock_ahead", lambda _: -300.0)
    assert handed(world)["now"] - world.clock.now() > timedelta(seconds=290)


def test_what_an_approval_must_be_about(gate: Incident) -> None:
    world = gate.world("execute")
    run = checked(gate, world)
    tip = run.head.tip.model_copy(update={"epoch": 7})
    vars(run)["head"] = replace(run.head, tips=(tip, *run.head.tips))
    used = world.ledger_in_use(SERVICE)
    world.chosen[SERVICE] = replace(used, risks=("ledger-fork",))
    subject = run.subject
    assert (subject.min_epoch, subject.accepted_risks) == (7, ("ledger-fork",))


def test_every_request_has_a_nonce_of_its_own(gate: Incident) -> None:
    first = gate.request.subject.nonce
    again = approval.ask_for_approval(checked(gate, gate.world("check")))
    assert again.subject.nonce != first
