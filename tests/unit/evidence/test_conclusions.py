from __future__ import annotations

import json
from pathlib import Path

import pytest

from hyops_ci.contracts.cleanup import CLEANUP
from hyops_ci.evidence.conclusions import EXECUTE_EVENTS, past_no_return

CASES = Path(__file__).parents[2] / "cases" / "contracts" / "accept" / "cleanup"


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
