"""The second remote: what a break-glass run may use while the first is down, and how the two are merged (docs/design/contracts.md 6).

Only fast-forwards, in either direction. Where each has grown on its own nothing is changed: that takes people.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hyops_ci.contracts.ledger import Tip
from hyops_ci.errors import DispatchError, Exit, Fault, Refusal
from hyops_ci.ledger.ledger import TRIES, Ledger, busy
from hyops_ci.ledger.store import Head, Relation, relation

RISK: Final = "ledger-fork"
"""What an approver accepts by name: that both ledgers may grow on their own, and two runs may act on one service."""
_NOT_READ: Final = frozenset({"ledger.unreachable", "ledger.limited", "ledger.git", "ledger.token", "ledger.denied", "ledger.missing"})
"""The standby is somewhere else: a job that cannot reach it is the usual case. An alarm, or content that is no ledger, is none of these."""


@dataclass(frozen=True)
class Chosen:
    """The ledger that a run works with."""

    ledger: Ledger
    risks: tuple[str, ...] = ()
    """What every approval of this run must accept by name."""
    note: str = ""
    """What could not be known; to be shown, and kept with the evidence."""


@dataclass(frozen=True)
class Merged:
    """How the primary stood to the standby, and what came of it."""

    stood: Relation
    moved: tuple[Tip, ...] = ()
    """The transitions that the one behind has now got, newest first."""


def choose(primary: Ledger, standby: Ledger | None, *, break_glass: bool) -> Chosen:
    """The primary, while it answers; else, for `hyops-ci run` alone, the standby, with a risk that must be approved by name.

    Raises Refusal (exit 5) `ledger.standby` while the standby is ahead, `ledger.fork` where the two have parted, and what reading raises.
    """
    try:
        primary.tip()
    except Fault as silence:
        if standby is None or not break_glass or silence.gate != "ledger.unreachable":
            raise
        known = primary.recalled()
        _bring_up(standby, primary, known)
        unseen = "" if known else f"; what this host saw of {primary.place} is not at hand: the standby may lack some of it"
        return Chosen(standby, (RISK,), f"{silence.title()}; working with the standby {standby.place}{unseen}")
    return Chosen(primary, note=refuse_while_ahead(primary, standby) if standby is not None else "")


def refuse_while_ahead(primary: Ledger, standby: Ledger) -> str:
    """Answers a note where the standby could not be read, or nothing.

    Raises Refusal (exit 5) `ledger.standby` while the standby is ahead of the primary, `ledger.fork` where the two have parted.
    """
    try:
        theirs = standby.read()
    except DispatchError as error:
        if error.gate not in _NOT_READ:
            raise
        return f"standby {standby.place} was not read from here: {error.reason}"
    mine = primary.read()
    stands = relation(mine, theirs)
    if theirs is not None and stands is Relation.BEHIND:
        ahead = theirs.commits.index(mine.commit) if mine is not None else len(theirs.commits)
        raise Refusal(
            "ledger.standby",
            "a run with GitHub down has used the standby, and the ledger does not know of it yet",
            exit_code=Exit.CONFLICT,
            found=f"{standby.place} is {ahead} ahead: {_said(theirs)}",
            expected="a ledger that holds all that its standby holds",
            fix=f"hyops-ci ledger merge --remote {primary.place} --standby {standby.place} --service {theirs.tip.service}",
            docs="ledger.md",
        )
    _refuse_parted(stands, primary, mine, standby, theirs)
    return ""


def merge(primary: Ledger, standby: Ledger, *, follow: bool = False) -> Merged:
    """Bring the primary up to the standby; with `follow` also the standby to the primary, where that one is behind or was never made.

    Raises Refusal (exit 5) `ledger.fork`, with nothing changed, where each has grown on its own, or they are no two of one; and
    `ledger.missing` for a primary that is not there: a branch that was deleted is not made again from a copy of it.
    """
    for _ in range(TRIES):
        primary.tip()
        mine, theirs = primary.read(), standby.read()
        stands = relation(mine, theirs)
        _refuse_parted(stands, primary, mine, standby, theirs)
        if stands is Relation.BEHIND and theirs is not None:
            done = primary.take(standby, mine, theirs)
        elif stands is Relation.AHEAD and mine is not None and follow:
            done = standby.take(primary, theirs, mine)
        else:
            return Merged(stands)
        if done:
            return Merged(stands, _between(mine, theirs) if stands is Relation.BEHIND else _between(theirs, mine))
    raise busy()


def _bring_up(standby: Ledger, primary: Ledger, known: Head | None) -> None:
    """Give the standby what this host knows of the primary, so that a run starts from the newest that anybody here has seen."""
    for _ in range(TRIES):
        theirs = standby.read()
        stands = relation(theirs, known)
        if known is None or stands in (Relation.EQUAL, Relation.AHEAD):
            standby.tip()  # raises where there is none
            return
        _refuse_parted(stands, primary, known, standby, theirs)
        if standby.take(primary, theirs, known):
            return
    raise busy()


def _refuse_parted(stands: Relation, primary: Ledger, mine: Head | None, standby: Ledger, theirs: Head | None) -> None:
    if stands not in (Relation.DIVERGED, Relation.UNRELATED) or mine is None or theirs is None:
        return
    common = next((commit for commit in mine.commits if commit in theirs.commits), "")
    raise Refusal(
        "ledger.fork",
        "the ledger and its standby have parted: each holds runs that the other does not know" if common else "these are two ledgers",
        exit_code=Exit.CONFLICT,
        found=f"{primary.place} at {_said(mine)}; {standby.place} at {_said(theirs)}; last in common {common[:12] or 'nothing'}",
        expected="one of them grown from the other",
        fix="ALARM: start nothing. See which site serves, then which of the two tells the truth (docs/ledger.md, Two that have parted)",
        docs="ledger.md",
    )


def _said(head: Head) -> str:
    """A head in one line: commit, epoch, who and where."""
    tip = head.tip
    who = f"run {tip.claim.run_id} {tip.state or 'CLAIMED'}" if tip.claim is not None else "nobody"
    return f"{head.commit[:12]}, epoch {tip.epoch}, {who}, serves from {tip.serves}"


def _between(older: Head | None, newer: Head | None) -> tuple[Tip, ...]:
    """The transitions of `newer` that `older` lacks."""
    if newer is None:
        return ()
    return newer.tips[: newer.commits.index(older.commit)] if older is not None else newer.tips
