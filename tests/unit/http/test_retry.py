"""Trying again: how long, how often, and what comes out in the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hyops_ci.http.retry import Backoff, repeat


def script(*results: int) -> Callable[[], int]:
    left = list(results)
    return lambda: left.pop(0)


def run(*results: int, **options: Any) -> tuple[int, list[float]]:
    slept: list[float] = []
    return repeat(script(*results), lambda result: result < 0, sleep=slept.append, **options), slept


def test_the_first_good_result_ends_it() -> None:
    assert run(1) == (1, [])
    assert run(-1, 2) == (2, [0.5])


def test_three_attempts_and_the_last_result() -> None:
    assert run(-1, -2, -3, 4) == (-3, [0.5, 1.5])


def test_waits_grow_to_their_limit_while_they_fit() -> None:
    result, slept = run(*[-1] * 9, backoff=Backoff(1.0, 2.0, 5.0), fits=lambda attempts, wait: attempts < 9 and wait <= 5)
    assert (result, slept) == (-1, [1, 2, 4, 5, 5, 5, 5, 5])


def test_a_result_may_ask_for_a_wait_of_its_own() -> None:
    asked = {-7: 7.0}
    assert run(-7, -1, 3, asked=asked.get) == (3, [7.0, 1.5])


def test_a_wait_that_does_not_fit_ends_it_at_once() -> None:
    heard: list[float] = []
    fits = lambda attempts, wait: wait < 60  # noqa: E731 - shorter than a function
    assert run(-90, 1, asked=lambda result: -float(result), fits=fits, announce=lambda _, wait: heard.append(wait)) == (-90, [])
    assert heard == []


def test_each_wait_is_announced_with_its_result() -> None:
    heard: list[tuple[int, float]] = []
    run(-1, -2, 3, announce=lambda result, wait: heard.append((result, wait)))
    assert heard == [(-1, 0.5), (-2, 1.5)]


def test_jitter_only_adds() -> None:
    _, slept = run(*[-1] * 3, backoff=Backoff(jitter=1.0))
    assert [0 <= wait - base <= 1 for wait, base in zip(slept, (0.5, 1.5), strict=True)] == [True, True]


def test_an_exception_is_not_tried_again() -> None:
    def broken() -> int:
        raise LookupError("as it is")

    with pytest.raises(LookupError, match="as it is") as raised:
        repeat(broken, lambda result: True, sleep=lambda _: pytest.fail("it waited"))
    assert raised.value.__cause__ is None
