"""What the ledger's history says of runs that have ended, and how their times are spread. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from hyops_ci.contracts.ledger import Tip
from hyops_ci.contracts.run import TERMINAL
from hyops_ci.contracts.track_record import Ended, Series

LAST: Final = 20
"""Newest runs that percentiles are made of."""


def ended(tips: Iterable[Tip], *, drill: bool) -> tuple[Ended, ...]:
    """Return the runs, or drills, that have ended, of `tips` newest first, in that order; each at the time of its end."""
    found: dict[str, Ended] = {}
    for tip in tips:
        claim = tip.claim
        if claim is None or claim.drill is not drill or tip.state is None or tip.state not in TERMINAL:
            continue
        newer = found.get(claim.claim_id)
        if newer is None or newer.state is tip.state:
            figures = newer.figures if newer is not None else tip.figures
            known = {"run_id": claim.run_id, "decision_type": claim.decision_type, "state": tip.state, "figures": figures}
            found[claim.claim_id] = Ended.model_validate({**known, "at": tip.at})
    return tuple(found.values())


def series(runs: Sequence[Ended], last: int = LAST) -> Series:
    """Return how long the newest `last` proven ones took."""
    proven = [each for each in runs if each.figures is not None and each.figures.request_to_proven is not None][:last]
    times = tuple(each.figures.request_to_proven or 0 for each in proven if each.figures is not None)
    judged = [each.figures.verdict for each in runs if each.figures is not None and each.figures.verdict != "no-objective"][:last]
    return Series(
        runs=len(runs),
        proven=times,
        p50=percentile(times, 50),
        p90=percentile(times, 90),
        worst=max(times, default=None),
        met=judged.count("met"),
        judged=len(judged),
        last=proven[0] if proven else None,
    )


def percentile(values: Sequence[int], percent: int) -> int | None:
    """Return the nearest-rank percentile: a value that was measured, never one in between. None of nothing."""
    if not values:
        return None
    rank = -(-len(values) * percent // 100)  # rounded up
    return sorted(values)[max(rank, 1) - 1]
