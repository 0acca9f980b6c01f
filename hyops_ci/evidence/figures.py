"""What the ledger keeps of a run's times: the figures of `objectives.json`, without reasons (docs/design/contracts.md 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hyops_ci.contracts.check import Check
from hyops_ci.contracts.figures import MAX_APPROVERS, MAX_DEVIATION, MAX_DEVIATIONS, MAX_RESTORE_POINT, Figures, Verdict
from hyops_ci.contracts.plan import Plan
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import shown

MEASURED: Final = ("request_to_proven", "approval_wait", "runner_wait", "runner_made", "hyops_only", "our_overhead", "data_age")


@dataclass(frozen=True)
class RunWords:
    """What the ledger keeps of a run beside its times. No secret is in it: it was redacted."""

    approvers: Sequence[str] = ()
    """Whose yes counted."""
    deviations: Sequence[str] = ()
    cleaned: bool | None = None
    """What a drill found of itself."""


_NO_WORDS: Final = RunWords()


def figures_of(objectives: Mapping[str, Any], plan: Plan, check: Check | None = None, words: RunWords = _NO_WORDS) -> Figures:
    """Return the figures of a run that has ended, from its `objectives.json`."""
    entries = objectives["figures"]
    known = {name: entries[name]["seconds"] for name in MEASURED if name in entries}
    return Figures(
        level="isolated" if plan.exercise == "isolated" else "",
        restore_point=_restore_point(plan, check)[:MAX_RESTORE_POINT],
        rto=objectives["rto"]["objective"],
        rpo=objectives["rpo"]["objective"],
        verdict=_verdict(objectives, proven=known["request_to_proven"] is not None),
        cleaned=words.cleaned,
        approvers=tuple(dict.fromkeys(words.approvers))[:MAX_APPROVERS],
        deviations=tuple(shown(each, MAX_DEVIATION - 3) for each in words.deviations[:MAX_DEVIATIONS]),
        **known,
    )


def _verdict(objectives: Mapping[str, Any], *, proven: bool) -> Verdict:
    if not proven:
        return "unproven"
    judged = [met for name in ("rto", "rpo") if (met := objectives[name]["met"]) is not None]
    return "no-objective" if not judged else "met" if all(judged) else "missed"


def _restore_point(plan: Plan, check: Check | None) -> str:
    if not any(step.restores for step in plan.steps):
        return ""
    seen = check.restore_point.value if check is not None else None
    return seen if isinstance(seen, str) else plan.restore_point
