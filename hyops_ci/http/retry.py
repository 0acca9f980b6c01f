"""The one way to try again: a few attempts with growing waits, or as many as fit before an end. tenacity does the work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from hyops_ci.dataclass import dataclass

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")


@dataclass(frozen=True)
class Backoff:
    """Seconds before the second attempt, the factor of each further wait, the longest wait, and a random part against crowds."""

    first: float = 0.5
    factor: float = 3.0
    longest: float = 60.0
    jitter: float = 0.0


ATTEMPTS: Final = 3
SHORT: Final = Backoff()


def repeat(
    once: Callable[[], T],
    again: Callable[[T], bool],
    *,
    sleep: Callable[[float], None],
    backoff: Backoff = SHORT,
    asked: Callable[[T], float | None] = lambda _: None,
    fits: Callable[[int, float], bool] = lambda attempts, _: attempts < ATTEMPTS,
    announce: Callable[[T, float], None] = lambda *_: None,
) -> T:
    """Return the first result that is not to be tried `again`, or the last one.

    `asked` gives the seconds that a result itself asks to wait; `fits` tells, of the attempts made and the seconds of the next
    wait, whether there is another; `announce` hears of each wait. Raises what `once` raises, at once.
    """
    from tenacity import Retrying, retry_if_result, wait_exponential, wait_random

    grows = wait_exponential(backoff.first, exp_base=backoff.factor, max=backoff.longest)
    jitter = wait_random(0, backoff.jitter)

    def result(state: RetryCallState) -> T:
        assert state.outcome is not None  # noqa: S101 - there is one after each attempt
        found: T = state.outcome.result()
        return found

    def wait(state: RetryCallState) -> float:
        seconds = asked(result(state))
        return (grows(state) if seconds is None else seconds) + jitter(state)

    return Retrying(
        retry=retry_if_result(again),
        wait=wait,
        stop=lambda state: not fits(state.attempt_number, state.upcoming_sleep),
        sleep=sleep,
        before_sleep=lambda state: announce(result(state), state.upcoming_sleep),
        retry_error_callback=result,
    )(once)
