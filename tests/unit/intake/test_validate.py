"""The fast answer: the same as the slow one, and without the models."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from hyops_ci.errors import Refusal
from hyops_ci.intake.validate import validate
from tests.unit.intake.cases import CASES, load, names

SLOW = {"pydantic", "jsonschema", "yaml", "rfc8785", "rich", "hyops_ci.contracts.base"}


@pytest.mark.parametrize("name", names("accept"))
def test_what_is_a_decision_is_valid(name: str) -> None:
    case = load("accept", name)
    assert validate(case.data) == case.says["form"]


@pytest.mark.parametrize("name", names("refuse"))
def test_what_is_malformed_is_refused_alike(name: str) -> None:
    """Bytes, kind and schema are judged without a config; age, routes and sense need one."""
    case = load("refuse", name)
    if case.says["gate"].split(".")[-1] in {"age", "future", "sample", "service"} or not case.says["gate"].startswith("intake."):
        assert validate(case.data)
    elif name in {"artifact-repo-is-a-bucket", "artifact-runner-is-a-host"}:
        assert validate(case.data) == "minimal-artifact"  # the public contract leaves these open; a Decision does not
    elif name == "alert-of-a-day-that-is-none":
        assert validate(case.data) == "alert-notification"  # no pattern knows leap years
    else:
        with pytest.raises(Refusal) as caught:
            validate(case.data)
        assert caught.value.gate == case.says["gate"]


def test_accepting_loads_neither_models_nor_what_explains() -> None:
    program = (
        "import json, sys\n"
        "from hyops_ci.intake.validate import validate\n"
        "kind = validate(sys.stdin.buffer.read())\n"
        "print(json.dumps([kind, sorted(sys.modules)]))"
    )
    data = (CASES / "accept" / "canonical-full" / "input.json").read_bytes()
    ended = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, check=True)
    kind, modules = json.loads(ended.stdout)
    assert kind == "decision"
    assert not SLOW & set(modules)


def test_a_refusal_names_the_file_and_the_place() -> None:
    with pytest.raises(Refusal) as caught:
        validate(load("refuse", "type-cutover").data, "decision.json")
    assert caught.value.lines()[:3] == [
        "REFUSED intake.schema (exit 3): decision.json (decision) is not valid",
        "  found    /decision_type: 'cutover'",
        "  expected one of failover, failback_onprem, burst, hold",
    ]


def test_no_text_of_a_record_reaches_the_terminal_raw() -> None:
    case = load("refuse", "rationale-with-an-escape")
    with pytest.raises(Refusal) as caught:
        validate(case.data)
    assert "\x1b" not in "\n".join(caught.value.lines())


def test_a_large_record_is_judged_at_once() -> None:
    """Quadratic work in a limit that attackers choose would be seconds; this takes hundredths."""
    for data in (b"[" * 262_144, b'"' + b"\\" * 262_142 + b'"', b'{"a":' + b"9" * 262_000 + b"}", b'{"a":"' + b"x" * 262_000 + b'"}'):
        begun = datetime.now(UTC)
        with pytest.raises(Refusal):
            validate(data)
        assert datetime.now(UTC) - begun < timedelta(seconds=5)
