"""GitHub on which a dispatched run really runs: its stages are carried out, one run after the other, for three services in two waves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import yaml

from hyops_ci.approvals.request import answer
from hyops_ci.config.file import CONFIG_PATH, parsed_config
from hyops_ci.contracts.approval import ApprovalRequest, Person
from hyops_ci.contracts.base import moment
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.run import State
from hyops_ci.github.api.client import Client
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.vouching import Vouchers
from hyops_ci.operations.recovery.approve import answer_all, page
from hyops_ci.operations.recovery.context import Recovery, remaining
from hyops_ci.operations.recovery.pending import pending_runs
from hyops_ci.operations.recovery.start import Reasons, start
from hyops_ci.stages.approval import may_proceed
from hyops_ci.stages.context import SystemClock
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.planned_run import checked_run, planned_run, require_plan
from hyops_ci.stages.runner import StageEnd
from hyops_ci.stages.sealing import bundle_path
from tests.security.incident import CALLER, WORKFLOW, Incident, start_incident
from tests.support.github.runs import Run

T = TypeVar("T")
WAVES = [["pg-ha/lab"], ["web/east", "api/west"]]
SERVICES = [service for wave in WAVES for service in wave]
NAME = "site-loss"
ID = f"{NAME}-20261129T030000Z-ab12"
WITHIN = 60
"""Seconds that a run may take here."""
TEMPLATE = Path(__file__).parents[2] / "workflows-templates" / "dr-manual.yml"


def config() -> dict[str, Any]:
    """Three services, each in an env of its own, and the plan."""
    ways = {
        "failover": {"lane": "gcp", "blueprint": "dr/postgresql-ha-failover-gcp@v1"},
        "failback": {"lane": "onprem", "blueprint": "dr/postgresql-ha-failback-onprem@v1"},
    }
    return {
        "services": {service: {name: dict(way) for name, way in ways.items()} for service in SERVICES},
        "envs": {service.partition("/")[2]: {"class": "lab"} for service in SERVICES},
        "vault": {"kind": "file", "site": "gcp"},
        "recovery_plans": {NAME: {"action": "failover", "waves": [list(wave) for wave in WAVES]}},
    }


@dataclass
class Night:
    """Three services that fail at once; `hold` keeps runs from being carried out, `spoil` is called before one executes."""

    incident: Incident
    waves: dict[int, str] = field(default_factory=dict)
    """Run -> the service that it acts on, in the order in which they began to execute."""
    before_execute: Callable[[str], None] = lambda _: None
    said: list[str] = field(default_factory=list)
    ends: dict[int, StageEnd] = field(default_factory=dict)
    """Run -> how its last stage before the report ended."""
    _queue: SimpleQueue[Run] = field(default_factory=SimpleQueue)

    def dispatched(self, run: Run) -> None:
        """A run was started: GitHub names it by the workflow's run-name, and it waits to be carried out."""
        resume = run.inputs.get("resume")
        run.title = f"{f'resume {resume}' if resume else 'decision'} by {run.actor.login}, {run.inputs.get('reason', '')}"
        self._queue.put(run)

    def while_runs_go(self, command: Callable[[], T]) -> T:
        """Return what a person's command returns, while the runs that it starts are carried out one after the other.

        They are in this thread: a stage listens for signals.
        """
        with ThreadPoolExecutor(1) as person:
            asked = person.submit(command)
            while not (asked.done() and self._queue.empty()):
                self.carry_out_next()
            return asked.result()

    def carry_out_next(self) -> None:
        """Carry out the oldest run that waits, if there is one."""
        with suppress(Empty):
            self._carry_out(self._queue.get(timeout=0.05))

    def _carry_out(self, run: Run) -> None:
        try:
            self._stages(run)
        finally:
            if run.status != "completed":
                run.finish("failure")

    def _stages(self, run: Run) -> None:
        incident = self.incident
        incident.run, incident.folder = run, RunDir(incident.site.root.parent / f"run-{run.id}" / "run")
        results = {"plan": "failure", "check": "skipped", "execute": "skipped"}
        decision, resume = str(run.inputs.get("decision", "")).encode(), str(run.inputs.get("resume", ""))
        ended = incident.plan(decision, resume=resume)
        sealed = False
        if ended.state is State.PLANNED:
            results |= {"plan": "success", "check": "failure"}
            incident.planned = incident.folder.pack(incident.folder.root.parent / "planned.tar")
            ended = incident.check()
            if ended.state is State.CHECKED:
                results["check"] = "success"
                incident.hand_over()
                sealed, ended = self._execute(run, results, ended)
        self.ends[run.id] = ended
        if not sealed:
            incident.conclude(results)
        evidence = bundle_path(incident.folder).read_bytes()
        run.add_artifact(f"dr-evidence-{run.id}-1", {"evidence.tar": evidence})
        run.add_job("dr / Report", ["ubuntu-latest"]).finish()
        run.finish("success" if sealed and results["execute"] == "success" else "failure")

    def _execute(self, run: Run, results: dict[str, str], checked: StageEnd) -> tuple[bool, StageEnd]:
        incident = self.incident
        plan = require_plan(incident.folder)
        if not may_proceed(checked_run(planned_run(plan, incident.folder, incident.world("check")))):
            return False, checked
        self.waves[run.id] = plan.service
        self.before_execute(plan.service)
        ended: StageEnd = incident.execute()
        results["execute"] = "success" if ended.refusal is None else "failure"
        return True, ended

    # ------------------------------------------------------------------------------------------------ by people

    @property
    def config(self) -> DispatchConfig:
        """As it is committed."""
        return parsed_config((self.incident.site.repository / CONFIG_PATH).read_bytes())

    def token(self, login: str) -> str:
        """A person's token."""
        return self.incident.fake.add_token("actions: write", "contents: write", actor=login)

    def client(self, login: str) -> Client:
        """GitHub with a person's token."""
        return Client.connect(CALLER, token=self.token(login), api_url=self.incident.fake.url, sleep=lambda _: None)

    def opened(self, service: str) -> Ledger:
        """A service's ledger as an onlooker reads it."""
        known, root = self.config, self.incident.site.root
        ledger = Ledger.over_git(str(root / "ledger.git"), service, state_dir=root / "onlooker")
        ledger.vouchers = Vouchers(self.incident.site.clock.now, known.host_keys, known.approvals.approvers, 1, "onprem")
        return ledger

    def recovery(self, login: str = "maria", recovery_id: str = ID) -> Recovery:
        """The recovery in somebody's hands."""
        return Recovery(recovery_id, NAME, self.config, self.client(login), _Quick(), self.opened, self.said.append)

    def decision_of(self, service: str) -> str:
        """The decision that was dispatched for a service."""
        wanted = (run for run in self.incident.repository.runs.values() if run.title.endswith(f"-{service.replace('/', '.')}"))
        return str(next(wanted).inputs["decision"])

    def positions(self) -> dict[str, str]:
        """Service -> where it is, by its ledger."""
        return {service: self.opened(service).tip().position for service in SERVICES}


class _Quick(SystemClock):
    """A clock that waits less: nothing on this GitHub takes ten seconds."""

    def sleep(self, seconds: float) -> None:
        threading.Event().wait(min(seconds, 0.05))


@contextmanager
def start_night(folder: Path) -> Iterator[Night]:
    """The site, with nothing begun."""
    written = folder / "dr-dispatch.yml"
    folder.mkdir(parents=True, exist_ok=True)
    written.write_text(yaml.safe_dump(config(), sort_keys=False))
    with start_incident(folder / "incident", written) as incident:
        night = Night(incident)
        incident.site.clock.now = lambda: max(SystemClock().now(), moment("2026-01-01T00:00:00Z"))  # type: ignore[method-assign]  # this site's
        incident.repository.commit({WORKFLOW: TEMPLATE.read_text()}, "")
        incident.repository.workflows[0].on_start = night.dispatched
        yield night


def checked(night: Night) -> None:
    """Maria asks, and every check waits for its signature."""
    started = night.while_runs_go(lambda: start(night.recovery(), Reasons("INC-4242 the site is lost"), within=WITHIN))
    assert len(started) == 3, night.said


def approved(night: Night, *services: str, recovery_id: str = ID) -> str:
    """Jonas reads one page, and signs all of it, or only what is named. Returns the page."""
    recovery = night.recovery("jonas", recovery_id)
    pending = pending_runs(recovery, remaining(recovery, recovery.standing(recovery.tips())))
    chosen = {name: each for name, each in pending.items() if not services or name in services}

    def sign(asked: ApprovalRequest) -> Mapping[str, Any]:
        return answer(asked, "approve", Person(login="jonas"), night.incident.keys["jonas"], now=datetime.now(UTC))

    lines = page(recovery, pending)
    answer_all(recovery, chosen, sign, datetime.now(UTC))
    return "\n".join(lines)
