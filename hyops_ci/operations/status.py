"""Where every service of a config stands: its ledger, and who may approve. Reads only.

docs/design/texts.md 6. A service whose ledger cannot be read, or that nobody vouches for, hides no other one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Final

from hyops_ci.config.settings import env_of, env_settings
from hyops_ci.contracts.base import moment, stamp, whole_second
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.ledger import Tip
from hyops_ci.contracts.track_record import TrackRecord
from hyops_ci.dataclass import dataclass, replace
from hyops_ci.errors import DispatchError, Exit, Refusal
from hyops_ci.github.api.client import Client
from hyops_ci.ledger import rules
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.rules import Lock
from hyops_ci.operations.environments import EnvironmentReport, environments
from hyops_ci.planning.protection import eligible_reviewers
from hyops_ci.readiness.store import ReadinessStore
from hyops_ci.report.track_record import last_check, obligation_line, passed_over, trend
from hyops_ci.stages.readiness import kept_checks
from hyops_ci.stages.track_record import Gathered, known_at, practice_of, track_record

AT_ONCE: Final = 8
"""Ledgers that are asked at the same time."""
Gates = tuple[EnvironmentReport, ...] | DispatchError | None
"""The approval gates as GitHub shows them, why it does not, or None where it is not asked."""
NOT_KNOWN: Final = "not known: the ledger was not read; hyops-ci doctor looks now"


@dataclass(frozen=True)
class Places:
    """Where to look for a service."""

    ledger: Callable[[str], Ledger]
    """Its ledger, with its vouchers."""
    checks: Callable[[str], ReadinessStore]
    """The branch of its checks."""


@dataclass(frozen=True, kw_only=True)
class ServiceStatus:
    """One service. Texts are empty where the ledger could not be read."""

    service: str
    approvers: str
    tip: Tip | None = None
    lock: Lock = "free"
    last_run: str = ""
    last_drill: str = ""
    vouched: str = ""
    history: tuple[Tip, ...] = ()
    """What a host vouches for, newest first."""
    known: TrackRecord | None = None
    """Readiness, what is owed, and how long drills and runs took; absent where the ledger could not be read."""
    trouble: DispatchError | None = None
    """Why the ledger could not be read, or why nobody should believe it."""

    @property
    def exit_code(self) -> int:
        """Of the command: 0, 5 where a person must settle, else what the ledger's refusal says."""
        if self.trouble is not None:
            return int(self.trouble.exit_code)
        return int(Exit.CONFLICT if self.lock == "unknown" else Exit.DONE)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "service": self.service,
            "position": self.tip.position if self.tip else None,
            "serves": self.tip.serves if self.tip else None,
            "lock": self.lock if self.tip else None,
            "epoch": self.tip.epoch if self.tip else None,
            "last_run": self.last_run or None,
            "last_drill": self.last_drill or None,
            "readiness": self.known.readiness.document() if self.known else None,
            "owed": [each.document() for each in self.known.obligations] if self.known else None,
            "drills": self.known.drills.document() if self.known else None,
            "runs": self.known.runs.document() if self.known else None,
            "approvers": self.approvers,
            "vouched": self.vouched or None,
            "trouble": self.trouble.to_json() if self.trouble else None,
        }

    def lines(self) -> list[str]:
        """As text: a headline, then what stands below it."""
        found = [("approvers", self.approvers), *self._past()]
        if self.tip is None:
            head = f"FAIL  {self.service}  not known"
        else:
            late = self.known is not None and bool(self.known.missed() or self.known.readiness.passed_over)
            mark = "FAIL" if self.exit_code else "warn" if self.lock == "held" or late else "ok"
            where = f"serves from {self.tip.serves} ({self.tip.position.replace('_', ' ')})"
            head = f"{mark:<5} {self.service}  {where}, {lock_text(self.tip, self.lock)}"
            found = [("last run", self.last_run), ("last drill", self.last_drill), ("vouched", self.vouched), *found]
        if self.trouble is not None:
            found = [("ledger", f"{self.trouble.reason}; {self.trouble.found}"), ("fix", self.trouble.fix), *found]
        return [head, *(f"      {name:<10} {text}" for name, text in found if text)]

    def _past(self) -> list[tuple[str, str]]:
        """Return what is known of the service's past."""
        if self.known is None:
            return [("readiness", NOT_KNOWN)]
        fact = self.known.readiness
        times = [("drills", trend(self.known.drills)), ("runs", trend(self.known.runs))]
        owed = [("owed", obligation_line(each)) for each in self.known.obligations]
        return [("readiness", last_check(fact, moment(self.known.at))), *(("", line) for line in passed_over(fact)), *times, *owed]


def gates_at(config: DispatchConfig, client: Client) -> Gates:
    """Return the approval gates as GitHub shows them, or why it does not: the ledgers may be read all the same."""
    try:
        return environments(config, client)
    except DispatchError as error:
        return error


def status(config: DispatchConfig, places: Places, now: datetime, gates: Gates) -> tuple[ServiceStatus, ...]:
    """Return where each service stands, in the config's order."""

    def of(service: str) -> ServiceStatus:
        approvers = approvers_of(config, service, gates)
        try:
            return _read(config, places, ServiceStatus(service=service, approvers=approvers), now)
        except DispatchError as error:
            return ServiceStatus(service=service, approvers=approvers, trouble=error)

    with ThreadPoolExecutor(AT_ONCE) as beside:
        return tuple(beside.map(of, config.services))


def _read(config: DispatchConfig, places: Places, empty: ServiceStatus, now: datetime) -> ServiceStatus:
    ledger = places.ledger(empty.service)
    try:
        vouched, history = ledger.vouched().line, ledger.vouched_history()
        last_run, last_drill = (_last(history, now, drill=drill) for drill in (False, True))
        found = replace(empty, vouched=vouched, history=tuple(history), last_run=last_run, last_drill=last_drill)
    except Refusal as refusal:
        if ledger.known is None:
            raise
        found = replace(empty, trouble=refusal)
    head = ledger.known or ledger.head()
    tip = head.tip
    if found.trouble is None:
        gathered = Gathered(kept_checks(lambda: places.checks(tip.service)), practice_of(tip.service, config, places.ledger))
        found = replace(found, known=track_record(tip, known_at(head, ledger), gathered, config, now))
    return replace(found, tip=tip, lock=rules.lock_of(tip, stamp(now)))


def lock_text(tip: Tip, lock: Lock) -> str:
    """Return who holds a lock, in words."""
    if lock == "free" or tip.claim is None:
        return f"lock free, epoch {tip.epoch}"
    if lock == "held":
        return f"lock held by run {tip.claim.run_id}: {tip.state} since {whole_second(tip.at)}"
    return f"UNKNOWN since run {tip.claim.run_id} ({tip.state} at {whole_second(tip.at)}): look which site serves, then settle"


def _last(history: Sequence[Tip], now: datetime, *, drill: bool) -> str:
    """Return the newest run, or drill, that ended."""
    last = rules.last_ended(history, drill=drill)
    if last is None or last.claim is None:
        return "never"
    ended = next(each for each in reversed(history) if each.claim == last.claim and each.state is last.state)
    days = (now - moment(ended.at)).days
    return f"run {last.claim.run_id} {last.claim.decision_type}, {last.state} {whole_second(stamp(moment(ended.at)))}, {days} d ago"


def approvers_of(config: DispatchConfig, service: str, gates: Gates) -> str:
    """Return who may approve a run of this service, by each channel that is open."""
    approvals, env = config.approvals, env_settings(config, env_of(service))
    ways = []
    if "environment" in approvals.channels:
        known = gates if isinstance(gates, tuple) else ()
        gate = next((each for each in known if each.role == "gate" and env.name in each.envs), None)
        if gate is None:
            why = f"not known: {gates.reason}" if isinstance(gates, DispatchError) else "not asked, no token"
            ways.append(f"the reviewers of environment {env.gate}: {why}")
        elif gate.lacking:
            ways.append(f"environment {env.gate}: {gate.lacking[0].found}")
        else:
            ways.append(f"{', '.join(eligible_reviewers(gate.fact, ())) or 'nobody demanded'} (environment {env.gate})")
    if "signed" in approvals.channels:
        ways.append(f"{approvals.quorum} of {', '.join(sorted(approvals.approvers)) or 'nobody'} by signature")
    return "; or ".join(ways)
