"""One change to the runner: its machine started or made, the way out ensured apart from it, the host proven, then set up.

Everything that is changed is written down before it is. A process that is killed in between leaves what the next one takes up: the
machine has this owner's marks and is never made twice, and the host's setup keeps what is there.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Final

from hyops_ci.config.machines import installation_of
from hyops_ci.contracts.base import seconds
from hyops_ci.contracts.ensured import Ensured, Found, Phase
from hyops_ci.contracts.runner_machine import BootstrapReason
from hyops_ci.dataclass import dataclass, field, replace
from hyops_ci.errors import DispatchError, Exit, Refusal, shown
from hyops_ci.evidence.recorder import PartRecorder
from hyops_ci.runners.bootstrap.order import Registration, RunnerIdentity, SetupOrder, SetupResult
from hyops_ci.runners.decide import Action, Rule
from hyops_ci.runners.ports import Adapters, Machine, MachineOrder, Owner
from hyops_ci.runners.ssh import Candidate, Facts, ProvenHost, new_login
from hyops_ci.stages.ensure_runner.tools import Registry, Tools, WorkContext
from hyops_ci.stages.watch.queue import SELF_HOSTED
from hyops_ci.text import shell

LOGIN: Final = "dr-bootstrap"
"""Who the bootstrap logs in as, where the provider lets it choose."""
KEPT: Final = 4000
"""Characters of a console in the evidence."""


@dataclass
class Work:
    """The runner that is worked on, and what was done so far."""

    run: WorkContext
    part: PartRecorder
    tools: Tools
    owner: Owner
    name: str
    """Of the machine, and of its agent."""
    machine: Machine | None = None
    """As it was last seen."""
    result: SetupResult | None = None
    host_key: str = ""
    changed: bool = False
    phases: dict[str, float] = field(default_factory=dict)
    looks: list[Found] = field(default_factory=list)
    """Each different look, in order."""
    decided: list[str] = field(default_factory=list)

    @cached_property
    def adapters(self) -> Adapters:
        """What reaches the provider, connected at its first use."""
        return self.tools.adapters(self.owner)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the seconds of a stretch, whatever comes of it."""
        clock = self.run.context.clock
        began = clock.monotonic()
        try:
            yield
        finally:
            self.phases[name] = self.phases.get(name, 0.0) + clock.monotonic() - began

    def saw(self, found: Found) -> bool:
        """Write down what is seen; return whether it is another than before."""
        if self.looks and found == self.looks[-1]:
            return False
        self.looks.append(found)
        self.part.note("found", **found.document())
        return True

    def chose(self, rule: Rule) -> bool:
        """Write down which row of the table decides; return whether it is another than before."""
        said = f"{rule.action}: {rule.because}"
        if said in self.decided[-1:]:
            return False
        self.decided.append(said)
        self.part.note("decided", action=rule.action.value, because=rule.because)
        return True

    def ensured(self, reason: BootstrapReason, approved_by: tuple[str, ...]) -> Ensured:
        """Return what was found and done, for people and the report."""
        result = self.result
        return Ensured(
            reason=reason,
            approved_by=approved_by,
            found=tuple(self.looks),
            decided=tuple(self.decided),
            changed=self.changed,
            machine=self.machine.resource if self.machine is not None and self.machine.id else "",
            host_key=self.host_key,
            script_sha256=result.script_sha256 if result else "",
            agent_version=result.agent_version if result else "",
            public_key=result.public_key if result else "",
            left_to_people=left_to_people(result, self) if result else (),
            phases=tuple(Phase(name=name, seconds=round(took)) for name, took in self.phases.items()),
            seconds=round(sum(self.phases.values())),
        )

    def order(self, key: str) -> MachineOrder:
        """Return what is made: the same order, also where this run is started again."""
        job = self.run.context.job
        number = job.run_number if job.on_github else job.run_id
        request = uuid.uuid5(uuid.NAMESPACE_URL, f"dr-dispatch:{self.owner.repository_id}/{number}/{self.name}")
        return MachineOrder(self.name, str(request), self.owner, LOGIN, key)


def left_to_people(result: SetupResult, work: Work) -> tuple[str, ...]:
    """Return what only people bring: to the host, and its key into the config, where that does not name it yet."""
    unknown = result.public_key and result.public_key not in work.run.config.host_keys.values()
    line = f'host_keys: {{{work.name}: "{result.public_key}"}} in .github/dr-dispatch.yml, by a pull request'
    return (*result.left_to_people, *([line] if unknown else []))


def change(work: Work, action: Action, registry: Registry) -> None:
    """Carry out one row of the table. Raises Refusal or Fault that names the machine and what becomes of it."""
    setup = None if action is Action.START else setup_order(work, action, registry)  # what could refuse it does before anything is made
    work.changed = True
    ensure_way_out(work)
    if setup is None:
        start(work)
        return
    login = new_login(LOGIN)
    if action is Action.CREATE:
        create(work, login.public)
    machine, provider = there(work), work.adapters.provider
    user = provider.admit(machine, LOGIN, login.public)
    try:
        candidate = Candidate(machine, work.adapters.access, lambda: provider.host_keys(machine), lambda: provider.console(machine))
        limit = seconds(installation_of(work.run.config, work.run.plan.lane).boot_timeout)
        with work.phase("proof"):
            host = work.tools.prove(candidate, replace(login, user=user), limit)
        with host, work.phase("setup"):
            set_up(work, host, setup)
    finally:
        with suppress(DispatchError):  # the key of this run alone, gone with this process: that it stays listed lets nobody in
            provider.revoke(machine)


def ensure_way_out(work: Work) -> None:
    """Make the way out of the machine's network where it is missing and the config tells to. Raises Refusal `runner.egress`."""
    with work.phase("way out"):
        found = work.adapters.egress.look()
        if found.ready:
            work.part.note("egress", ready=True, words=shown(found.words))
            return
        work.part.intent("egress.make", found=shown(found.words))
        made = work.adapters.egress.make()
        work.part.result("egress.make", ready=made.ready, words=shown(made.words))
        if not made.ready:
            raise _no_way_out(made.words)


def start(work: Work) -> None:
    """Start the stopped machine."""
    with work.phase("machine"):
        work.part.intent("machine.start", machine=there(work).resource)
        work.machine = work.adapters.provider.start(there(work))
        work.part.result("machine.start", machine=work.machine.resource, state=work.machine.state.value)


def create(work: Work, key: str) -> None:
    """Make the machine, or take up what an earlier try left."""
    order = work.order(key)
    with work.phase("machine"):
        work.part.intent("machine.create", called=order.name, request_id=order.request_id, marks=order.owner.labels())
        work.machine = work.adapters.provider.create(order)
        work.part.result("machine.create", machine=work.machine.resource, state=work.machine.state.value)


def setup_order(work: Work, action: Action, registry: Registry) -> SetupOrder:
    """Return what is to be on the host. Its agent is registered as late as can be."""
    run, part = work.run, work.part
    own = tuple(label for label in run.plan.runs_on if label.casefold() != SELF_HOSTED)

    def register() -> Registration:
        part.note("registration", called=work.name, at=registry.url, labels=list(own), group=registry.group)
        return registry.register()

    return SetupOrder(
        trust=work.tools.trust(),
        identity=RunnerIdentity(registry.url, work.name, own, registry.group),
        register=register,
        installation=installation_of(run.config, run.plan.lane),
        agent=registry.agent(),
        again=action is Action.REGISTER_AGAIN,
        restart=action is Action.RESTART_AGENT,
    )


def proof_of(facts: Facts) -> dict[str, object]:
    """Return what the evidence keeps of a proof."""
    return {
        "host_key": facts.host_key,
        "cloud_init": facts.cloud_init,
        "clock_offset": facts.clock_offset,
        "attempts": facts.attempts,
        "seconds": round(facts.seconds),
    }


def set_up(work: Work, host: ProvenHost, order: SetupOrder) -> None:
    """Set up the proven host."""
    part = work.part
    work.host_key = host.facts.host_key
    part.note("proven", machine=host.machine.resource, **proof_of(host.facts))
    part.intent("host.set-up", machine=host.machine.resource, registered_again=order.again, restarted=order.restart)
    work.result = result = work.tools.set_up(host, order)
    part.result(
        "host.set-up",
        steps=[f"{each.how} {each.what}" for each in result.steps],
        script_sha256=result.script_sha256,
        agent_version=result.agent_version,
        registered=result.registered,
        public_key=result.public_key,
        left_to_people=list(result.left_to_people),
    )


def there(work: Work) -> Machine:
    """Return the machine as it was last seen. Raises ValueError where none was: the table decides on what was seen."""
    if work.machine is None:
        raise ValueError("no machine was looked at")
    return work.machine


@contextmanager
def named(work: Work) -> Iterator[None]:
    """Add to whatever ends this the machine, its state, and what becomes of it. What ends it, ends the run without a runner: exit 7."""
    try:
        yield
    except DispatchError as error:
        raise with_machine(error, work) from None


def with_machine(error: DispatchError, work: Work) -> DispatchError:
    """Return the error with the name and state of the machine, and what the next run makes of it."""
    error.exit_code = Exit.RUNNER
    if not work.changed:
        return error
    machine = work.machine
    with suppress(DispatchError):
        machine = work.adapters.provider.describe(work.name)
    if machine is None or not machine.id:
        return error
    with suppress(DispatchError):
        work.part.note("machine.left", machine=machine.resource, state=machine.state.value, console=console_of(work, machine)[-KEPT:])
    if machine.resource not in error.found:
        error.found = shown(f"{machine.resource} is {machine.state}; {error.found}")
    lane = work.run.plan.lane
    remove = shell("hyops-ci runner reap --lane {}", lane)
    error.fix = shown(f"{error.fix}. The machine stays: a new run takes it up, or remove it: {remove}", 1000)
    return error


def console_of(work: Work, machine: Machine) -> str:
    """Return the tail of the machine's console on one line; empty where there is none."""
    with suppress(DispatchError):
        return shown(" ".join(work.adapters.provider.console(machine).split()[-2000:]), 64 * 1024)
    return ""


def _no_way_out(words: str) -> Refusal:
    return Refusal(
        "runner.egress",
        "the machine would not reach GitHub",
        exit_code=Exit.RUNNER,
        found=words,
        expected="a way out of its network",
        fix="look at it with the provider's own tool, then a new run",
        docs="runners.md",
    )
