"""What two readers could read differently is not read, and no bytes cost more than their size."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.contracts.limits import MAX_INT
from hyops_ci.errors import Refusal
from hyops_ci.parsing import strict_json
from hyops_ci.parsing.strict_json import JsonError, Rule, parse, read_object

LEAVES = st.none() | st.booleans() | st.integers(-MAX_INT, MAX_INT) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3))
REFUSED = [
    (b'{"a": 1, "a": 1}', strict_json.TWICE),
    (b'{"a": 1, "\\u0061": 2}', strict_json.TWICE),
    (b'{"a": {"b": 1, "c": 2, "b": 3}}', strict_json.TWICE),
    (b"NaN", strict_json.NO_NUMBER),
    (b"[1, -Infinity]", strict_json.NO_NUMBER),
    (b"1e999", strict_json.LARGE),
    (b"9007199254740992", strict_json.LARGE),
    (b"-" + b"9" * 100_000, strict_json.LARGE),
    (b"[" * 100_000, strict_json.DEPTH),
    (b'{"a":' * 50_000, strict_json.DEPTH),
    (b"[" * 40 + b"]" * 40, strict_json.DEPTH),
    (b'"\\ud800"', strict_json.HALF),
    (b'{"\\udfff": 1}', strict_json.HALF),
    (b'"\xff"', strict_json.NOT_UTF_8),
    (b'"\xed\xa0\x80"', strict_json.NOT_UTF_8),
    (b"\xef\xbb\xbf{}", strict_json.MARKED),
    (b"", strict_json.FORM),
    (b"{} {}", strict_json.FORM),
    (b"[1,]", strict_json.FORM),
    (b'"a\tb"', strict_json.FORM),
    (b"[" + b" " * strict_json.MAX_BYTES + b"]", strict_json.SIZE),
]


@pytest.mark.parametrize(("data", "rule"), REFUSED, ids=[str(number) for number in range(len(REFUSED))])
def test_refused(data: bytes, rule: Rule) -> None:
    with pytest.raises(JsonError) as caught:
        parse(data)
    assert caught.value.rule == rule
    assert str(caught.value).isprintable()


@given(value=VALUES)
def test_what_json_says_is_read(value: Any) -> None:
    for escaped in (True, False):
        assert parse(json.dumps(value, ensure_ascii=escaped)) == value


@given(data=st.binary() | st.text(alphabet='[]{}",:\\u0d8 1e-NaIfity').map(str.encode))
def test_any_bytes_are_a_value_or_an_error(data: bytes) -> None:
    try:
        value = parse(data)
    except JsonError:
        return
    assert json.loads(data) == value
    assert not isinstance(value, float) or math.isfinite(value)


@given(text=st.text(alphabet='[]{}"\\,:a'))
def test_depth_is_counted_outside_strings(text: str) -> None:
    """A bracket in a string opens nothing, whatever stands around it."""
    quoted = json.dumps(text * 20)
    assert parse(f"[{quoted}, {{{quoted}: 1}}]", depth=2) == [text * 20, {text * 20: 1}]


def test_a_decision_has_no_thousands_of_values() -> None:
    data = json.dumps({"kind": "Decision", "signals": [0] * strict_json.MAX_VALUES}).encode()
    with pytest.raises(Refusal, match="too many values"):
        read_object(data)
    assert len(parse(data)["signals"]) == strict_json.MAX_VALUES, "a document of another kind may have them"


@pytest.mark.parametrize(
    "data",
    [
        b"[" + b"0," * 130_000 + b"0]",
        b'{"a": ' + b"[]," * 80_000,
        b'"' + b"\\" * 250_000,
        b'"\\u' * 60_000,
        b"9" * 262_000,
        b"[{" * 130_000,
    ],
)
def test_no_input_is_slow(data: bytes) -> None:
    start = time.process_time()
    with pytest.raises(JsonError):
        parse(data, values=strict_json.MAX_VALUES)
    assert time.process_time() - start < 1
