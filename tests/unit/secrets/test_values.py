from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.errors import Exit, Refusal
from hyops_ci.secrets.bundle_text import parse, render
from hyops_ci.secrets.values import MAX_ENTRY_BYTES, Secret, normalize, value_fault
from tests.unit.secrets.cases import case_files


@pytest.mark.parametrize("path", case_files("accept", "value-*.json"), ids=lambda path: path.stem)
def test_accepts_and_the_bundle_gives_it_back(path: Path) -> None:
    case = json.loads(path.read_text())
    settled = normalize({"A_KEY": case["value"]})
    assert settled.values == {"A_KEY": case["stored"]}
    assert bool(settled.notes) == case["note"]
    assert parse(render(settled.values)) == settled.values


@pytest.mark.parametrize("path", case_files("refuse", "value-*.json"), ids=lambda path: path.stem)
def test_refuses_by_name_and_shows_nothing(path: Path) -> None:
    case = json.loads(path.read_text())
    with pytest.raises(Refusal) as refused:
        normalize({"GOOD_KEY": "a value that is fine", "A_KEY": case["value"]})
    text = "\n".join(refused.value.lines()) + repr(refused.value)
    assert refused.value.gate == "secrets.value"
    assert refused.value.exit_code is Exit.SECRETS
    assert f"A_KEY: {case['says']}" in text or ("A_KEY: " in text and case["says"] in text)
    assert "GOOD_KEY" not in text
    for word in ("before", "after", "password-x", "line one", "1234567", "in an object", "42424242"):
        assert word not in text


def test_every_key_at_fault_is_named_at_once() -> None:
    with pytest.raises(Refusal) as refused:
        normalize({"B_KEY": "", "A_KEY": "short", "C_KEY": "long enough"})
    assert refused.value.found.startswith("A_KEY: is shorter")
    assert "B_KEY: is empty" in refused.value.found
    assert "C_KEY" not in refused.value.found


def test_what_no_environment_can_carry() -> None:
    room = MAX_ENTRY_BYTES - len("A_KEY=")
    assert value_fault("A_KEY", "x" * room) == ""
    assert "too long" in value_fault("A_KEY", "x" * (room + 1))
    assert "too long" in value_fault("A_KEY", "é" * (room // 2 + 1))


def test_a_secret_prints_as_name_and_version() -> None:
    secret = Secret("A_KEY", "canary-5f1d", "7")
    assert repr(secret) == str(secret) == "Secret(key='A_KEY', version='7')"
    assert "canary" not in repr(normalize({"A_KEY": "canary-5f1d"}))


@given(st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,12}", fullmatch=True), st.text(min_size=8, max_size=60), max_size=4))
def test_what_is_accepted_survives_the_bundle(values: dict[str, str]) -> None:
    try:
        settled = normalize(values)
    except Refusal:
        return
    assert parse(render(settled.values)) == settled.values
    assert all(value == value.strip() or "\n" in value or "\r" in value for value in settled.values.values())
