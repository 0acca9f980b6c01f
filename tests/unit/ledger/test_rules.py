"""Who may act, by case files: a story so far, one thing asked, and the answer."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.digest import digest
from hyops_ci.contracts.ledger import Claim, Position, Tip
from hyops_ci.contracts.run import State
from hyops_ci.errors import Refusal
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.rules import Duplicate, has_arrived, history_of, may_claim
from hyops_ci.ledger.transitions import first_tip
from tests.ledger.ledger_setup import ANSWERS, SERVICE, MemoryStore, at, key_of, request, signed, subject
from tests.ledger.ledger_setup import at as moment_of

CASES = Path(__file__).parents[2] / "cases" / "ledger"
ACCEPT = sorted((CASES / "accept").glob("*.yml"))
REFUSE = sorted((CASES / "refuse").glob("*.yml"))


class Story:
    """A ledger, and the claims that were made on it by their epoch."""

    def __init__(self) -> None:
        self.ledger = Ledger(MemoryStore(), SERVICE)
        self.ledger.init("onprem", at(-60))
        self.claims: list[Claim] = []

    def tell(self, act: str, **words: Any) -> None:
        getattr(self, f"_{act}")(**words)

    def _claim(self, number: int, **words: Any) -> None:
        words["at"] = at(words.get("at", 0))
        if "decision_type" in words:
            words["decision_type"] = DecisionType(words["decision_type"])
        if "nonces" in words:
            words["nonces"] = tuple(words["nonces"])
        self.claims.append(self.ledger.claim(request(number, **words)))

    def _advance(self, state: str, claim: int = 0, bundle: int = 0, **words: Any) -> None:
        words["at"] = at(words["at"])
        sha256 = digest({"bundle": bundle}) if bundle else None
        self.ledger.advance(self.claims[claim - 1], State(state), bundle_sha256=sha256, **words)

    def _renew(self, at: float, claim: int = 0) -> None:
        self.ledger.renew(self.claims[claim - 1], at=moment_of(at))

    def _settle(self, serves: str, reason: str = "seen", **words: Any) -> None:
        self.ledger.settle(serves=serves, home_site="onprem", reason=reason, settled_by="maria", at=at(words["at"]))

    def _answer(
        self, number: int, at: float = 0, times: int = 1, ledger: str = "", about: dict[str, Any] | None = None, **said: Any
    ) -> None:
        """Somebody answers the run of `request(number)`; `about` is what differs from what it asked."""
        ledger_id, about = self.ledger.tip().ledger_id, dict(about or {})
        if "decision_type" in about:
            about["decision_type"] = DecisionType(about["decision_type"])
        if "accepted_risks" in about:
            about["accepted_risks"] = tuple(about["accepted_risks"])
        for each in range(times):
            who = said.get("who", "jonas")
            words = said | {"who": who + (f"-{each}" if times > 1 else ""), "key": key_of(who)}
            envelope = signed(subject(ledger or ledger_id, number, **about), **words)
            self.ledger.answer(envelope, subject=subject(ledger_id, number), at=moment_of(at), **ANSWERS)


def told(path: Path) -> tuple[Story, dict[str, Any]]:
    case = yaml.safe_load(path.read_text("utf-8"))
    story = Story()
    for step in case["story"]:
        story.tell(**step)
    return story, case


def heard(envelope: dict[str, Any]) -> str:
    """An answer in short: `jonas approve 1`, the number being its nonce."""
    said = json.loads(base64.b64decode(envelope["payload"]))
    return f"{said['approver']['login']} {said['verdict']} {int(said['subject']['nonce'], 16)}"


def test_there_are_cases() -> None:
    assert len(ACCEPT) > 15
    assert len(REFUSE) > 25


@pytest.mark.parametrize("path", ACCEPT, ids=lambda path: path.stem)
def test_accepted(path: Path) -> None:
    story, case = told(path)
    story.tell(**case["ask"])
    document = story.ledger.tip().document()
    document["answers"] = [heard(each) for each in document["answers"]]
    assert {name: document.get(name) for name in case["then"]} == case["then"]


@pytest.mark.parametrize("path", REFUSE, ids=lambda path: path.stem)
def test_refused(path: Path) -> None:
    story, case = told(path)
    before = story.ledger.history()
    with pytest.raises(Refusal) as caught:
        story.tell(**case["ask"])
    wanted, refusal = case["refused"], caught.value
    assert (refusal.gate, int(refusal.exit_code), refusal.headline) == (wanted["gate"], wanted["exit"], wanted["headline"])
    assert wanted["found"] in refusal.found
    assert refusal.expected
    assert refusal.fix
    assert story.ledger.history() == before, "a refusal changes nothing"


def test_looking_answers_what_claiming_would() -> None:
    story = Story()
    story.tell("claim", number=1)
    before = story.ledger.history()
    with pytest.raises(Duplicate):
        story.ledger.look(request(2, at=at(1)))
    assert story.ledger.look(request(2, at=at(10))).epoch == 1
    assert story.ledger.history() == before


def test_a_name_that_is_not_the_incident_does_not_count() -> None:
    """Every decision about one outage has one key; the next outage has another one."""
    story = Story()
    story.tell("claim", number=1)
    first = story.claims[0]
    story.tell("advance", state="EXECUTING", at=1)
    story.tell("advance", state="COMPLETED", at=2, serves="gcp")
    story.tell("claim", number=2, at=3, decision_type="failback_onprem", target_site="onprem")
    story.tell("advance", state="EXECUTING", at=4)
    story.tell("advance", state="COMPLETED", at=5, serves="onprem")
    story.tell("claim", number=3, at=6)
    assert (first.incident, story.claims[2].incident) == ("pg-ha/prod:failover:0", "pg-ha/prod:failover:2")


def test_a_clock_that_goes_back_supersedes_nobody() -> None:
    story = Story()
    story.tell("claim", number=1, at=30)
    with pytest.raises(Duplicate):
        story.tell("claim", number=2, at=0)


def test_the_ledger_id_tells_two_ledgers_of_one_name_apart() -> None:
    one, other = (first_tip(SERVICE, nonce, "onprem", at()) for nonce in ("a" * 32, "b" * 32))
    assert one.ledger_id != other.ledger_id
    assert one.document() | {"ledger_id": ""} == other.document() | {"ledger_id": ""}


def test_rules_over_an_old_history_remember_everything() -> None:
    tip = first_tip(SERVICE, "a" * 32, "onprem", at())
    facts = history_of(_many(tip))
    assert len(facts.nonces) == 50
    for number in (1, 25, 50):
        with pytest.raises(Refusal, match=r"approval\.nonce"):
            may_claim(tip, request(99, nonces=(f"{number:032x}",)), facts)


def _many(tip: Tip) -> list[Tip]:
    story = Story()
    for number in range(1, 51):
        story.tell("claim", number=number, at=number)
        story.tell("advance", claim=number, state="FAILED", at=number)
    return [*story.ledger.history(), tip]


@pytest.mark.parametrize(
    ("position", "state", "past_no_return", "arrived"),
    [
        ("failed_over", State.COMPLETED, True, True),
        ("failed_over", None, False, True),
        ("failed_over", State.EXECUTING, False, False),
        ("failed_over", State.INDETERMINATE, True, False),
        ("failed_over", State.FAILED, True, False),
        ("primary", State.COMPLETED, True, False),
        ("primary", None, False, False),
    ],
)
def test_a_service_has_arrived_where_a_move_put_it_and_nothing_is_open(
    position: Position, state: State | None, past_no_return: bool, arrived: bool
) -> None:
    """What the next wave of a recovery plan waits for. Without a state people settled it, or nothing has happened yet."""
    story = Story()
    story.tell("claim", number=1)
    claim = story.claims[0] if state else None
    known = first_tip(SERVICE, "a" * 32, "onprem", at()).model_copy(
        update={"position": position, "state": state, "claim": claim, "past_no_return": past_no_return}
    )
    assert has_arrived(known, DecisionType.FAILOVER) is arrived
