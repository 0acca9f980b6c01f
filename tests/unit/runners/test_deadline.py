from __future__ import annotations

from hyops_ci.runners.deadline import Deadline
from tests.support.clock import Clock


def test_it_waits_no_longer_than_it_has() -> None:
    clock = Clock()
    until = Deadline(clock, 12)
    assert until.pause(5)
    assert until.pause(5)
    assert until.left == 2
    assert until.pause(5)
    assert (until.left, until.waited) == (0, 12)
    assert not until.pause(5)
    assert clock.seconds == 12, "nothing left: it does not wait"
