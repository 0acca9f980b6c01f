"""What was found, as lines: topics in their order, one line where all is well, and a last line that says what would happen."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.ledger import Claim, Tip
from hyops_ci.contracts.run import State
from hyops_ci.errors import Exit, Refusal
from hyops_ci.operations.doctor.report import Diagnosis, age_text, backup_set, drill_line, lock_line
from hyops_ci.planning.case import GateResults
from hyops_ci.planning.needs import NEEDS, SeenFrom
from tests.ledger.ledger_setup import SERVICE, at

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
DIGEST = "sha256:" + "0" * 64


def told() -> Diagnosis:
    return Diagnosis("failover", SERVICE)


def no(gate: str, exit_code: Exit = Exit.POLICY) -> Refusal:
    return Refusal(gate, f"why {gate}", exit_code=exit_code, found="what", fix="do")


def tip(state: State | None = None, *, drill: bool = False, when: str = "", **changes: Any) -> Tip:
    claim = Claim(
        claim_id="claim-1",
        decision_id="manual-4711-212",
        decision_type=DecisionType.FAILOVER,
        drill=drill,
        source_sha256=DIGEST,
        decision_digest=DIGEST,
        plan_digest=DIGEST,
        check_digest=DIGEST,
        epoch=7,
        incident="incident",
        run_id="212-1",
        claimed_at=at(),
    )
    known: dict[str, Any] = {"position": "primary", "serves": "onprem", "moves": 0, "epoch": 7, **changes}
    return Tip(ledger_id=DIGEST, service=SERVICE, claim=claim if state else None, state=state, at=when or at(), **known)


# ------------------------------------------------------------------------------------------------------- topics


def test_topics_are_told_in_their_order_whatever_was_asked_first() -> None:
    found = told()
    topics = [need.topic for need in NEEDS]
    for topic in reversed(topics):
        found.add_ok(topic, "well")
    assert [line.topic for line in found.by_topic()] == topics


def test_a_topic_with_a_no_has_no_yes() -> None:
    found = told()
    found.add_answers(GateResults((), (no("states.ok"), no("lane.enabled"))))
    found.add_ok("states", "5 of 5")
    assert [line.text_line() for line in found.by_topic()] == [
        "FAIL  config      lane.enabled: why lane.enabled; what",
        "FAIL  states      states.ok: why states.ok; what",
    ]


def test_a_no_under_its_gates_topic_or_where_it_was_asked() -> None:
    found = told()

    def raises(gate: str) -> None:
        raise no(gate)

    assert found.ask("hyops", lambda: raises("secrets.file")) is None
    assert found.ask("overlay", lambda: raises("config.file")) is None
    assert [line.topic for line in found.by_topic()] == ["overlay", "secrets"]


def test_the_same_no_is_told_once() -> None:
    found = told()
    found.fail("host", no("trust.looser"))
    found.fail("hyops", no("trust.looser"))
    assert len(found.lines) == len(found.refused) == 1


# -------------------------------------------------------------------------------------------------- the last line


def test_the_last_line_is_about_the_first_no() -> None:
    found = told()
    assert found.verdict().startswith("A failover now would be planned and checked")
    assert found.exit_code == 0
    found.fail("restore", no("restore.skipped"))
    assert found.verdict() == "A failover now would be REFUSED at restore.skipped. Fix: do"
    found.fail("hyops", no("hyops.version", Exit.HYOPS))
    assert found.verdict() == "A failover now would be REFUSED at restore.skipped (and 1 more). Fix: do"
    assert found.exit_code == 4


def test_what_is_handled_already_is_no_failure() -> None:
    found = told()
    found.fail("lock", no("lock.duplicate", Exit.DONE))
    assert [line.status for line in found.lines] == ["warn"]
    assert found.verdict() == "A failover now would do nothing, lock.duplicate: why lock.duplicate"
    assert found.exit_code == 0


def test_what_is_handled_already_hides_no_failure() -> None:
    found = told()
    found.fail("lock", no("lock.duplicate", Exit.DONE))
    found.fail("states", no("states.ok", Exit.HYOPS))
    assert found.exit_code == 9
    assert found.verdict() == "A failover now would be REFUSED at states.ok (and 1 more). Fix: do"


def test_what_could_not_be_seen_is_a_line_of_its_own() -> None:
    found = told()
    found.add_ok("hyops", "0.1.4")
    found.add_unseen("this is a laptop", SeenFrom.RUNNER)
    runner = [need.topic for need in NEEDS if need.seen_from is SeenFrom.RUNNER and need.topic != "hyops"]
    assert [line.text_line() for line in found.by_topic() if line.topic != "hyops"] == [
        f"warn  {topic:<11} not looked at: this is a laptop" for topic in runner
    ]
    assert found.verdict().endswith(f"stands in its way. Not looked at from here: {', '.join(runner)}")
    assert found.exit_code == 0
    found.add_unseen("what is said above comes first")
    assert [line.topic for line in found.by_topic()] == [need.topic for need in NEEDS]


def test_what_was_looked_at_in_a_copy_is_told_of_the_original() -> None:
    found = told()
    found.fail("lock", Refusal("ledger.alarm", "gone", exit_code=Exit.CONFLICT, found="/tmp/x/a.json is old", fix="remove /tmp/x/a.json"))
    found.rename("/tmp/x", "/home/runner/state")
    assert found.lines[0].text.endswith("/home/runner/state/a.json is old")
    assert found.verdict().endswith("Fix: remove /home/runner/state/a.json")


# ----------------------------------------------------------------------------------------------------- some lines


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (tip(), "ok    lock        free, epoch 7, primary onprem"),
        (tip(position="failed_over", serves="gcp"), "ok    lock        free, epoch 7, failed over gcp"),
        (tip(State.COMPLETED), "ok    lock        free, epoch 7, primary onprem"),
        (tip(State.EXECUTING), "warn  lock        held by run 212-1 (EXECUTING), epoch 7, primary onprem"),
    ],
)
def test_the_lock(found: Tip, line: str) -> None:
    diagnosis = told()
    lock_line(diagnosis, found)
    assert [each.text_line() for each in diagnosis.lines] == [line]


@pytest.mark.parametrize(
    ("history", "line"),
    [
        ((), "warn  drill       never run"),
        ((tip(State.COMPLETED),), "warn  drill       never run"),
        ((tip(State.EXECUTING, drill=True),), "warn  drill       never run"),
        ((tip(State.COMPLETED, drill=True),), "ok    drill       passed 2026-11-23T03:00:00Z, 1 d ago"),
        ((tip(State.FAILED, drill=True), tip(State.COMPLETED, drill=True)), "warn  drill       ended FAILED 2026-11-23T03:00:00Z, 1 d ago"),
        (
            (tip(State.COMPLETED, drill=True, when="2026-07-01T00:00:00Z"),),
            "warn  drill       passed 2026-07-01T00:00:00Z, 146 d ago",
        ),
    ],
)
def test_the_last_drill(history: tuple[Tip, ...], line: str) -> None:
    diagnosis = told()
    drill_line(diagnosis, history, NOW)
    assert [each.text_line() for each in diagnosis.lines] == [line]


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ("latest", "the newest set; labels of the repository are not readable here"),
        ("20261123-020003F", "20261123-020003F, as named; labels of the repository are not readable here"),
    ],
)
def test_the_backup_set(wanted: str, text: str) -> None:
    assert backup_set(SimpleNamespace(restore_point=wanted, steps=())).startswith(text)  # type: ignore[arg-type]  # all that is looked at of a plan


@pytest.mark.parametrize(("seconds", "words"), [(0, "0 s"), (59, "59 s"), (61, "1 min"), (3600, "1 h"), (86400 * 3 + 5, "3 d")])
def test_spans(seconds: int, words: str) -> None:
    assert age_text(seconds) == words
