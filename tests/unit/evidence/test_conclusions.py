from __future__ import annotations

import json
from pathlib import Path

import pytest

from hyops_ci.contracts.cleanup import CLEANUP
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import State
from hyops_ci.evidence.conclusions import EXECUTE_EVENTS, past_no_return, refusal_of_deploy
from hyops_ci.parsing.documents import read_document
from hyops_ci.planning.planner import commands_for

ACCEPTED = Path(__file__).parents[2] / "cases" / "contracts" / "accept"
CASES = ACCEPTED / "cleanup"


def events(*said: object, name: str = "hyops.deploy") -> bytes:
    return b"".join(json.dumps({"name": name, "data": {"past_no_return": each}}).encode() + b"\n" for each in said)


@pytest.mark.parametrize(
    ("content", "moved"),
    [
        (events(True), True),
        (events(False), False),
        (events("true", 1, None), False),
        (events(True, name="hyops.preflight"), False),
        (b"", False),
    ],
)
def test_clients_may_have_moved_where_hyops_record_says_so(content: bytes, moved: bool) -> None:
    assert past_no_return({EXECUTE_EVENTS: content}) is moved


def test_a_run_without_the_record_moved_nobody() -> None:
    assert not past_no_return({})


@pytest.mark.parametrize(("case", "moved"), [("removed", False), ("left", True)])
def test_a_drill_that_removed_everything_moved_nobody(case: str, moved: bool) -> None:
    assert past_no_return({EXECUTE_EVENTS: events(True), CLEANUP: (CASES / f"{case}.json").read_bytes()}) is moved


@pytest.mark.parametrize(
    ("state", "drill", "moved", "fix", "page"),
    [
        (State.FAILED, False, False, "mend what stopped it, then start a new run: steps that are ready are skipped", "hyops.md"),
        (State.CANCELLED, False, False, "mend what stopped it, then start a new run: steps that are ready are skipped", "hyops.md"),
        (State.FAILED, False, True, "and which side serves; then settle", "ledger.md"),
        (State.INDETERMINATE, False, False, "and which side serves; then settle", "ledger.md"),
        (State.FAILED, True, False, "mend what stopped it, then drill again", "drills.md"),
        (State.CANCELLED, True, True, "mend what stopped it, then drill again", "drills.md"),
        (State.INDETERMINATE, True, True, "and which side serves; then settle", "ledger.md"),
    ],
)
def test_what_a_person_does_after_hyops_stopped(state: State, drill: bool, moved: bool, fix: str, page: str) -> None:
    """A drill destroys its steps, those that were ready, too; and no client of the service has moved."""
    plan = read_document(Plan, (ACCEPTED / "plan" / "full.json").read_bytes())
    plan = plan.model_copy(update={"commands": commands_for(plan.env, destroys=drill)})
    found = refusal_of_deploy(state, {"past_no_return": moved}, plan)
    assert found is not None
    assert (found.fix, found.docs) == (f"look at the log, {fix}", page)


def test_a_recovery_has_nothing_that_stopped_it() -> None:
    assert refusal_of_deploy(State.COMPLETED, {}, None) is None
