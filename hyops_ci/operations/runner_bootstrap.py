"""A lane's runner made or repaired outside a run, by the same table and the same steps as within one (docs/runner-recovery.md).

On GitHub the job is behind the environment of the config, and somebody who did not ask let it through; in a shell the person who has the
provider's credentials acts. What was done is sealed either way.
"""

from __future__ import annotations

from typing import Final

from hyops_ci.approvals.reviews import let_through
from hyops_ci.config.machines import installation_of, machine_name
from hyops_ci.config.settings import LaneSettings, lane_settings
from hyops_ci.contracts.approval import Person
from hyops_ci.contracts.base import seconds
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.contracts.ensured import DOCUMENT, Ensured, Found
from hyops_ci.contracts.facts import RefFact
from hyops_ci.contracts.runner_machine import BootstrapReason
from hyops_ci.dataclass import dataclass, field
from hyops_ci.errors import Exit, Refusal, shown
from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.github.environments import environment
from hyops_ci.github.reviews import reviews
from hyops_ci.planning.bootstrap_case import BootstrapCase, bootstrap_refusal
from hyops_ci.planning.machine_case import machine_refusal
from hyops_ci.runners.decide import Action, AgentView, Permission, QueueView, Situation, decide
from hyops_ci.runners.ports import Owner
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.ensure_runner.looking import look_at_agent, look_at_machine
from hyops_ci.stages.ensure_runner.making import Work, change, named
from hyops_ci.stages.ensure_runner.stage import OFFERED, POLL, not_taken, refused
from hyops_ci.stages.ensure_runner.tools import ToolsFor, ToolsRequest
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.watch.queue import ExpectedJob

DOCS: Final = "runner-recovery.md"


@dataclass(frozen=True)
class _LaneRunner:
    """Whose runner it is."""

    lane: str
    runs_on: tuple[str, ...]


@dataclass(frozen=True)
class _WorkContext:
    """Where it is worked on."""

    context: RunContext
    config: DispatchConfig
    plan: _LaneRunner


@dataclass
class Bootstrap:
    """One lane's runner, from the first look to the agent that is online."""

    config: DispatchConfig
    lane: str
    reason: BootstrapReason
    context: RunContext
    tools_for: ToolsFor
    learn: list[str]
    """Gets every secret value, so that none is shown."""
    dry_run: bool = False
    done: list[Action] = field(default_factory=list)
    approved_by: tuple[str, ...] = ()
    work: Work | None = None

    def carry_out(self, part: PartRecorder, run: RunDir) -> None:
        """Bring the runner to work, or say what would be done; `run` then holds `ensured.json`. Raises Refusal or Fault."""
        self.approved_by = self.permitted()
        part.note("permission", reason=self.reason, approved_by=list(self.approved_by), dry_run=self.dry_run)
        settings = lane_settings(self.config, self.lane)
        about = _WorkContext(self.context, self.config, _LaneRunner(self.lane, settings.labels))
        tools = self.tools_for(ToolsRequest(about.plan, self.config, self.context, self.learn.append, part.note))
        owner = Owner(self.context.job.repository_id, self.lane, settings.runner_ref)
        self.work = work = Work(about, part, tools, owner, machine_name(settings))
        try:
            with named(work):
                self.until_online(work, settings)
        finally:
            run.write_model(DOCUMENT, self.document(work))

    def permitted(self) -> tuple[str, ...]:
        """Return who let it through: in a shell who acts, in a job who reviewed it there. A bypass leaves no review, and is no approval.

        Raises Refusal of the gates on a reason and on a machine, `recovery.gate` for a job that nobody let through, and `run.attempt` for
        a re-run: what was approved was approved for the first attempt.
        """
        client, job, gate = self.context.github, self.context.job, self.config.policy.bootstrap_environment
        asked = tuple(Person(login=login, id=number) for login, number in job.requesters)
        case = BootstrapCase(
            self.config,
            lane_settings(self.config, self.lane),
            self.reason,
            RefFact(ref=job.ref, default_branch=job.on_default_branch),
            environment(client, gate) if client is not None and job.on_github else None,
            asked,
            behind_gate=job.on_github,
        )
        no = bootstrap_refusal(case) or machine_refusal(self.config, self.lane, self.context.judged_at())
        if no is not None:
            raise no
        if client is None or not job.on_github:
            return (job.actor,)
        said = reviews(client, job.run_number)
        people = let_through(said, gate, asked, job.attempt, self.config.approvals.approvers)
        if not people:
            raise _not_approved(gate, len(said))
        return people

    def until_online(self, work: Work, settings: LaneSettings) -> None:
        """Follow the table until the agent is online. No change is made twice. Raises Refusal or Fault for every other end."""
        registry, clock = work.tools.registry(), self.context.clock
        expected, since = ExpectedJob("", 1, settings.labels, settings.names), clock.monotonic()
        while True:
            with work.phase("looking"):
                agent = look_at_agent(registry, None, work.name, expected)
                work.machine = machine = look_at_machine(work.adapters.provider, work.name)
            rule = decide(Situation(QueueView.MISSING, agent.view, machine.state, Permission.ALLOWED))
            work.saw(Found(queue="none", agent=agent.view.value, machine=machine.state.value, words=shown(agent.words)))
            if work.chose(rule):
                self.context.say(f"{'would ' if self.dry_run and rule.action is not Action.WAIT else ''}{work.decided[-1]}")
            if agent.view is AgentView.ONLINE or self.dry_run:
                return
            if rule.action is Action.REFUSE:
                raise refused(rule, work)
            waited = clock.monotonic() - since
            if rule.action in self.done or rule.action is Action.WAIT or waited < self.patience():
                if waited >= max(self.patience(), seconds(installation_of(self.config, self.lane).boot_timeout)):
                    raise not_taken(rule, work, waited)
                with work.phase("waiting"):
                    clock.sleep(POLL)
                continue
            self.done.append(rule.action)
            change(work, rule.action, registry)
            since = clock.monotonic()

    def patience(self) -> float:
        """Return the seconds that what was changed last has before the table decides again; 0 before the first change."""
        if not self.done:
            return 0.0
        return OFFERED if self.done[-1] is Action.START else seconds(installation_of(self.config, self.lane).online_timeout)

    def document(self, work: Work) -> Ensured:
        """Return what was found and done."""
        return work.ensured(self.reason, self.approved_by)


def _not_approved(gate: str, reviews_of_run: int) -> Refusal:
    return Refusal(
        "recovery.gate",
        "nobody approved it",
        exit_code=Exit.POLICY,
        found=f"{reviews_of_run} reviews of this run",
        expected=f"one of {gate} by somebody who did not ask",
        fix="have it approved by somebody else; then again",
        docs=DOCS,
    )
