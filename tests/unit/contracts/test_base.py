"""Durations, spans and addresses: what their texts mean."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from hyops_ci.contracts.base import HOST, Duration, Origin, Span, duration, seconds
from hyops_ci.contracts.host_trust import Issuer
from hyops_ci.contracts.notify import WebhookUrl
from hyops_ci.contracts.runner_machine import Endpoint, HttpsUrl

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


ADDRESSES = {
    Origin: "https://{}",
    HttpsUrl: "https://{}/dr",
    Endpoint: "{}:22",
    WebhookUrl: "http://{}/dr",
    Issuer: "https://{}/_services",
}
BOUNDED = HOST.replace(r"\.)*", r"\.){0,126}", 1)
"""`HOST` with the bound inside, which no validator has to compile."""


@given(
    kind=st.sampled_from(list(ADDRESSES)),
    number=st.integers(1, 4) | st.integers(124, 128),
    last=st.sampled_from(["a", "a1", "1", "1a", "-", "a."]),
    before=st.sampled_from(["", "x.", "1.", "-."]),
)
def test_a_host_has_at_most_127_names(kind: Any, number: int, last: str, before: str) -> None:
    host = before + "a." * (number - 1) + last
    try:
        accepted = bool(TypeAdapter(kind).validate_python(ADDRESSES[kind].format(host)))
    except ValidationError:
        accepted = False
    assert accepted == bool(re.fullmatch(BOUNDED, host)), "none of them is too long as a whole"


def test_an_address_of_127_names_is_none_of_128() -> None:
    for kind, form in ADDRESSES.items():
        assert TypeAdapter(kind).validate_python(form.format("a." * 126 + "a"))
        with pytest.raises(ValidationError):
            TypeAdapter(kind).validate_python(form.format("a." * 127 + "a"))
