"""A board with everything on it: what the page's tests draw."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.board import Alarm, Board, BoardRun, BoardService, Recurring, Trend
from hyops_ci.contracts.config import EnvClass
from hyops_ci.contracts.decision import DecisionType
from hyops_ci.contracts.figures import Figures
from hyops_ci.contracts.readiness import Readiness, ReadinessFact
from hyops_ci.contracts.run import State
from hyops_ci.contracts.track_record import Obligation

NOW = datetime(2026, 11, 28, 7, 40, tzinfo=UTC)
DIGEST = "sha256:" + "ab" * 32
REPOSITORY = "https://github.com/acme/recovery"


def ago(**length: float) -> str:
    return stamp(NOW - timedelta(**length))


def run(number: int, days: float, took: int | None, **changes: Any) -> BoardRun:
    """A drill of `pg-ha/drill` that ended so many days ago."""
    verdict: Any = "unproven" if took is None else "met" if took <= 1800 else "missed"
    measured: dict[str, Any] = {"request_to_proven": took, "data_age": took and took // 10, "rto": 1800, "rpo": 300}
    figures = Figures(level="isolated", verdict=verdict, cleaned=True, **measured)
    given: dict[str, Any] = {"run_id": f"{number}-1", "service": "pg-ha/drill", "url": f"{REPOSITORY}/actions/runs/{number}"}
    given |= {"decision_type": DecisionType.FAILOVER, "drill": True, "state": State.FAILED if took is None else State.COMPLETED}
    given |= {"claimed_at": ago(days=days, minutes=40), "ended_at": ago(days=days), "figures": figures, "bundle_sha256": DIGEST}
    return BoardRun(**(given | changes))


def readiness(**changes: Any) -> Readiness:
    given: dict[str, Any] = {"ledger_id": DIGEST, "service": "pg-ha/prod", "decision_type": DecisionType.FAILOVER, "lane": "gcp"}
    given |= {"runner_ref": "gcp-ops-runner", "runner": "gcp-ops-runner-01", "ready": True, "outcome": State.CHECK_PASSED}
    given |= {"checked_at": ago(hours=4), "expires_at": ago(hours=-44), "plan_digest": DIGEST, "run_id": "4711-1"}
    return Readiness(**(given | changes))


def owed(service: str, level: Any, every: str, state: Any, **changes: Any) -> Obligation:
    return Obligation(**({"service": service, "level": level, "every": every, "state": state, "practised_on": service} | changes))


def board(**changes: Any) -> Board:
    runs = (
        run(205, 2, 1270, approvers=("jonas",)),
        run(204, 40, 2250, drill=False, service="pg-ha/prod", approvers=("jonas", "priya"), evidence="dr-evidence-204-1.tar"),
        run(203, 62, None),
        run(202, 92, 1710),
        run(201, 121, 1650, figures=None, bundle_sha256=None),
    )
    ready = BoardService(
        service="pg-ha/prod",
        env_class=EnvClass.PRODUCTION,
        approvers="jonas, priya (environment dr-prod)",
        position="primary",
        serves="onprem",
        lock="free",
        epoch=7,
        vouched="signed by gcp-ops-runner, at 1f0e8a7c12ab",
        readiness=ReadinessFact(standing="ready", record=readiness(), signed_by=("gcp-ops-runner",)),
        rto=1800,
        rpo=300,
        obligations=(
            owed("pg-ha/prod", "check", "P1D", "done", done_at=ago(hours=4), due_at=ago(hours=-20), missed_at=ago(hours=-22)),
            owed("pg-ha/prod", "isolated", "P30D", "due", practised_on="pg-ha/drill", done_at=ago(days=31), due_at=ago(days=1)),
        ),
        runs=runs,
        trends=(Trend(of="rto", drills=True, count=2, median=1270, p90=1710, worst=1710),),
        recurring=(Recurring(text="this host does not pin its callers", runs=("205-1", "202-1")),),
    )
    stale = readiness(service="web/prod", checked_at=ago(days=6), expires_at=ago(days=4))
    cut_off = BoardService(
        service="web/prod",
        env_class=EnvClass.PRODUCTION,
        position="failed_over",
        serves="gcp",
        lock="unknown",
        holder="UNKNOWN since run 190-1",
        epoch=3,
        readiness=ReadinessFact(standing="expired", record=stale),
        obligations=(owed("web/prod", "isolated", "P30D", "missed", due_at=ago(days=33), last="FAILED 2026-11-01T03:00:00Z"),),
    )
    dark = BoardService(service="mail/lab", env_class=EnvClass.LAB, trouble="nobody vouches for the ledger; at 3f00aa", readiness=None)
    alarms = (
        Alarm(
            level="alarm",
            kind="lock.unknown",
            service="web/prod",
            text="run 190-1 was cut off",
            fix="look which site serves, then: hyops-ci ledger settle --service web/prod",
            exit_code=5,
        ),
        Alarm(level="warning", kind="schedule.dropped", text="GitHub started 5 of the last 10 runs of dr-readiness.yml"),
        Alarm(level="unknown", kind="runners", text="no token that may list runners"),
    )
    given: dict[str, Any] = {"made_at": stamp(NOW), "repository": "acme/recovery", "config_sha256": DIGEST, "alarms": alarms}
    return Board(**(given | {"services": (ready, cut_off, dark)} | changes))
