"""Where every service of a config stands: its ledger, and who may approve. Reads only.

docs/design/texts.md 6. A service whose ledger cannot be read, or that nobody vouches for, hides no other one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from hyops_ci.config.settings import env_of, env_settings
from hyops_ci.contracts.base import moment, stamp
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.ledger import Tip
from hyops_ci.errors import DispatchError, Exit, Refusal
from hyops_ci.ledger import rules
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.rules import Lock
from hyops_ci.operations.environments import EnvironmentReport
from hyops_ci.planning.protection import eligible_reviewers

AT_ONCE: Final = 8
"""Ledgers that are asked at the same time."""
NOT_MEASURED: Final = "not measured: no check is kept between runs; hyops-ci doctor looks now"


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
            "readiness": NOT_MEASURED,
            "approvers": self.approvers,
            "vouched": self.vouched or None,
            "trouble": self.trouble.to_json() if self.trouble else None,
        }

    def lines(self) -> list[str]:
        """As text: a headline, then what stands below it."""
        found = [("approvers", self.approvers), ("readiness", NOT_MEASURED)]
        if self.tip is None:
            head = f"FAIL  {self.service}  not known"
        else:
            mark = "FAIL" if self.exit_code else "warn" if self.lock == "held" else "ok"
            where = f"serves from {self.tip.serves} ({self.tip.position.replace('_', ' ')})"
            head = f"{mark:<5} {self.service}  {where}, {lock_text(self.tip, self.lock)}"
            found = [("last run", self.last_run), ("last drill", self.last_drill), ("vouched", self.vouched), *found]
        if self.trouble is not None:
            found = [("ledger", f"{self.trouble.reason}; {self.trouble.found}"), ("fix", self.trouble.fix), *found]
        return [head, *(f"      {name:<10} {text}" for name, text in found if text)]


def status(
    config: DispatchConfig, opened: Callable[[str], Ledger], now: datetime, environments: Sequence[EnvironmentReport] | None
) -> tuple[ServiceStatus, ...]:
    """Return where each service stands, in the config's order.

    `opened` gives a service's ledger with its vouchers; `environments` is None where GitHub is not asked.
    """

    def of(service: str) -> ServiceStatus:
        approvers = approvers_of(config, service, environments)
        try:
            return _read(opened(service), ServiceStatus(service=service, approvers=approvers), now)
        except DispatchError as error:
            return ServiceStatus(service=service, approvers=approvers, trouble=error)

    with ThreadPoolExecutor(AT_ONCE) as beside:
        return tuple(beside.map(of, config.services))


def _read(ledger: Ledger, empty: ServiceStatus, now: datetime) -> ServiceStatus:
    try:
        vouched, history = ledger.vouched().line, ledger.vouched_history()
        last_run, last_drill = (_last(history, now, drill=drill) for drill in (False, True))
        found = replace(empty, vouched=vouched, history=tuple(history), last_run=last_run, last_drill=last_drill)
    except Refusal as refusal:
        if ledger.known is None:
            raise
        found = replace(empty, trouble=refusal)
    tip = ledger.known.tip if ledger.known else ledger.tip()
    return replace(found, tip=tip, lock=rules.lock_of(tip, stamp(now)))


def lock_text(tip: Tip, lock: Lock) -> str:
    """Return who holds a lock, in words."""
    if lock == "free" or tip.claim is None:
        return f"lock free, epoch {tip.epoch}"
    if lock == "held":
        return f"lock held by run {tip.claim.run_id}: {tip.state} since {tip.at}"
    return f"UNKNOWN since run {tip.claim.run_id} ({tip.state} at {tip.at}): look which site serves, then settle"


def _last(history: Sequence[Tip], now: datetime, *, drill: bool) -> str:
    """The newest run, or drill, that ended."""
    last = rules.last_ended(history, drill=drill)
    if last is None or last.claim is None:
        return "never"
    ended = next(each for each in reversed(history) if each.claim == last.claim and each.state is last.state)
    days = (now - moment(ended.at)).days
    return f"run {last.claim.run_id} {last.claim.decision_type}, {last.state} {stamp(moment(ended.at))}, {days} d ago"


def approvers_of(config: DispatchConfig, service: str, environments: Sequence[EnvironmentReport] | None) -> str:
    """Return who may approve a run of this service, by each channel that is open."""
    approvals, env = config.approvals, env_settings(config, env_of(service))
    ways = []
    if "environment" in approvals.channels:
        gate = next((each for each in environments or () if each.role == "gate" and env.name in each.envs), None)
        if gate is None:
            ways.append(f"the reviewers of environment {env.gate}: not asked, no token")
        elif gate.lacking:
            ways.append(f"environment {env.gate}: {gate.lacking[0].found}")
        else:
            ways.append(f"{', '.join(eligible_reviewers(gate.fact, ())) or 'nobody demanded'} (environment {env.gate})")
    if "signed" in approvals.channels:
        ways.append(f"{approvals.quorum} of {', '.join(sorted(approvals.approvers)) or 'nobody'} by signature")
    return "; or ".join(ways)
