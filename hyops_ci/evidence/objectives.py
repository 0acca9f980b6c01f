"""How long a run took, split by who was waited for, compared with its objective (docs/design/contracts.md 7).

Every figure is whole seconds, or null with the reason. Nothing is estimated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from hyops_ci.contracts.approval import Approval
from hyops_ci.contracts.base import moment, seconds
from hyops_ci.contracts.config import Objective
from hyops_ci.contracts.run import Event, Result, State
from hyops_ci.evidence.conclusions import RECOVERED, WAITED

UNASKED: Final = "no probe asks for the newest data (verification: login.freshness)"
"""Why it is not known how much data was lost."""
HYOPS: Final = "hyops."
"""Prefix of the intents and results between which HyOps runs."""


def objectives(
    events: Iterable[Event],
    result: Result,
    objective: Objective | None = None,
    approvals: Iterable[Approval] = (),
    requested_at: datetime | None = None,
    probes: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return the figures of a run as `objectives.json`, from its events, its end and its approvals.

    `request_to_proven` counts from `requested_at`, else the first event, to the end of verification; `approval_wait` from CHECKED to
    the approval that completed the quorum; `runner_wait` from there to the first event of `execute`;
    `hyops_only` what lies between HyOps' intents and their results; `our_overhead` is what is left. `runner_made` is there only where
    the run made or repaired its runner: what the check waited for it.
    """
    recorded = list(events)
    entered = {event.name: moment(event.at) for event in recorded if event.kind == "transition"}
    start = requested_at or (moment(recorded[0].at) if recorded else None)
    proven = _verified(recorded) if result.outcome in RECOVERED and result.proven else None
    approved = max((moment(each.observed_at) for each in approvals), default=None)
    hyops = _hyops(recorded)
    unproven = "nothing was proven" if result.outcome in RECOVERED else f"the run ended {result.outcome}"
    waits = _between(entered.get(State.CHECKED), approved, "no approval was observed")
    runner = _between(approved, _taken(recorded), "no approval was observed" if approved is None else "no runner took it")
    made = _made(recorded)
    data = _data_age(probes, start)
    total = _between(start, proven, unproven)
    figures = {
        "request_to_proven": total,
        "approval_to_proven": _between(approved, proven, unproven if approved else "no approval"),
        "hyops_only": hyops,
        "approval_wait": waits,
        "runner_wait": runner,
        **made,
        "our_overhead": _rest(total, hyops, waits, runner, *made.values()),
        **data,
    }
    return {
        "api_version": "hybridops/v1",
        "kind": "Objectives",
        "figures": figures,
        "rto": _judged(objective, total),
        "rpo": _rpo(objective, data.get("data_age", _unknown(UNASKED))),
    }


def _known(value: int) -> dict[str, Any]:
    return {"seconds": value}


def _unknown(reason: str) -> dict[str, Any]:
    return {"seconds": None, "reason": reason}


def _between(start: datetime | None, end: datetime | None, reason: str) -> dict[str, Any]:
    if start is None or end is None:
        return _unknown(reason)
    if end < start:
        return _unknown("the clocks of two hosts disagree")
    return _known(int((end - start).total_seconds()))


def _made(events: Iterable[Event]) -> dict[str, dict[str, Any]]:
    """Return the figure of a runner that was made or repaired for the run; nothing for a run that found its runner."""
    noted = [event.data for event in events if (event.stage, event.kind, event.name) == ("check", "note", WAITED)]
    if not noted:
        return {}
    waited = noted[-1].get("seconds")
    if isinstance(waited, int) and not isinstance(waited, bool) and waited >= 0:
        return {"runner_made": _known(waited)}
    return {"runner_made": _unknown(str(noted[-1].get("not_known") or "the check did not say it"))}


def _taken(events: Iterable[Event]) -> datetime | None:
    return next((moment(event.at) for event in events if event.stage == "execute"), None)


def _verified(events: Iterable[Event]) -> datetime | None:
    """Return the end of verification: the next state that was entered. A drill cleans up after it."""
    entered = iter([event for event in events if event.kind == "transition"])
    return next((moment(after.at) for event in entered if event.name == State.VERIFYING and (after := next(entered, None))), None)


def _hyops(events: Iterable[Event]) -> dict[str, Any]:
    """Return the seconds between HyOps' intents and their results. An intent without a result makes the sum unknown."""
    open_since: dict[str, datetime] = {}
    total = 0.0
    seen = False
    for event in events:
        if not event.name.startswith(HYOPS):
            continue
        if event.kind == "intent":
            open_since[event.name], seen = moment(event.at), True
        elif event.kind == "result" and event.name in open_since:
            total += (moment(event.at) - open_since.pop(event.name)).total_seconds()
    if not seen:
        return _unknown("HyOps was not started")
    if open_since:
        return _unknown(f"{min(open_since)} has no result")
    return _known(int(total)) if total >= 0 else _unknown("the host's clock was set back")


def _rest(total: dict[str, Any], *parts: dict[str, Any]) -> dict[str, Any]:
    missing = next((part["reason"] for part in (total, *parts) if part["seconds"] is None), "")
    if missing:
        return _unknown(missing)
    rest: int = total["seconds"] - sum(part["seconds"] for part in parts)
    return _known(rest) if rest >= 0 else _unknown("its parts are longer than the whole: the clocks disagree")


def _judged(objective: Objective | None, total: dict[str, Any]) -> dict[str, Any]:
    """Return whether the objective was met, or the reason why that is not known."""
    if objective is None or objective.rto is None:
        return {"objective": None, "met": None, "reason": "no objective is set"}
    if total["seconds"] is None:
        return {"objective": seconds(objective.rto), "met": None, "reason": total["reason"]}
    return {"objective": seconds(objective.rto), "met": total["seconds"] <= seconds(objective.rto)}


def _rpo(objective: Objective | None, data: dict[str, Any]) -> dict[str, Any]:
    wanted = seconds(objective.rpo) if objective and objective.rpo else None
    if wanted is None:
        return {"objective": None, "met": None, "reason": "no objective is set"}
    if data["seconds"] is None:
        return {"objective": wanted, "met": None, "reason": data["reason"]}
    return {"objective": wanted, "met": data["seconds"] <= wanted}


def _data_age(probes: Sequence[Mapping[str, Any]], start: datetime | None) -> dict[str, dict[str, Any]]:
    """Return the time from the newest data that was recovered to the request; nothing where no probe asked for it.

    Of several the oldest counts. What is newer than the request was written since, and says nothing of what was lost.
    """
    if why := next((str(each["newest_why"]) for each in probes if each.get("newest_why")), ""):
        return {"data_age": _unknown(why)}
    found = [moment(str(each["newest"])) for each in probes if each.get("newest")]
    if not found:
        return {}
    if start is None:
        return {"data_age": _unknown("the request has no time")}
    age = int((start - min(found)).total_seconds())
    return {"data_age": _known(age) if age >= 0 else _unknown("the newest data is newer than the request: it was written since")}
