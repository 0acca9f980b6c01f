"""A planned run whose runner is missing: GitHub's fake, a provider in memory, and a host whose setup takes a minute."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hyops_ci.contracts.github_facts import RunnerFact
from hyops_ci.contracts.plan import Plan
from hyops_ci.contracts.run import State
from hyops_ci.errors import Exit, Fault
from hyops_ci.runners.bootstrap.order import AgentArchive, How, Registration, SetupOrder, SetupResult, Step
from hyops_ci.runners.ports import Machine, MachineState, Owner
from hyops_ci.runners.ssh import Candidate, Facts, Login
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.ensure_runner.stage import EnsureEnd, ensure_runner
from hyops_ci.stages.ensure_runner.tools import Tools, ToolsRequest
from hyops_ci.stages.job import check_job_name
from tests.runners.memory_provider import MemoryWorld
from tests.security.incident import BOOTSTRAP_GATE, CHECK_GATE, Incident, may_make_its_runner, start_incident
from tests.support.clock import Clock
from tests.support.github.environments import Environment
from tests.support.github.jobs import Job as FakeJob

NAME = "gcp-ops-runner"
TOKEN = "AABRTOKENc4n4ryOfTheRegistration01"
KEY = "-----BEGIN c4n4ry OF THE APP-----"
REASON = "runner-recovery"


@dataclass
class Ticking(Clock):
    """The test's clock, from the present on: events stand behind those of the plan."""

    start: datetime = field(kw_only=True)

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.seconds)


@dataclass
class Host:
    """What the proof returns: as far as the stage looks at it."""

    facts: Facts
    closed: bool = False

    @property
    def machine(self) -> Machine:
        return self.facts.machine

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.closed = True


@dataclass
class Registrations:
    """The lane's registrations, at the fake; a token is minted when asked."""

    scene: Scene
    url: str = "https://github.com/acme/recovery"
    group: str = ""

    def runners(self) -> Sequence[RunnerFact]:
        return [
            RunnerFact(
                id=each.id,
                name=each.name,
                online=each.status == "online",
                busy=each.busy,
                labels=(*each.read_only, *each.labels),
                scope="repository",
            )
            for each in self.scene.incident.repository.runners
        ]

    def register(self) -> Registration:
        self.scene.learn(TOKEN)
        self.scene.minted.append(self.scene.clock.seconds)
        return Registration(token=TOKEN)

    def agent(self) -> AgentArchive | None:
        return None


@dataclass
class Scene:
    """One run, from its plan on. Fields say what goes wrong."""

    incident: Incident
    clock: Ticking
    world: MemoryWorld
    gate: Environment
    check: FakeJob
    learn: Callable[[str], None] = lambda _: None
    minted: list[float] = field(default_factory=list)
    orders: list[SetupOrder] = field(default_factory=list)
    hosts: list[Host] = field(default_factory=list)
    registry_problem: Fault | None = None
    setup_problem: Fault | None = None
    comes_online: bool = True
    number: int = 0

    def ensure(self) -> EnsureEnd:
        """The job `ensure-runner`, in a folder of its own as each attempt has it."""
        self.number += 1
        folder = self.incident.fresh()
        for path in sorted(self.incident.folder.root.rglob("*")):
            if path.is_file():
                folder.write(path.relative_to(self.incident.folder.root).as_posix(), path.read_bytes())
        self.folder = folder
        return ensure_runner(folder, self.context(), self.tools)

    def begin_again(self) -> None:
        """Nothing has happened to this run yet."""
        self.incident.run.history.clear()
        self.incident.repository.runners.clear()
        self.clock.planned.clear()
        self.world = MemoryWorld(self.clock)
        self.check.status, self.check.runner, self.check.conclusion = "queued", None, None
        self.orders.clear()
        self.minted.clear()

    def context(self) -> RunContext:
        return replace(self.incident.world("plan"), clock=self.clock)

    def tools(self, request: ToolsRequest) -> Tools:
        self.learn = request.learn
        request.learn(KEY)
        return Tools(lambda owner: self.world.connect(owner), self.registry, self.prove, self.set_up, lambda: b"{}")

    def registry(self) -> Registrations:
        if self.registry_problem is not None:
            raise self.registry_problem
        return Registrations(self)

    def prove(self, candidate: Candidate, login: Login, limit: float) -> Any:
        assert self.world.logins(candidate.machine.name) == {" ".join(login.public.split()[:2])}, "the key of this run, and no other"
        self.clock.sleep(20)
        host = Host(Facts(candidate.machine, login.user, "SHA256:abc", "done", 0.1, 2, 20.0))
        self.hosts.append(host)
        return host

    def set_up(self, host: Any, order: SetupOrder) -> SetupResult:
        """Install, register as late as can be, start the agent: GitHub shows it, and it takes what waits."""
        self.orders.append(order)
        self.clock.sleep(60)
        if self.setup_problem is not None:
            raise self.setup_problem
        known = [each for each in self.incident.repository.runners if each.name == order.identity.name]
        registers = order.again or not known
        if registers:
            assert order.register is not None
            assert order.register().token == TOKEN
            for each in known:
                self.incident.repository.runners.remove(each)
            self.incident.repository.add_runner(order.identity.name, list(order.identity.labels), status="offline")
        if self.comes_online:
            self.comes_up(after=15)
        steps = (Step(How.MADE, "/opt/actions-runner"),)
        return SetupResult(
            steps,
            script_sha256="5" * 64,
            agent_version="2.336.0",
            registered=registers,
            public_key="ed25519:abc",
            left_to_people=("the password file of HyOps",),
        )

    def comes_up(self, after: float) -> None:
        """The agent answers GitHub, and takes the check that waits."""
        self.clock.at(self.clock.seconds + after, self._online)
        self.clock.at(self.clock.seconds + after + 12, self._take)

    def registered(self, status: str) -> None:
        self.incident.repository.add_runner(NAME, [NAME], status=status)

    def _online(self) -> None:
        for each in self.incident.repository.runners:
            each.status = "online"

    def _take(self) -> None:
        if self.check.status == "queued":
            self.check.take(self.incident.repository.runners[0])

    def approve(self, login: str = "jonas", state: str = "approved") -> None:
        self.incident.review(login, state, self.gate)

    def boot_when_started(self) -> None:
        """The machine brings its agent up once it runs."""
        start = self.world.start

        def started(name: str) -> None:
            start(name)
            self.comes_up(after=30)

        self.world.start = started  # type: ignore[method-assign]  # of this world alone

    @property
    def owner(self) -> Owner:
        return Owner(self.incident.repository.id, "gcp", NAME)

    def put(self, state: MachineState, owner: Owner | None = None) -> None:
        self.world.put(NAME, owner or self.owner, state)

    def left(self) -> str:
        """Everything that the job leaves behind, and everything that it said."""
        files = [path.read_text(errors="replace") for path in self.folder.root.rglob("*") if path.is_file()]
        return "\n".join([*files, *self.incident.said])


@contextmanager
def missing_runner(folder: Path, *, reason: str = REASON) -> Iterator[Scene]:
    """A run that was planned with a reason, and whose check nobody takes; nobody has approved yet."""
    with start_incident(folder / "incident") as incident:
        incident.configure(may_make_its_runner)
        gate = incident.repository.add_environment(BOOTSTRAP_GATE, reviewers=[incident.fake.account("jonas")], prevent_self_review=True)
        ended = incident.plan(bootstrap_reason=reason)
        assert ended.state is State.PLANNED, ended
        plan = incident.folder.read_model("plan.json", Plan)
        check = incident.run.add_job(f"dr / {check_job_name(plan)}", list(plan.runs_on), environment=CHECK_GATE)
        clock = Ticking(start=incident.site.clock.now())
        yield Scene(incident, clock, MemoryWorld(clock), gate, check)


def no_answer() -> Fault:
    return Fault(
        "secrets.unavailable", "the authority did not answer", exit_code=Exit.UNAVAILABLE, found="503", expected="an answer", fix="wait"
    )
