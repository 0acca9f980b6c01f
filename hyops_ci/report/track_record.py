"""What is known of a service before a run, in lines for people: the last check, what is owed, and how long recoveries took."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from hyops_ci.contracts.base import moment, seconds, whole_second
from hyops_ci.contracts.config import Objective
from hyops_ci.contracts.figures import Figures
from hyops_ci.contracts.readiness import Readiness, ReadinessFact
from hyops_ci.contracts.track_record import Obligation, Series, TrackRecord
from hyops_ci.errors import shown
from hyops_ci.text import span

_LEVELS = {"check": "check", "isolated": "drill"}


def track_record_lines(known: TrackRecord) -> list[str]:
    """Return the lines of a log."""
    rows = [
        ("last check", last_check(known.readiness, moment(known.at))),
        ("last drills", trend(known.drills)),
        ("last runs", trend(known.runs)),
    ]
    lines = [f"{name}: {text}" for name, text in rows if text]
    return [*lines, *passed_over(known.readiness), *(f"owed: {obligation_line(each)}" for each in known.obligations)]


def last_check(known: ReadinessFact, now: datetime) -> str:
    """Return what the newest check said, how old it is, and whether it still says something."""
    record = known.record
    if record is None:
        return f"not known: {shown(known.why)}"
    age = f"{whole_second(record.checked_at)}, {_age(now - moment(record.checked_at))} ago"
    by = f"run {record.run_id} on {shown(record.runner or record.runner_ref)}"
    if known.standing == "expired":
        return f"{age}: expired ({whole_second(record.expires_at)}); it was {_verdict(record)}, {by}"
    earlier = known.last_passed
    passed = "" if record.ready else f"; the last that passed: {earlier.checked_at if earlier is not None else 'none'}"
    return f"{age}, {_verdict(record)}, {by}{passed}"


def _age(length: timedelta) -> str:
    return f"{length.days} d" if length.days > 1 else span(max(length.total_seconds(), 0))


def _verdict(record: Readiness) -> str:
    return "ready" if record.ready else f"NOT READY ({record.outcome} {shown(record.gate)}: {shown(record.reason)})"


def passed_over(known: ReadinessFact) -> Iterator[str]:
    """Yield what lies on the branch of checks, above the one that counts, and counts as nothing."""
    yield from (f"ALARM of the readiness branch: {shown(each)}" for each in known.passed_over)


def obligation_line(owed: Obligation) -> str:
    """Return one obligation in words."""
    on = f" on {owed.practised_on}" if owed.practised_on and owed.practised_on != owed.service else ""
    what = f"{_LEVELS[owed.level]} of {owed.service}{on} every {owed.every}"
    if owed.state == "unknown":
        return f"{what}: not known, {shown(owed.why)}"
    done = f"last done {whole_second(owed.done_at)}" if owed.done_at else "never done"
    tried = f"; the newest try: {shown(owed.last)}" if owed.last else ""
    at = whole_second(owed.due_at or "")
    due = {"done": f"next {at}", "due": f"due since {at}", "missed": f"MISSED since {at}"}[owed.state]
    return f"{what}: {due}, {done}{tried}"


def figures_line(took: Figures) -> str:
    """Return what one run took, and what that was worth."""
    time = f"{span(took.request_to_proven)} from request to proof" if took.request_to_proven is not None else "nothing was proven"
    data = f", newest data {span(took.data_age)} before the request" if took.data_age is not None else ""
    words = {"met": "objective met", "missed": "objective MISSED", "unproven": "no proof", "no-objective": "nothing was promised"}
    left = {True: ", nothing left of the drill", False: ", SOMETHING LEFT of the drill"}
    return f"{time}{data}: {words[took.verdict]}{left.get(took.cleaned, '') if took.cleaned is not None else ''}"


def trend(found: Series) -> str:
    """Return how long the newest proven ones took; empty of nothing."""
    if not found.proven or found.p50 is None or found.p90 is None or found.worst is None or found.last is None:
        return f"{found.runs} ended, none with a time to its proof" if found.runs else ""
    count = len(found.proven)
    last = f"{span(found.proven[0])} ({found.last.at[:10]})"
    spread = f"; p50 {span(found.p50)}, p90 {span(found.p90)}, worst {span(found.worst)} of the last {count}" if count > 1 else ""
    kept = f"; {found.met} of {found.judged} met their objective" if found.judged else ""
    return f"{last}{spread}{kept}"


def expected_time(known: TrackRecord | None, objective: Objective) -> str:
    """Return what a run will probably take, by what others took, beside what was promised."""
    promised = f"objective {span(seconds(objective.rto))}" if objective.rto else "objective none set"
    if known is None:
        return f"{promised}; how long it will take is not known here"
    found = [f"last {word} {text}" for word, text in (("drill", trend(known.drills)), ("run", trend(known.runs))) if text]
    worst = known.drills.p90
    late = " (p90 of the drills is LATER)" if objective.rto and worst is not None and worst > seconds(objective.rto) else ""
    return "; ".join([*found, promised + late]) if found else f"{promised}; no drill or run with a time to its proof yet"
