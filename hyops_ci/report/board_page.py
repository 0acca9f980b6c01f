"""The board as one page, drawn from `board.json` alone: no script, nothing loaded, everything escaped, the same bytes for it."""

from __future__ import annotations

import re
from typing import Final, Literal

from hyops_ci.contracts.base import moment, seconds
from hyops_ci.contracts.board import Alarm, Board, BoardRun, BoardService
from hyops_ci.contracts.run import TERMINAL, State
from hyops_ci.contracts.track_record import Obligation
from hyops_ci.report.headline import ending_of
from hyops_ci.report.page import environment
from hyops_ci.report.plot import HEIGHT, Plot, plot_of
from hyops_ci.text import counted, span

Mood = Literal["good", "warn", "bad", "wait"]
SHOWN_RUNS: Final = 12
"""Runs of a service in its table; the picture and the JSON have more."""
_LINK: Final = re.compile(r"https://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?(/[A-Za-z0-9._~-]{1,100}){1,12}")
"""An address that is made a link. Whatever else a ledger calls one stays text."""
_WORDS: Final = {"alarm": "Alarm", "warning": "Warning", "unknown": "Not known"}
_MOODS: Final[dict[str, Mood]] = {"alarm": "bad", "warning": "warn", "unknown": "wait"}
_VERDICTS: Final = {"met": "objective met", "missed": "objective missed", "unproven": "not proven", "no-objective": "no objective then"}
DAY: Final = 86400


def board_page(board: Board) -> str:
    """Return the page."""
    title, mood = headline(board)
    return (
        environment()
        .get_template("board.html.jinja")
        .render(
            board=board,
            title=title,
            mood=mood,
            lead=_lead(board),
            services=board.services,
            age=lambda at: age(board.made_at, at),
            links={run.url for service in board.services for run in service.runs if _LINK.fullmatch(run.url)},
            moods=_MOODS,
            words=_WORDS,
            plots=_plots,
            standing=lambda service: standing(board, service),
            lock=_lock,
            judged=_owed,
            every=lambda owed: length(seconds(owed.every)),
            length=length,
            went=_went,
            what=_what,
            VERDICTS=_VERDICTS,
            SHOWN_RUNS=SHOWN_RUNS,
            HEIGHT=HEIGHT,
        )
    )


def headline(board: Board) -> tuple[str, Mood]:
    """Return the first line and its colour. `Ready` is a word for what was checked: every service, by a check that counts."""
    alarms, warnings, unknown = (sum(alarm.level == level for alarm in board.alarms) for level in ("alarm", "warning", "unknown"))
    if alarms:
        return counted(alarms, "alarm"), "bad"
    if warnings:
        return counted(warnings, "warning"), "warn"
    ready, services = _ready(board)
    return ("Ready", "good") if ready == services and not unknown else ("Nothing known stands in the way", "wait")


def told(board: Board) -> str:
    """Return the alarms in a line for a chat: what each is and of which service. Their texts are others' words, and stay on the board."""
    alarms = (alarm for alarm in board.alarms if alarm.level == "alarm")
    kinds = dict.fromkeys(f"{alarm.kind} {alarm.service or ''}".rstrip() for alarm in alarms)
    return f"ALARM  {headline(board)[0]}: {', '.join(kinds)}"


def _ready(board: Board) -> tuple[int, int]:
    """Return (services that are ready, services). An env of class drill is restored into, and no recovery moves clients to it."""
    serving = [service for service in board.services if service.env_class != "drill"]
    return sum(service.readiness is not None and service.readiness.standing == "ready" for service in serving), len(serving)


def _lead(board: Board) -> str:
    ready, services = _ready(board)
    return f"{ready} of {counted(services, 'service')} ready for their next move, by a check that a host signed."


def age(now: str, at: str) -> str:
    """Return how long ago a time of a document was: `3 d 2 h ago`, `4h10m ago`; a time ahead of `now` is said to be."""
    seconds = (moment(now) - moment(at)).total_seconds()
    return f"in {length(-seconds)}" if seconds < 0 else f"{length(seconds)} ago"


def length(seconds: float) -> str:
    """Return a length of time, from a day on in days, and in the first week with its hours."""
    days, rest = divmod(int(seconds), DAY)
    hours = rest // 3600
    return span(seconds) if not days else f"{days} d {hours} h" if hours and days < 7 else f"{days} d"


def standing(board: Board, service: BoardService) -> tuple[str, Mood, str]:
    """Return a service's readiness in words, its colour, and what stands below it."""
    fact = service.readiness
    if fact is None or fact.record is None:
        return "not known", "wait", (fact.why if fact is not None else "")
    record = fact.record
    checked = f"checked {age(board.made_at, record.checked_at)} on {record.runner or record.runner_ref}"
    if fact.standing == "ready":
        return "ready", "good", f"{checked}, good until {record.expires_at[:16]}Z"
    if fact.standing == "expired":
        return "stale", "bad", f"{checked}; {'passed' if record.ready else 'refused'} then, counts no more since {record.expires_at[:16]}Z"
    return "not ready", "bad", f"{checked}: {': '.join(filter(None, (record.gate, record.reason)))}"


def _lock(service: BoardService) -> tuple[str, Mood]:
    if service.lock is None:
        return "not known", "wait"
    return service.lock, {"free": "good", "held": "warn", "unknown": "bad"}[service.lock]  # type: ignore[return-value]  # the table's values


def _owed(owed: Obligation) -> tuple[str, Mood]:
    moods: dict[str, Mood] = {"done": "good", "due": "warn", "missed": "bad", "unknown": "wait"}
    return {"unknown": "not known"}.get(owed.state, owed.state), moods[owed.state]


def _went(run: BoardRun) -> tuple[str, Mood]:
    if run.state not in TERMINAL:
        return "Cut off", "bad"
    ending = ending_of(run.state)
    if run.state in (State.COMPLETED, State.COMPLETED_WITH_EXCEPTIONS) and run.drill:
        return "Drill passed", "good"
    return ending.headline.capitalize(), ending.mood


def _what(run: BoardRun) -> str:
    kind = run.decision_type.value.replace("_", " ")
    return f"drill of {kind}" if run.drill else kind


def _plots(service: BoardService) -> list[Plot]:
    time = plot_of("Recovery time", "from request to proven", service.runs, "rto", service.rto)
    data = plot_of("Data age", "of the newest data when it was proven", service.runs, "rpo", service.rpo)
    return [plot for plot in (time, data) if plot is not None]


def alarm_line(alarm: Alarm) -> str:
    """Return an alarm as one line of a log."""
    return f"{_WORDS[alarm.level].upper():<9} {alarm.kind}: {alarm.text}" + (f"; {alarm.fix}" if alarm.fix else "")
