"""The HTML report: one page that shows, in this order, how a run ended, how long it took, what is proven, and who decided."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from hyops_ci.contracts.run import STAND_IN, Result, State
from hyops_ci.evidence.bundle import bundle_name
from hyops_ci.report.headline import NOTHING_CHANGED, ending_of
from hyops_ci.report.page import environment
from hyops_ci.report.run_view import RunView, view_of
from hyops_ci.report.timeline import timeline_of

MAX_EVENTS: Final = 1000
FIGURES: Final = {
    "request_to_proven": "Request to proven",
    "approval_to_proven": "Approval to proven",
    "runner_made": "Making or repairing the runner",
    "hyops_only": "HyOps only",
    "approval_wait": "Waiting for approval",
    "runner_wait": "Waiting for the runner",
    "our_overhead": "The rest, verification included",
    "data_age": "From the newest data to the request",
}
ASKED: Final = ("runner_made", "data_age")
"""Figures of runs that measured them; of any other they are no gap."""


def html(files: Mapping[str, bytes], signed: str = "") -> str:
    """Return the report of a bundle's files as one self-contained page: no scripts, nothing loaded, everything escaped.

    `signed` is what the verifier said of its signatures. Without it the page says which keys the bundle names, and that nobody looked.
    """
    run = view_of(files)
    ending = ending_of(run.result.outcome) if run.result else None
    return (
        environment()
        .get_template("report.html.jinja")
        .render(
            FIGURES=FIGURES,
            ASKED=ASKED,
            MAX_EVENTS=MAX_EVENTS,
            STAND_IN=STAND_IN,
            bundle=bundle_name(run.result.run_id if run.result else ""),
            run=run,
            result=run.result,
            ending=ending,
            heading=_heading,
            summary=_summary(run),
            known=_known(run),
            secrets=_secrets(run),
            signed=_signed(run, signed),
            timeline=timeline_of(run),
        )
    )


def _heading(result: Result) -> tuple[str, str]:
    """Return the headline in two sizes: `Recovered, 1 deviation`, and where the service is. A refusal has a card of its own."""
    if result.refusal is not None and result.headline.startswith("REFUSED"):
        return "Refused", "Nothing was changed."
    title, mark, rest = result.headline.partition("  ")
    if not mark:
        title, _, rest = result.headline.partition(": ")
    title = re.sub(r"^(?:[A-Z_]+\b ?)+", lambda found: found[0].capitalize(), title)
    unchanged = "Nothing was changed." if result.decision_id or result.outcome is not State.RECORDED else "No service was changed."
    rest = rest.strip() or (unchanged if result.outcome in NOTHING_CHANGED | {State.RECORDED, State.DUPLICATE} else "")
    return title, rest[:1].upper() + rest[1:] if rest.partition(" ")[0].isalpha() else rest  # an id keeps its case


def _known(run: RunView) -> tuple[Sequence[str], Sequence[str]]:
    """Return what is proven and what is not. Of a run that was cut off: what HyOps had ended, and what nobody saw."""
    result = run.result
    if result is None:
        return (), ()
    if result.outcome is not State.INDETERMINATE or result.proven or result.not_proven:
        return result.proven, result.not_proven
    ended = [f"{step.id} {step.status}, says HyOps" for step in run.steps if step.status in ("ok", "failed", "skipped")]
    cut = [f"whether {step.id} took effect" for step in run.steps if step.status == "running"]
    where = f"what the drill left in env {run.plan.env}" if run.plan and run.plan.exercise else "which side clients reach"
    return ended, [*cut, where]


def _summary(run: RunView) -> list[str]:
    """Return what stands above the headline: run, day, and what was decided."""
    result, plan = run.result, run.plan
    parts = [f"Run {result.run_id}", result.started_at[:10]] if result else []
    if plan is not None:
        drill = f", drill ({plan.exercise})" if plan.exercise else ""
        move = f"{plan.source_site} \N{RIGHTWARDS ARROW} {plan.target_site}"
        parts.append(f"{plan.decision_type.value.replace('_', ' ')} of {plan.service}, {move}{drill}")
    elif run.decision:
        what, service = (str(run.decision.get(name, "unknown")) for name in ("decision_type", "service"))
        parts.append(f"{what.replace('_', ' ')} of {service}")
    return parts


def _secrets(run: RunView) -> str:
    """Return which secrets were read, by name, and whether the login was revoked."""
    found = run.secrets.get("secrets")
    names = [str(each.get("key")) for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    if not run.secrets:
        return "none read"
    revoked = {True: "; login revoked", False: "; LOGIN NOT REVOKED"}.get(run.secrets.get("revoked") is True)
    return f"{len(names)} from {run.secrets.get('origin', 'unknown')}: {', '.join(names)}{revoked if 'revoked' in run.secrets else ''}"


def _signed(run: RunView, verified: str) -> str:
    """Return who signed the bundle, as far as anybody looked."""
    if not run.signers:
        return "nobody: the bundle is chained and unsigned, so it proves that it is whole, not whose it is"
    return verified or f"names {', '.join(run.signers)}, not verified"
