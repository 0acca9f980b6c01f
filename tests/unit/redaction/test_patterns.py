"""Credentials by their look; each case file holds pairs of lines: what comes in, what must come out."""

from __future__ import annotations

import json
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.redaction import PatternFilter, scrub_patterns

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


BODY = "MHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYX5CB"
KEY = f"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n{BODY}\nAbc=\n-----END EC PRIVATE KEY-----\n"
LINES = st.sampled_from(
    [
        *("step=a status=running\n", "plain\r\n", "progress 5%\r", "-----BEGIN EC PRIVATE KEY-----\n", "word\n", "no end ", "é\n"),
        *(KEY, KEY.replace("\n", "\r\n"), "".join(f'    "{line}",\n' for line in KEY.splitlines()), KEY.replace("\n", "\\n") + "\n"),
        *("to postgres://a:secret-of-app@h/\n", "hvs." + "a" * 30 + "\n", "error: no -----BEGIN PRIVATE KEY----- in it\n"),
    ]
)


@given(text=st.lists(LINES, max_size=6).map("".join), cuts=st.lists(st.integers(0, 600), max_size=6))
def test_a_stream_is_the_same_whatever_the_pieces(text: str, cuts: list[int]) -> None:
    data = text.encode()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    once, pieces = PatternFilter(), PatternFilter()
    whole = once.feed(data) + once.close()
    assert b"".join(pieces.feed(data[a:b]) for a, b in pairwise(edges)) + pieces.close() == whole
    for secret in (b"MHcCAQEEIIrYSSNQ", b"secret-of-app", b"hvs.a", b"ENCRYPTED"):
        assert secret not in whole
    assert whole.count(b"step=a status=running\n") == text.count("step=a status=running\n")


def test_a_key_that_is_only_announced_hides_nothing_else() -> None:
    counts: Counter[str] = Counter()
    through = PatternFilter(counts)
    said = b"error: no -----BEGIN PRIVATE KEY-----\nTASK [restore] ok\nstep=a status=ok\n"
    assert through.feed(said) == b"error: no [redacted:private-key]\nTASK [restore] ok\nstep=a status=ok\n"
    assert counts == {"private-key": 1}


def test_a_line_without_an_end_is_passed_on() -> None:
    through = PatternFilter()
    assert through.feed(b"ok") == b""
    assert len(through.feed(b"x" * 100_000)) == 100_002
    assert through.close() == b""
