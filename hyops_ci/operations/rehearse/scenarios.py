"""Rehearse: an example decision through every stage, in one process, on this machine, in seconds.

The same stages as on GitHub; only the outside is local (`site`). HyOps is a stand-in, and every page says so.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal

from hyops_ci.approvals.request import answer
from hyops_ci.contracts.approval import ApprovalRequest, Person
from hyops_ci.contracts.base import stamp
from hyops_ci.contracts.clock import Clock
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import RefusalRecord, State
from hyops_ci.dataclass import dataclass, replace
from hyops_ci.intake.form import Form
from hyops_ci.operations.break_glass import conclude_here
from hyops_ci.operations.rehearse.sandbox import APPROVER, EXAMPLE, Site, served, set_up
from hyops_ci.parsing.documents import json_object
from hyops_ci.signing.dsse import load_key
from hyops_ci.stages.check.stage import check
from hyops_ci.stages.conclude.stage import Conclusion, conclude
from hyops_ci.stages.context import RunContext, ShiftedClock
from hyops_ci.stages.execute.stage import execute
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.plan.stage import Ask, plan
from hyops_ci.stages.watch.queue import LIMIT, ExpectedJob, Poll, Progress, Verdict, begin
from hyops_ci.stages.watch.refusals import refusal_for
from hyops_ci.stages.watch.stage import Watched

VMS: Final = "gcp_pg_vms"
RESTORE: Final = "postgresql_restore"
DNS: Final = "postgresql_dns_cutover"


@dataclass(frozen=True)
class Scenario:
    """One rehearsed course of events; each scenario changes one thing."""

    description: str
    actions: tuple[str, ...] = ("failover",)
    """The decisions, one after the other; the last one is reported."""
    prepare: Callable[[Site], object] | None = None
    answer: str = "approve"
    """`approve`, `deny`, or nothing."""
    waits: timedelta = timedelta()
    """How long the approval is waited for."""
    at: str = ""
    """Text of the progress line at which `then` is called."""
    then: Callable[[Site], object] | None = None

    service_answers: bool = True
    """Whether the recovered service takes connections."""

    goes: bool = True
    """Whether the service is gone once it is destroyed."""

    silent: bool = False
    """Whether no runner takes the check."""
    serves: str = ""
    """The site that serves, where the last run settles it."""

    @property
    def scripted(self) -> bool:
        """Whether the scenario needs the stand-in: the real HyOps cannot be made to fail on demand."""
        return self.prepare is not None or bool(self.at) or len(self.actions) > 1


def _cancel(_: Site) -> None:
    """What GitHub sends to a step that is cancelled."""
    os.kill(os.getpid(), signal.SIGINT)


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "recovered": Scenario("everything goes as planned"),
    "denied": Scenario("the approver denies", answer="deny"),
    "expired": Scenario("no approval in time", answer="", waits=timedelta(hours=2)),
    "unsigned": Scenario("not signed yet", answer=""),
    "no-runner": Scenario("the runner does not hold the env", prepare=Site.lose_envs),
    "secrets-down": Scenario("the authority is gone after the check", at="lock taken", then=Site.lose_authority),
    "preflight-blocked": Scenario("an upstream state is missing", prepare=lambda site: site.forget_state("org/gcp/wan-hub-network")),
    "restore-skipped": Scenario(
        "a leftover state would skip the restore",
        prepare=lambda site: site.seed_state("platform/postgresql-ha#postgresql_restore_gcp_dr", 71),
    ),
    "failed-step": Scenario("the restore fails", prepare=lambda site: site.script({RESTORE: {"fail": "no such backup set"}})),
    "cancelled": Scenario(
        "a person cancels in the restore",
        prepare=lambda site: site.script({RESTORE: {"seconds": 30}}),
        at=f"{RESTORE} running",
        then=_cancel,
    ),
    "failed-cutover": Scenario("the DNS step fails", prepare=lambda site: site.script({DNS: {"fail": "the zone is locked"}})),
    "failed-probe": Scenario("HyOps is done, and the service does not answer", service_answers=False),
    "cancelled-late": Scenario("a person cancels when HyOps is done", at="HyOps says that it is done", then=_cancel),
    "indeterminate": Scenario("cut off inside the DNS step", prepare=lambda site: site.script({DNS: {"cut_off": True}})),
    "settled": Scenario(
        "cut off inside the DNS step, then people say that gcp serves",
        actions=("failover", "settle"),
        prepare=lambda site: site.script({DNS: {"cut_off": True}}),
        serves="gcp",
    ),
    "drill": Scenario("a drill, which removes what it made", actions=("drill",)),
    "drill-failed": Scenario(
        "the restore of a drill fails; what it made is removed all the same",
        actions=("drill",),
        prepare=lambda site: site.script({RESTORE: {"fail": "no such backup set"}}),
    ),
    "drill-not-cleaned": Scenario(
        "a drill cannot remove what it made",
        actions=("drill",),
        prepare=lambda site: site.script({VMS: {"destroy_fail": "quota of API calls"}}),
    ),
    "drill-after-a-cut": Scenario(
        "a drill begins by removing what one before it left",
        actions=("drill",),
        prepare=lambda site: site.seed_state("platform/postgresql-ha#postgresql_restore_gcp_dr", 3),
    ),
    "silent-runner": Scenario("no runner takes the check", silent=True),
    "duplicate": Scenario("the same incident under a new id", actions=("failover", "failover")),
    "failback": Scenario("back home after a failover", actions=("failover", "failback")),
    "hold": Scenario("the decision is to wait", actions=("hold",)),
}
"""The names of `--scenario`."""


def rehearse(site: Site, scenario: str, *, decision: bytes = b"", config: Path | None = None) -> Conclusion:
    """Run the scenario below `site.root`, which must be empty, and return its conclusion. `decision` and `config` replace the example's.

    Without a decision, the config's first service is rehearsed.
    """
    chosen, folder = SCENARIOS[scenario], site.root
    with served(answers=chosen.service_answers) as service:
        set_up(site, service.port, config, _service_of(decision))
        site.take_away = service.close if chosen.goes else site.take_away
        if chosen.prepare is not None:
            chosen.prepare(site)
        *before, last = chosen.actions
        for number, action in enumerate(before, 1):
            made = example_decision(action, site.clock, number, site.service)
            one_run(site, folder / f"run-{number}", made, SCENARIOS["recovered"])
        content = decision or example_decision(last, site.clock, len(chosen.actions), site.service)
        return one_run(site, folder / f"run-{len(chosen.actions)}", content, chosen)


def one_run(site: Site, folder: Path, decision: bytes, scenario: Scenario) -> Conclusion:
    """Plan, check, approve, execute, conclude: one decision as far as it gets."""
    world, run = site.world(), RunDir(folder / "run")
    form = Form("settle", site.service, "dig and psql show it (rehearsal)", serves=scenario.serves)
    end = plan(Ask(site.repository, form=form) if scenario.serves else Ask(site.repository, decision), run, world)
    if end.state is State.PLANNED:
        site.say("planned: {lane} -> {runner_ref}".format_map(run.read_json("plan.json")))
        if scenario.silent:
            return conclude(run, world, evidence=None, digest="", results={"check": "cancelled"}, watches=(nobody_came(run),))
        end = check(run, world)
    approvals = ""
    if end.state is State.CHECKED:
        site.say("checked: nothing was changed, no secret was read")
        approvals = approve(site, run, scenario.answer)
    if scenario.waits:
        world = replace(world, clock=ShiftedClock(site.clock.now() + scenario.waits))
    if approvals or (end.state is State.CHECKED and not run.read_model("plan.json", Plan).approval.required):
        execute(run, with_event(world, scenario, site), approvals)
    return conclude_here(run, world)


def nobody_came(run: RunDir) -> Watched:
    """Return what the watch of a check says that stays in the queue; on GitHub it waits two minutes for that."""
    planned = run.read_model("plan.json", Plan)
    expected = ExpectedJob(job="Check", attempt=1, labels=planned.runs_on, names=planned.runner_names)
    progress, last = Progress(begin(0), verdict=Verdict.MISSING), Poll(LIMIT, ())
    refusal = refusal_for(progress, expected, last, planned.runner_ref, planned.lane)
    return Watched(
        watched="check",
        verdict=Verdict.MISSING,
        job=expected.job,
        attempt=1,
        waited_seconds=LIMIT,
        refusal=RefusalRecord.of(refusal) if refusal else None,
    )


def approve(site: Site, run: RunDir, verdict: str) -> str:
    """Return the throw-away approver's answer as the JSON text that `execute` takes; empty without an answer."""
    if verdict not in ("approve", "deny"):
        return ""
    request = run.read_model("request.json", ApprovalRequest)
    answered: Literal["approve", "deny"] = "deny" if verdict == "deny" else "approve"
    comment = "not now: the site is coming back" if answered == "deny" else "rehearsal"
    envelope = answer(request, answered, Person(login=APPROVER), load_key(site.key), now=site.clock.now(), comment=comment)
    site.say(f"{'denied' if answered == 'deny' else 'approved'} by {APPROVER}, with a throw-away key")
    return json.dumps([envelope])


def with_event(world: RunContext, scenario: Scenario, site: Site) -> RunContext:
    """Return the context with a `say` that calls the scenario's event once, at the first line that holds its text."""
    done: list[bool] = []

    def say(line: str) -> None:
        world.say(line)
        if line.startswith("clean-up: destroying"):
            site.take_away()
        if scenario.then is not None and scenario.at and scenario.at in line and not done:
            done.append(True)
            scenario.then(site)

    return replace(world, say=say)


def _service_of(decision: bytes) -> str:
    """Return the service that a decision names, or empty: a record of another form is led to its service by the config's routes."""
    return str((json_object(decision) or {}).get("service", ""))  # what cannot be read is refused by the plan, with its reason


def example_decision(action: str, clock: Clock, number: int, service: str = "") -> bytes:
    """Return the bundled decision, made now. For a service of another config it names no lane: the config chooses."""
    value = json.loads((EXAMPLE / "decision.json").read_text(encoding="utf-8"))
    value |= {"issued_at": stamp(clock.now().replace(microsecond=0)), "decision_id": f"example-{action}-{number:04d}"}
    if action == "failback":
        value |= {"decision_type": "failback_onprem", "target_cloud": "onprem", "rationale": "the on-prem site is back (rehearsal)"}
    if action == "drill":
        value |= {"exercise": {"kind": "drill", "level": "isolated", "drill_id": value["decision_id"]}, "requires_approval": False}
        value["rationale"] = "the monthly drill (rehearsal)"
    if action == "hold":
        value |= {"decision_type": "hold", "target_cloud": "none", "rationale": "waiting for the power company (rehearsal)"}
    if service and service != value["service"]:
        value["service"] = service
        del value["target_cloud"]
    return json.dumps(value, indent=2).encode()
