"""Credentials by their look; each case file holds pairs of lines: what comes in, what must come out."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import pytest

from hyops_ci.redaction import scrub_patterns

CASES = json.loads((Path(__file__).parents[2] / "cases" / "redaction" / "patterns.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["is"]))
def test_case(case: dict[str, str]) -> None:
    counts: Counter[str] = Counter()
    text = "".join(case["text"])
    assert scrub_patterns(text, counts) == case["becomes"]
    assert bool(counts) == (text != case["becomes"])


@pytest.mark.parametrize("hostile", ["eyJ", "://a:", "-----BEGIN PRIVATE KEY-----", "-", "hvs.", "ghp_", "s.", "eyJaaaaaaaaaa."])
def test_the_cost_is_bounded(hostile: str) -> None:
    started = time.monotonic()
    scrub_patterns(hostile * (500_000 // len(hostile)))
    assert time.monotonic() - started < 5
