"""The runs and drills of a service that have ended, from its ledger's signed history and the bundles that were given."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from hyops_ci.archive import BadArchive
from hyops_ci.contracts.board import MAX_RUNS, BoardRun, Recurring, Trend
from hyops_ci.contracts.ledger import Tip
from hyops_ci.contracts.run import TERMINAL
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import shown
from hyops_ci.evidence.contents import read_files
from hyops_ci.planning.history import percentile
from hyops_ci.report.run_view import view_of

_FIGURES: Final[tuple[Literal["rto", "rpo"], ...]] = ("rto", "rpo")
MOST: Final = 50
"""Texts of one run that are kept."""


@dataclass(frozen=True)
class GivenBundle:
    """What a bundle says that its ledger does not."""

    file: str
    approvers: tuple[str, ...]
    deviations: tuple[str, ...]


def given_bundles(paths: Iterable[Path], named: set[str]) -> tuple[dict[str, GivenBundle], tuple[str, ...]]:
    """Return digest -> bundle of the containers in `paths`, files or folders, and the files that no ledger names.

    `named` are the digests that hosts signed for in the ledgers. A file with another digest is not read: anybody can have sealed it.
    """
    found, strange = {}, []
    for path in (each for given in paths for each in _containers(given)):
        digest = _digest(path)
        if digest not in named:
            strange.append(path.name)
            continue
        try:
            run = view_of(read_files(path))
        except (BadArchive, OSError):
            strange.append(path.name)
            continue
        yes = (approval.approver.login for approval in run.approvals if approval.verdict == "approve")
        deviations = tuple(shown(text, 300) for text in run.result.deviations) if run.result else ()
        found[digest] = GivenBundle(shown(path.name, 200), tuple(dict.fromkeys(yes)), deviations[:MOST])
    return found, tuple(sorted(strange))


def _containers(path: Path) -> list[Path]:
    return sorted(each for each in path.rglob("*.tar") if each.is_file()) if path.is_dir() else [path]


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()


def named_bundles(history: Iterable[Tip]) -> set[str]:
    """Return the digests of bundles that a history names."""
    return {tip.bundle_sha256 for tip in history if tip.bundle_sha256 is not None}


def ended_runs(history: Sequence[Tip], bundles: Mapping[str, GivenBundle]) -> tuple[BoardRun, ...]:
    """Return the claims of a history (newest first) that are over: ended, or left behind by what came after. The newest first."""
    return tuple(_run(tips, bundles) for tips in _claims(history) if tips[0].state in TERMINAL or tips[0] is not history[0])[:MAX_RUNS]


def _claims(history: Iterable[Tip]) -> Iterator[list[Tip]]:
    """Yield the tips of each claim, newest first."""
    by_claim: dict[str, list[Tip]] = {}
    for tip in history:
        if tip.claim is not None:
            by_claim.setdefault(tip.claim.claim_id, []).append(tip)
    yield from by_claim.values()


def _run(tips: Sequence[Tip], bundles: Mapping[str, GivenBundle]) -> BoardRun:
    newest, claim = tips[0], tips[0].claim
    assert claim is not None and newest.state is not None  # noqa: S101, PT018 - `_claims` gives tips of a claim, and each has a state
    ended = next(tip for tip in reversed(tips) if tip.state is newest.state)
    bundle = bundles.get(newest.bundle_sha256 or "")
    return BoardRun(
        run_id=claim.run_id,
        service=newest.service,
        url=shown(claim.run_url),
        decision_type=claim.decision_type,
        drill=claim.drill,
        state=newest.state,
        claimed_at=claim.claimed_at,
        ended_at=ended.at,
        figures=newest.figures,
        bundle_sha256=newest.bundle_sha256,
        evidence=bundle.file if bundle else "",
        approvers=bundle.approvers if bundle else newest.figures.approvers if newest.figures else (),
        deviations=bundle.deviations if bundle else newest.figures.deviations if newest.figures else (),
    )


def merged(*several: Sequence[BoardRun]) -> tuple[BoardRun, ...]:
    """Return runs of several ledgers as one list, the newest first."""
    return tuple(sorted((run for runs in several for run in runs), key=lambda run: run.ended_at, reverse=True)[:MAX_RUNS])


def recurring(runs: Sequence[BoardRun]) -> tuple[Recurring, ...]:
    """Return the deviations of more than one run, the most frequent first."""
    counted = Counter(text for run in runs for text in dict.fromkeys(run.deviations))
    return tuple(
        Recurring(text=text, runs=tuple(run.run_id for run in runs if text in run.deviations))
        for text, number in sorted(counted.items(), key=lambda item: (-item[1], item[0]))
        if number > 1
    )


def trends(runs: Sequence[BoardRun]) -> tuple[Trend, ...]:
    """Return median, 90th percentile and worst of each figure that was measured, of drills and of real runs apart."""
    found = []
    for of in _FIGURES:
        for drills in (True, False):
            figures = [run.figures for run in runs if run.figures is not None and run.drill is drills]
            values = sorted(v for each in figures if (v := each.request_to_proven if of == "rto" else each.data_age) is not None)
            if values:
                found.append(
                    Trend(
                        of=of,
                        drills=drills,
                        count=len(values),
                        median=percentile(values, 50) or 0,
                        p90=percentile(values, 90) or 0,
                        worst=values[-1],
                    )
                )
    return tuple(found)
