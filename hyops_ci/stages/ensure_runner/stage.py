"""Ensure a runner: only where the watch called it missing, a reason is allowed, and somebody approved (docs/design/workflows.md 5).

permission -> look -> decide -> wait, start, make, set up -> look again, until the check that waits is taken

A table decides (`hyops_ci/runners/decide.py`), anew after each change, and no change is made twice. So a process that was killed
anywhere goes on where it was, and never makes a second machine.
"""

from __future__ import annotations

from typing import Final

from hyops_ci.config.machines import installation_of, machine_name
from hyops_ci.config.settings import lane_settings
from hyops_ci.contracts.base import seconds
from hyops_ci.contracts.ensured import DOCUMENT, Ensured, Found
from hyops_ci.contracts.run import RefusalRecord
from hyops_ci.contracts.runner_machine import Installation
from hyops_ci.dataclass import dataclass, field
from hyops_ci.errors import DispatchError, Exit, Refusal, shown
from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.github.api.client import Client
from hyops_ci.redaction import Redactor
from hyops_ci.runners.decide import Action, AgentView, Permission, QueueView, Rule, Situation, decide
from hyops_ci.runners.ports import Machine, MachineState, Owner
from hyops_ci.runners.troubles import TAIL
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.ensure_runner.looking import Agent, Queue, look_at_agent, look_at_machine, look_at_queue
from hyops_ci.stages.ensure_runner.making import Work, change, console_of, named
from hyops_ci.stages.ensure_runner.permission import Answer, permission
from hyops_ci.stages.ensure_runner.tools import Registry, ToolsFor, ToolsRequest
from hyops_ci.stages.handover import RunDir
from hyops_ci.stages.job import check_job_name
from hyops_ci.stages.origin import ORIGIN, Origin
from hyops_ci.stages.planned_run import PlannedRun, planned_run, require_plan
from hyops_ci.stages.runner import StageEnd, run_stage
from hyops_ci.stages.watch.queue import BUSY_LIMIT, ExpectedJob

POLL: Final = 5.0
"""Seconds between two looks."""
SLOW: Final = 30.0
"""The same while the runner works on something else."""
OFFERED: Final = 120
"""Seconds in which GitHub offers a job to a runner that is online, and a machine that was started brings its agent up."""


@dataclass(frozen=True)
class EnsureEnd(StageEnd):
    """Where the stage left the run, and what it did."""

    ensured: Ensured | None = None


def ensure_runner(folder: RunDir, context: RunContext, tools_for: ToolsFor) -> EnsureEnd:
    """Bring the missing runner of the planned run in `folder` to work; `folder` then holds the events and `ensured.json`."""
    made: list[_Ensuring] = []
    end = run_stage("ensure-runner", folder, context, lambda part: _ensure(part, folder, context, tools_for, made))
    ensured = made[0].document(end.refusal) if made else None
    if ensured is not None:
        folder.write_model(DOCUMENT, ensured)
    return EnsureEnd(end.state, end.refusal, ensured)


def _ensure(part: PartRecorder, folder: RunDir, context: RunContext, tools_for: ToolsFor, made: list[_Ensuring]) -> None:
    hidden: list[str] = []
    part.redact = lambda value: Redactor(hidden).json(value)
    context = context.cleaned(lambda text: Redactor(hidden).text(text))
    run = planned_run(require_plan(folder), folder, context)
    tools = tools_for(ToolsRequest(run.plan, run.config, context, hidden.append, part.note))
    owner = Owner(context.job.repository_id, run.plan.lane, run.plan.runner_ref)
    name = machine_name(lane_settings(run.config, run.plan.lane))
    if context.github is None:
        raise _no_github()
    work = Work(run, part, tools, owner, name)
    made.append(_Ensuring(run, work, context.github, expected_check(folder, run)))
    with named(made[0].work):
        made[0].until_taken()


def expected_check(folder: RunDir, run: PlannedRun) -> ExpectedJob:
    """Return the job of this run that waits for the runner."""
    resumes = folder.read_model(ORIGIN, Origin).resumes
    title = check_job_name(run.plan, resumes.run_id if resumes is not None else 0)
    return ExpectedJob(title, run.context.job.attempt, run.plan.runs_on, run.plan.runner_names)


@dataclass
class _Ensuring:
    """One missing runner, from the first look to the check that was taken."""

    run: PlannedRun
    work: Work
    client: Client
    expected: ExpectedJob
    answer: Answer | None = None
    done: list[Action] = field(default_factory=list)
    """Changes that were made, in order; none is made twice."""
    since: float = 0.0
    """When the last change was made, or this wait began."""
    resting_until: float = 0.0
    """Until then a machine that came up has time to bring its agent up."""
    taken_by: str = ""
    registry: Registry | None = None
    problem: DispatchError | None = None
    """Why GitHub's registrations cannot be used."""
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.context.clock.monotonic()

    @property
    def context(self) -> RunContext:
        return self.work.run.context

    def until_taken(self) -> None:
        """Return once the check is taken. Raises Refusal or Fault for every other end."""
        self.answer = answer = permission(self.run)
        self.work.part.note("permission", answer=answer.permission.value, approved_by=list(answer.approved_by))
        while True:
            queue, agent, machine = self.look()
            rule = decide(Situation(queue.view, agent.view, machine.state, answer.permission))
            self.tell(queue, agent, machine)
            if rule.action is not Action.USE and self.now() < self.resting_until:
                self.pause(POLL)  # what was changed gets its time before the table decides again
                continue
            if self.work.chose(rule):
                self.context.say(self.work.decided[-1])
                self.since = self.now()
            if rule.action is Action.USE:
                self.taken_by = queue.taken_by
                self.work.part.note("taken", runner=queue.taken_by)
                return
            if rule.action is Action.REFUSE:
                raise answer.refusal or refused(rule, self.work)
            if rule.action is Action.WAIT and self.now() - self.since < self.patience(queue, machine):
                self.pause(SLOW if queue.view is QueueView.BUSY else POLL)
            elif rule.action is Action.WAIT or rule.action in self.done:
                raise not_taken(rule, self.work, self.now() - self.since)
            else:
                self.done.append(rule.action)
                change(self.work, rule.action, self.require_registry())
                self.rest(OFFERED if rule.action is Action.START else seconds(self.installation.online_timeout))

    def pause(self, seconds: float) -> None:
        """Wait until the next look."""
        with self.work.phase("waiting"):
            self.context.clock.sleep(seconds)

    def patience(self, queue: Queue, machine: Machine) -> float:
        """Return the seconds that the runner may take by itself."""
        if queue.view is QueueView.BUSY:
            return BUSY_LIMIT
        return seconds(self.installation.boot_timeout) if machine.state is MachineState.STARTING else OFFERED

    def rest(self, seconds: float) -> None:
        """Let so many seconds pass in which the runner may come up by itself."""
        self.since, self.resting_until = self.now(), self.now() + seconds

    @property
    def installation(self) -> Installation:
        return installation_of(self.work.run.config, self.work.run.plan.lane)

    def look(self) -> tuple[Queue, Agent, Machine]:
        """Return the three sides. Without permission only the queue is looked at: nobody is asked for the rest."""
        client = self.client
        with self.work.phase("looking"):
            queue = look_at_queue(client, self.context.job.run_number, self.expected, self.work.owner.runner_ref, busy=not self.done)
            if self.answer is None or self.answer.permission is not Permission.ALLOWED or queue.view is QueueView.TAKEN:
                return queue, Agent(AgentView.UNKNOWN, ""), Machine(self.work.name, MachineState.UNKNOWN)
            if self.registry is None and self.problem is None:
                self.open_registry()
            agent = look_at_agent(self.registry, self.problem, self.work.name, self.expected)
            before, now = self.work.machine, look_at_machine(self.work.adapters.provider, self.work.name)
            if before is not None and (before.state, now.state) == (MachineState.STARTING, MachineState.RUNNING):
                self.rest(OFFERED)
            self.work.machine = now
            return queue, agent, now

    def open_registry(self) -> None:
        """Open GitHub's registrations; where that fails, agents are not known, and no change is begun that would need them."""
        try:
            self.registry = self.work.tools.registry()
        except DispatchError as error:
            self.problem = error

    def require_registry(self) -> Registry:
        """Return GitHub's registrations. Raises why they cannot be used: no machine is made that could not be registered."""
        if self.registry is None:
            raise self.problem or ValueError("registrations were not opened")
        return self.registry

    def tell(self, queue: Queue, agent: Agent, machine: Machine) -> None:
        """Write down what is seen, where it is another than before."""
        words = "; ".join(dict.fromkeys(filter(None, (queue.words, agent.words, machine.words))))
        found = Found(queue=queue.view.value, agent=agent.view.value, machine=machine.state.value, words=shown(words))
        if self.work.saw(found):
            self.context.say(found.words)

    def now(self) -> float:
        return self.context.clock.monotonic()

    def document(self, refusal: RefusalRecord | None) -> Ensured:
        """Return what was done, for people and the report."""
        about = self.run.plan.bootstrap
        said = self.work.ensured(
            about.reason if about is not None else "runner-recovery",
            self.answer.approved_by if self.answer is not None else (),
        )
        return said.model_copy(update={"taken_by": self.taken_by, "seconds": round(self.now() - self.began), "refusal": refusal})


def _no_github() -> Refusal:
    return Refusal(
        "runner.queue",
        "the queue of this run cannot be looked at",
        exit_code=Exit.RUNNER,
        found="no token of the job",
        expected="DR_TOKEN with actions: read",
        fix="use the action as dispatch.yml does",
        docs="runners.md",
    )


def refused(rule: Rule, work: Work) -> Refusal:
    """Return the refusal of a row that refuses."""
    found = work.looks[-1]
    return Refusal(
        "runner.not-made",
        rule.because,
        exit_code=Exit.RUNNER,
        found=f"queue {found.queue}, agent {found.agent}, machine {found.machine}: {found.words}",
        expected=f"a runner that took the check, or a machine {work.name} that can be worked on",
        fix=f"look at {work.name} with the provider's own tool and at Settings, Actions, Runners; then a new run",
        docs="runners.md",
    )


def not_taken(rule: Rule, work: Work, waited: float) -> Refusal:
    """Return the refusal of a runner that was made, started or waited for, and did not take the check."""
    found = work.looks[-1]
    console = console_of(work, work.machine)[-TAIL:] if work.machine is not None and work.machine.id else ""
    return Refusal(
        "runner.not-taken",
        f"the check was not taken within {waited:.0f} s",
        exit_code=Exit.RUNNER,
        found=f"{rule.because}; agent {found.agent}, machine {found.machine}: {found.words}; its console ends: {console or '(nothing)'}",
        expected="the check at work on the runner",
        fix="look at the agent's service on the machine, its labels and its runner group; then a new run",
        docs="runners.md",
    )
