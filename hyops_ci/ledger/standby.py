"""The standby ledger: what a break-glass run may use while the primary is down, and how the two are merged (docs/design/contracts.md 6).

Only fast-forwards, in either direction. Where they have diverged nothing is changed: people decide.
"""

from __future__ import annotations

from typing import Final

from hyops_ci.contracts.ledger import Tip
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import DispatchError, Exit, Fault, Refusal
from hyops_ci.ledger.ledger import TRIES, Ledger
from hyops_ci.ledger.refusals import busy
from hyops_ci.ledger.store import Head, Relation, relation
from hyops_ci.text import shell

RISK: Final = "ledger-fork"
"""What an approver accepts by name: that both ledgers may grow on their own, and two runs may act on one service."""
_NOT_READ: Final = frozenset(
    {
        "ledger.unreachable",
        "ledger.limited",
        "ledger.failed",
        "ledger.git",
        "ledger.token",
        "ledger.denied",
        "ledger.missing",
        "ledger.moved",
        "ledger.untrusted",
        "ledger.proxy",
        "ledger.repository",
    }
)
"""A job often cannot reach the standby, which is somewhere else. An alarm, or other content on the branch, is not among these."""


@dataclass(frozen=True)
class ChosenLedger:
    """The ledger that a run works with."""

    ledger: Ledger
    risks: tuple[str, ...] = ()
    """What every approval of this run must accept by name."""
    note: str = ""
    """What could not be known; to be shown, and kept with the evidence."""


@dataclass(frozen=True)
class Merged:
    """How the primary was related to the standby, and the transitions that were copied."""

    relation: Relation
    transitions: tuple[Tip, ...] = ()
    """The transitions that the ledger behind received, newest first."""


def choose(primary: Ledger, standby: Ledger | None, *, break_glass: bool) -> ChosenLedger:
    """Return the primary while it answers; else, for `hyops-ci run` alone, the standby, with a risk that must be approved by name.

    Whose word counts for the primary counts for the standby. Raises Refusal (exit 5) `ledger.standby` while the standby is ahead,
    `ledger.fork` where the two have diverged, and what reading raises.
    """
    if standby is not None:
        standby.vouchers = primary.vouchers
    try:
        primary.tip()
    except Fault as silence:
        if standby is None or not break_glass or silence.gate != "ledger.unreachable":
            raise
        known = primary.recalled()
        _bring_up(standby, primary, known)
        unseen = "" if known else f"; what this host saw of {primary.place} is not at hand: the standby may lack some of it"
        return ChosenLedger(standby, (RISK,), f"{silence.title()}; working with the standby {standby.place}{unseen}")
    return ChosenLedger(primary, note=refuse_while_ahead(primary, standby) if standby is not None else "")


def refuse_while_ahead(primary: Ledger, standby: Ledger) -> str:
    """Return a note where the standby could not be read, or an empty text.

    Raises Refusal (exit 5) `ledger.standby` while the standby is ahead of the primary, `ledger.fork` where the two have diverged.
    """
    try:
        theirs = standby.read()
    except DispatchError as error:
        if error.gate not in _NOT_READ:
            raise
        return f"standby {standby.place} was not read from here: {error.reason}"
    mine = primary.read()
    related = relation(mine, theirs)
    if theirs is not None and related is Relation.BEHIND:
        ahead = theirs.commits.index(mine.commit) if mine is not None else len(theirs.commits)
        raise Refusal(
            "ledger.standby",
            "a run with GitHub down has used the standby, and the ledger does not know of it yet",
            exit_code=Exit.CONFLICT,
            found=f"{standby.place} is {ahead} ahead: {_summary(theirs)}",
            expected="a ledger that holds all that its standby holds",
            fix=shell(
                "hyops-ci ledger merge --remote {} --standby {} --service {} --config {}",
                primary.place,
                standby.place,
                theirs.tip.service,
                ".github/dr-dispatch.yml",
            ),
            docs="ledger.md",
        )
    _refuse_diverged(related, primary, mine, standby, theirs)
    return ""


def merge(primary: Ledger, standby: Ledger, *, follow: bool = False) -> Merged:
    """Bring the primary up to the standby; with `follow` also the standby to the primary, where that one is behind or was never made.

    Whose word counts for the primary counts for the standby: what nobody vouches for is not copied.

    Raises Refusal (exit 5) `ledger.fork`, with nothing changed, where each has grown on its own, or they are not copies of one ledger; and
    `ledger.missing` for a primary that is not there: a deleted branch is not created again from a copy.
    """
    standby.vouchers = primary.vouchers
    for _ in range(TRIES):
        mine, theirs = primary.head(), standby.read()
        related = relation(mine, theirs)
        _refuse_diverged(related, primary, mine, standby, theirs)
        if related is Relation.BEHIND and theirs is not None:
            done = primary.take(standby, mine, theirs)
        elif related is Relation.AHEAD and follow:
            done = standby.take(primary, theirs, mine)
        else:
            return Merged(related)
        if done:
            return Merged(related, _between(mine, theirs) if related is Relation.BEHIND else _between(theirs, mine))
    raise busy(TRIES)


def _bring_up(standby: Ledger, primary: Ledger, known: Head | None) -> None:
    """Fast-forward the standby to the last head of the primary that this host saw, so that a run starts from the newest known."""
    for _ in range(TRIES):
        theirs = standby.read()
        related = relation(theirs, known)
        if known is None or related in (Relation.EQUAL, Relation.AHEAD):
            standby.tip()  # raises where there is none
            return
        _refuse_diverged(related, primary, known, standby, theirs)
        if standby.take(primary, theirs, known):
            return
    raise busy(TRIES)


def _refuse_diverged(related: Relation, primary: Ledger, mine: Head | None, standby: Ledger, theirs: Head | None) -> None:
    if related not in (Relation.DIVERGED, Relation.UNRELATED) or mine is None or theirs is None:
        return
    common = next((commit for commit in mine.commits if commit in theirs.commits), "")
    raise Refusal(
        "ledger.fork",
        "the ledger and its standby have diverged: each holds runs that the other does not know" if common else "these are two ledgers",
        exit_code=Exit.CONFLICT,
        found=f"{primary.place} at {_summary(mine)}; {standby.place} at {_summary(theirs)}; last in common {common[:12] or 'nothing'}",
        expected="one of them grown from the other",
        fix="ALARM: start nothing. See which site serves, then which of the two tells the truth (docs/ledger.md, Two that have diverged)",
        docs="ledger.md",
    )


def _summary(head: Head) -> str:
    """Return a head in one line: commit, epoch, run and site."""
    tip = head.tip
    who = f"run {tip.claim.run_id} {tip.state or 'CLAIMED'}" if tip.claim is not None else "no run"
    return f"{head.commit[:12]}, epoch {tip.epoch}, {who}, serves from {tip.serves}"


def _between(older: Head | None, newer: Head | None) -> tuple[Tip, ...]:
    """Return the transitions of `newer` that `older` lacks."""
    if newer is None:
        return ()
    return newer.tips[: newer.commits.index(older.commit)] if older is not None else newer.tips
