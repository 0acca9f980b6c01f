"""Keys of states: values that are equal where the future of two states is equal.

A branch goes by its tip and by who claimed and who acted, not by the way it came to be; a process by its answers, as far as it builds on
them. When a process looked at the clock counts only while what it looked for goes on.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import lru_cache

from hyops_ci.contracts.ledger import Claim, Tip
from hyops_ci.ledger.store import Head
from tests.simulation.model import Ended, Found, Seen
from tests.simulation.process import No


@dataclass(frozen=True)
class _Named:
    """A head, equal to another by its commit alone."""

    commit: str
    head: Head = field(compare=False)


@lru_cache(maxsize=1 << 16)
def _of_commit(named: _Named) -> Hashable:
    claims = frozenset((tip.claim.run_id, tip.mutating) for tip in named.head.tips if tip.claim is not None)
    return (_of_tip(named.head.tip), claims)


def _of_tip(tip: Tip) -> Hashable:
    claimed = tip.claim.run_id if tip.claim else tip.settled_by
    return (tip.epoch, tip.moves, tip.position, tip.state, tip.mutating, tip.past_no_return, tip.at, tip.bundle_sha256, claimed)


def of_branch(head: Head) -> Hashable:
    """A branch."""
    return _of_commit(_Named(head.commit, head))


def of_answer(answer: object) -> Hashable:
    """What a process was answered."""
    match answer:
        case Head():
            return of_branch(answer)
        case Claim():
            return answer.run_id
        case Tip():
            return _of_tip(answer)
        case No():
            return answer.gate
        case Found():
            return (answer.last, answer.sealed, answer.moved, answer.begun, answer.claim is not None)
        case None | bool() | int() | str() | Seen() | Ended():
            return answer
        case _:
            raise TypeError(f"no name for {answer!r}")


def of_log(log: tuple[object, ...]) -> Hashable:
    """The answers so far, without the times."""
    return tuple(0 if isinstance(each, int) else of_answer(each) for each in log)
