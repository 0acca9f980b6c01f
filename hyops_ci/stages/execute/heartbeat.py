"""Renew the claim while HyOps works, so that a run that is alive is not taken for one that was cut off (docs/design/contracts.md 6)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.ledger import Claim
from hyops_ci.errors import DispatchError, Refusal
from hyops_ci.stages.context import RunContext

EVERY: Final = 240.0
"""Seconds between two renewals; a claim that was not renewed for 10 minutes counts as cut off."""
SUPERSEDED: Final = "lock.superseded"


@contextmanager
def heartbeat(claim: Claim, service: str, context: RunContext, lost: Callable[[], object], every: float = EVERY) -> Iterator[list[str]]:
    """Renew the claim in the background while the block runs. `lost` is called when another run has taken the lock.

    A ledger that does not answer, or that somebody wrote to, is reported, and asked again: the run goes on, the effect is under way. What
    was refused, other than by that other run, is in the yielded list when the block ends: it is an alarm.
    """
    over, alarms = threading.Event(), list[str]()

    def beat() -> None:
        while not over.wait(every):
            try:
                context.ledger(service).renew(claim, at=stamp(context.clock.now()))
            except DispatchError as error:
                context.say(f"the ledger does not know that this run is alive: {error.title()}")
                if error.gate == SUPERSEDED:
                    lost()
                    return
                if isinstance(error, Refusal) and (alarm := f"{error.reason}: {error.found}") not in alarms:
                    alarms.append(alarm)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield alarms
    finally:
        over.set()
        thread.join(timeout=30)
