"""Every input has one right answer: the case files, and what no bytes may ever do."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.contracts.decision import Decision
from hyops_ci.contracts.digest import digest_bytes
from hyops_ci.errors import Exit, Refusal
from hyops_ci.intake.decision import Intake, read_decision, read_form
from hyops_ci.intake.form import Form
from hyops_ci.intake.records import decision_id
from hyops_ci.parsing.strict_json import BY_HAND
from tests.unit.intake.cases import Case, config, load, names

ACCEPT, REFUSE = names("accept"), names("refuse")
DEFAULT = config("default")
SAMPLES = [load("accept", name) for name in ACCEPT]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("name", ACCEPT)
def test_accepted(name: str) -> None:
    case = load("accept", name)
    taken = read_decision(case.data, config=case.config, now=case.now)
    document = taken.decision.document()
    assert taken.form == case.says["form"]
    for key, value in case.says.get("decision", {}).items():
        assert (document.get(key) or None) == value, key
    assert case.says.get("warning", "") in " ".join(taken.warnings)
    assert "absent" not in case.says or case.says["absent"] not in json.dumps(document)
    assert (taken.source, taken.source_sha256) == (case.data, digest_bytes(case.data))
    assert Decision.model_validate_json(json.dumps(document)) == taken.decision, "what was read can be read again"


@pytest.mark.parametrize("name", REFUSE)
def test_refused(name: str) -> None:
    case = load("refuse", name)
    with pytest.raises(Refusal) as caught:
        read_decision(case.data, config=case.config, now=case.now)
    refusal = caught.value
    assert (refusal.gate, int(refusal.exit_code)) == (case.says["gate"], case.says["exit"]), refusal.lines()
    for key in ("reason", "found", "expected", "fix"):
        assert str(case.says.get(key, "")) in getattr(refusal, key), key
    assert refusal.found
    assert refusal.expected
    assert refusal.fix
    assert all(line.isprintable() for line in refusal.lines())


def test_every_gate_of_intake_has_a_case() -> None:
    gates = {load("refuse", name).says["gate"] for name in REFUSE}
    rules = "size encoding json object depth duplicate-key number surrogate kind schema service age future sample"
    assert gates == {f"intake.{rule}" for rule in rules.split()} | {f"record.{rule}" for rule in ("mode", "fresh", "sense")} | {
        f"route.{rule}" for rule in ("unique", "requests", "env")
    } | {"alert.resolved", "alert.rule"}


def test_refusal_one_word_for_word() -> None:
    case = load("refuse", "sample-decision-record-cutover-nan-signal")
    with pytest.raises(Refusal) as caught:
        read_decision(case.data, config=case.config, now=case.now)
    assert caught.value.lines() == [
        "REFUSED intake.number (exit 3): the record holds NaN, which is not JSON",
        "  found    decision-20261123T133636Z-cutover-7aa37e5e, /checks/1/value = NaN (error_rate_ratio: 0/0, usual when all is down)",
        "  expected finite numbers",
        f"  fix      {BY_HAND.replace('<name>/<env>', 'pg-ha/dev')}",
    ]


def test_the_command_names_no_service_when_there_are_two() -> None:
    case = load("refuse", "sample-decision-record-cutover-nan-signal")
    with pytest.raises(Refusal) as caught:
        read_decision(case.data, config=config("two-services"), now=case.now)
    assert "-f service=<name>/<env> " in caught.value.fix


def test_refusal_three_word_for_word() -> None:
    case = load("refuse", "old-dispatch-request")
    with pytest.raises(Refusal) as caught:
        read_decision(case.data, config=case.config, now=case.now)
    assert caught.value.lines()[:3] == [
        "REFUSED intake.age (exit 3): too old to act on",
        "  found    dispatch-20261123T133836Z-cutover-0938375b, written 2026-11-23T13:38:36.638085Z, 18h48m ago",
        "  expected at most 15m",
    ]


def answer(data: bytes, case: Case) -> Decision | Refusal:
    try:
        return read_decision(data, config=case.config, now=case.now).decision
    except Refusal as refusal:
        return refusal


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    refusal = answer(data, SAMPLES[0])
    assert isinstance(refusal, Refusal)
    assert refusal.exit_code is Exit.DECISION


@given(JSON)
def test_arbitrary_json_is_refused(value: Any) -> None:
    refusal = answer(json.dumps(value).encode(), SAMPLES[0])
    assert isinstance(refusal, Refusal)
    assert refusal.exit_code is Exit.DECISION


def paths(value: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Where every value of a document stands."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, item in inner for path in paths(item, (*at, key)))]


def put(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    """A copy of `value` with something else in one place."""
    if not path:
        return new
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(value[path[0]], path[1:], new)
    return copy


@given(st.data())
def test_a_changed_record_is_a_decision_or_a_refusal(data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(SAMPLES))
    document = json.loads(case.data)
    path = data.draw(st.sampled_from(paths(document)))
    text = json.dumps(put(document, path, data.draw(JSON)))
    taken = answer(text.encode(), case)
    if isinstance(taken, Decision):
        assert taken.service in case.config.services or case.says["form"] == "decision"
        assert taken.decision_type == read_decision(case.data, config=case.config, now=case.now).decision.decision_type or path == (
            "decision_type",
        )


@given(st.sampled_from(SAMPLES), st.data())
def test_a_byte_changed_is_never_a_traceback(case: Case, data: st.DataObject) -> None:
    size = min(len(case.data), 4096)
    at = data.draw(st.integers(0, size - 1))
    answer(case.data[:at] + data.draw(st.binary(max_size=3)) + case.data[at + 1 :], case)


FORM = {"action": "failover", "service": "pg-ha/dev", "reason": "INC-4242"}
SENT = {"repository_id": 4711, "run_id": "212-3", "login": "maria", "created_at": "2026-11-23T03:04:31Z"}


def formed(**changes: Any) -> Intake:
    """The form of these changes, sent with a run."""
    typed = {name: changes.pop(name) for name in list(changes) if name in Form.__dataclass_fields__}
    return read_form(Form(**(FORM | typed)), **(SENT | changes))  # type: ignore[arg-type]  # keywords of several types


def test_a_form_is_the_same_decision_for_every_attempt() -> None:
    first, second = (formed(run_id=f"212-{attempt}") for attempt in (1, 2))
    assert first.decision == second.decision
    assert first.source == second.source
    assert first.decision.decision_id == "manual-4711-212"
    assert (first.form, first.decision.issuer, first.decision.issued_at) == ("form", "github:maria", "2026-11-23T03:04:31Z")
    assert (first.decision.restore_point, first.decision.old_primary) == ("latest", "not-confirmed")


@pytest.mark.parametrize(
    ("said", "means"), [("failover", "failover"), ("failback", "failback_onprem"), ("burst", "burst"), ("hold", "hold")]
)
def test_actions_of_the_form(said: str, means: str) -> None:
    assert formed(action=said).decision.decision_type == means


@pytest.mark.parametrize(
    ("field", "value", "gate"),
    [
        ("action", "", "intake.action"),
        ("action", "cutover", "intake.action"),
        ("action", "$(id)", "intake.action"),
        ("service", "pg-ha", "intake.schema"),
        ("service", "", "intake.schema"),
        ("reason", "", "intake.schema"),
        ("reason", "a\n::set-output::", "intake.schema"),
        ("reason", "a\ud800", "intake.surrogate"),
        ("reason", "x" * 2001, "intake.schema"),
        ("restore", "latest; id", "intake.schema"),
        ("old_primary", "maybe", "intake.schema"),
        ("login", "m" * 200, "intake.schema"),
        ("created_at", "2026-02-30T00:00:00Z", "intake.schema"),
    ],
)
def test_a_form_that_does_not_fit(field: str, value: str, gate: str) -> None:
    with pytest.raises(Refusal) as caught:
        formed(**{field: value})
    assert (caught.value.gate, caught.value.exit_code) == (gate, Exit.DECISION)
    assert "decide as a person" not in caught.value.fix  # who filled in a form did


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("reason", "", "text of 1 character or more"),
        ("reason", "x" * 2001, "text of 2000 characters or less"),
        ("service", "pg-ha", "<name>/<env>, such as pg-ha/prod: lower-case letters, digits and dashes, 38 or less of each"),
    ],
)
def test_a_form_is_told_in_words_what_is_expected(field: str, value: str, expected: str) -> None:
    with pytest.raises(Refusal) as caught:
        formed(**{field: value})
    assert caught.value.expected == expected


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_no_form_gives_a_traceback(service: str, reason: str, restore: str, login: str) -> None:
    with contextlib.suppress(Refusal):
        taken = formed(service=service, reason=reason, restore=restore, login=login)
        assert taken.decision.rationale == reason


@given(st.text("abc-.XYZ", min_size=8, max_size=199), st.text("abc-.XYZ", min_size=8, max_size=199))
def test_ids_stay_apart_and_fit(one: str, other: str) -> None:
    assert len(decision_id(one)) <= 128
    assert (decision_id(one) == decision_id(other)) == (one == other)
