"""Durations and spans: what their texts mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from hyops_ci.contracts.base import Duration, Span, duration, seconds

SPANS, DURATIONS = TypeAdapter(Span), TypeAdapter(Duration)


@pytest.mark.parametrize(
    ("text", "whole"), [("P30D", 30 * 86400), ("P1D", 86400), ("P0D", 0), ("PT12H", 43200), ("PT1H30M5S", 5405), ("PT0S", 0)]
)
def test_the_seconds_of_a_span(text: str, whole: int) -> None:
    assert SPANS.validate_python(text) == text
    assert seconds(text) == whole


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "P1DT", "P1DT1H", "P1W", "P1M", "P10000D", "P1D\n", "p1d", "P-1D", "P\u0661D", "P1.5D", "1D"]
)
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(ValidationError):
        SPANS.validate_python(text)


@pytest.mark.parametrize("text", ["", "P", "PT", "P1DT", "P1DT1H", "nonsense"])
def test_what_has_no_seconds(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        seconds(text)


def test_a_duration_has_no_days() -> None:
    with pytest.raises(ValidationError):
        DURATIONS.validate_python("P1D")


@given(st.integers(0, 10**7))
def test_a_duration_is_read_back(whole: int) -> None:
    assert seconds(DURATIONS.validate_python(duration(whole))) == whole
