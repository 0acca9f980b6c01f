"""A caller's workflow file, as GitHub reads it."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.errors import Exit, Refusal
from hyops_ci.github.actions.workflow_file import Input, dispatch_inputs, event_types, read_workflow, triggers


def test_on_is_a_word_and_so_are_yes_and_dates() -> None:
    text = b"on: push\na: yes\nb: off\nc: true\nd: False\ne: 2026-12-01\nf: 7\ng: 'true'\nh: 22:22\n"
    expected = {"on": "push", "a": "yes", "b": "off", "c": True, "d": False, "e": "2026-12-01", "f": 7, "g": "true", "h": "22:22"}
    assert read_workflow(text, "dr.yml") == expected


def test_anchors_are_allowed_as_github_allows_them() -> None:
    assert read_workflow(b"on: push\na: &x {b: 1}\nc: *x\n", "dr.yml")["c"] == {"b": 1}


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "nothing"),
        (b"- a\n", "a list"),
        (b"plain\n", "a str"),
        (b"a: [1\n", "line 2, column 1"),
        (b"a: \xff\n", "byte 3 is not UTF-8"),
        (b"a: !!python/object/apply:os.system [id]\n", "could not determine a constructor"),
        (b"[" * 5000, "recursion"),
        (b"#" * (1 << 20) + b"#", "1048577 bytes"),
    ],
)
def test_what_github_cannot_read_is_refused(data: bytes, found: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_workflow(data, ".github/workflows/dr.yml")
    assert caught.value.exit_code is Exit.USAGE
    assert found in caught.value.found or found in caught.value.reason


@given(st.binary(max_size=60) | st.text(alphabet="on: {}[]&*!|>-'\"#\n1a", max_size=60).map(str.encode))
def test_any_bytes_are_a_mapping_or_a_refusal(data: bytes) -> None:
    with contextlib.suppress(Refusal):
        assert isinstance(read_workflow(data, "dr.yml"), dict)


@pytest.mark.parametrize(
    ("on", "events"),
    [("push", ["push"]), (["push", "schedule"], ["push", "schedule"]), ({"push": None}, ["push"]), (None, []), (7, [])],
)
def test_the_three_ways_to_write_on(on: Any, events: list[str]) -> None:
    assert list(triggers({"on": on})) == events


def test_the_inputs_that_a_dispatch_takes() -> None:
    text = b"""
on:
  workflow_dispatch:
    inputs:
      action: {type: choice, options: [failover, failback], required: true}
      service: {default: pg-ha/prod}
      count: {type: number, default: 3, options: [1]}
      bare:
"""
    assert dispatch_inputs(read_workflow(text, "dr.yml")) == {
        "action": Input(required=True, options=("failover", "failback")),
        "service": Input(default="pg-ha/prod"),
        "count": Input(default="3"),
        "bare": Input(),
    }
    assert dispatch_inputs({"on": "workflow_dispatch"}) == {}
    assert dispatch_inputs({"on": {"push": None}}) is None


@pytest.mark.parametrize(
    ("on", "types"),
    [
        ("repository_dispatch", ()),
        ({"repository_dispatch": None}, ()),
        ({"repository_dispatch": {"types": "dr-decision"}}, ("dr-decision",)),
        ({"repository_dispatch": {"types": ["a", "b"]}}, ("a", "b")),
        ({"workflow_dispatch": None}, None),
    ],
)
def test_the_event_types_that_start_it(on: Any, types: tuple[str, ...] | None) -> None:
    assert event_types({"on": on}) == types
