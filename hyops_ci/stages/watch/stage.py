"""Watch: whether a runner takes the job, and whether it is the plan's (docs/design/workflows.md 2).

look at the jobs of this attempt, again and again -> a verdict -> said -> the run ended, where nobody will come or a stranger came

It needs no right to list runners. A watch is not on the way of a recovery: what it cannot see it says, and stops nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from hyops_ci.contracts.base import Clean, Count, Model
from hyops_ci.contracts.control import JobFact
from hyops_ci.contracts.run import RefusalRecord
from hyops_ci.errors import DispatchError, Refusal, shown
from hyops_ci.github.api.answers import Forbidden
from hyops_ci.github.api.client import Client
from hyops_ci.github.jobs import at_work, cancel, jobs
from hyops_ci.github.reviews import reviews
from hyops_ci.github.runners import find
from hyops_ci.stages.context import World
from hyops_ci.stages.watch.queue import Look, Phase, Presence, Sighting, Step, Verdict, Wait, Wanted, begin, see
from hyops_ci.stages.watch.refusals import cause, explain
from hyops_ci.stages.watch.runner_status import schedules, sight

POLL: Final = 10.0
"""Seconds between two looks while the job is in the queue."""
SLOW: Final = 30.0
"""Between looks while it waits for something that takes its time."""
JITTER: Final = 2.0
ASK_AGAIN: Final = 50.0
"""Seconds for which it is taken as known what the runner does; short of half the limit, so that the last word is a fresh one."""
BUSY_ASK_AGAIN: Final = 120.0
MOST_CALLS: Final = 240
"""Of one watch. A job's token has 1,000 an hour for the whole repository (docs/design/github.md 8)."""


@dataclass(frozen=True)
class Order:
    """What is watched, and what may be done about it."""

    which: Literal["check", "execute"]
    wanted: Wanted
    runner_ref: str
    lane: str = ""
    bootstrap_reason: str = ""
    """Why a runner may be made now, as the plan allowed it. Only check is worth a new runner: execute's has just answered."""
    gate: str = ""
    """Environment whose reviewer is named; empty for whoever reviewed the run."""
    org: str = ""


class Watched(Model):
    """How a watch ended: what `conclude` is told."""

    watched: Literal["check", "execute"]
    verdict: Verdict
    job: Clean
    attempt: Count
    runner_id: Count = 0
    runner_name: Clean = ""
    runner_group: Clean = ""
    approved_by: tuple[Clean, ...] = ()
    waited_seconds: Count = 0
    """In the queue, as far as it was seen."""
    cause: Clean = ""
    calls: Count = 0
    refusal: RefusalRecord | None = None


def watch(
    order: Order, client: Client, world: World, *, runners: Client | None = None, tell: Callable[[Watched], None] = lambda _: None
) -> Watched:
    """Watch one job until there is a verdict, and end the run where that is the answer.

    `runners`: GitHub with a token that may list them. `tell` hears the result before the run is ended: the end reaches this job too.
    """
    watcher = _Watcher(order, client, world, runners)
    step, last = watcher.wait()
    refusal = watcher.refusal(step, last)
    watched = watcher.watched(step, last, refusal)
    try:
        tell(watched)
    finally:
        if refusal is not None:
            watcher.end_run()
    return watched


@dataclass
class _Watcher:
    """One watch at work."""

    order: Order
    client: Client
    world: World
    runners: Client | None
    approved_by: tuple[str, ...] = ()
    sighting: Sighting = field(default_factory=Sighting)
    asked: float | None = None
    """When it was last asked what the runner does."""

    @property
    def run_id(self) -> int:
        return self.world.job.run_number

    @property
    def calls(self) -> int:
        return self.client.calls + (self.runners.calls if self.runners else 0)

    def wait(self) -> tuple[Step, Look]:
        """Look until there is a verdict."""
        clock = self.world.clock
        before, at_start, first = begin(clock.monotonic()), self.calls, True
        if self.order.which == "execute":
            self.approved_by = self._approvers()
        while True:
            if before.queued >= self.order.wanted.limit / 2:
                self._ask_for_the_runner(before.phase)
            look, stop = self._look()
            step = Step(before, stop, Verdict.UNKNOWN, cause=stop) if stop else see(self.order.wanted, before, look)
            if step.verdict is None and self.calls - at_start >= MOST_CALLS:
                step = _used_up(step)
            if step.line:
                self.world.say(self._line(step.line, first=first))
                first = False
            if step.verdict is not None:
                return step, look
            before = step.wait
            clock.sleep(_pause(before) + random.uniform(0, JITTER))  # noqa: S311 - jitter, so that many watches do not knock together

    def refusal(self, step: Step, last: Look) -> Refusal | None:
        """What stops the run, or None. A runner that may be made is no end."""
        if step.verdict is Verdict.MISSING and self._may_make_one():
            self.world.say(f"no runner: {self.order.bootstrap_reason} allows to make one")
            return None
        return explain(step, self.order.wanted, last.jobs or (), last.runner, self.order.runner_ref, self.order.lane)

    def watched(self, step: Step, last: Look, refusal: Refusal | None) -> Watched:
        """The result."""
        job, missing = step.job, step.verdict is Verdict.MISSING
        why = cause(last.jobs or (), self.order.wanted.labels, last.runner) if missing else step.cause
        return Watched(
            watched=self.order.which,
            verdict=step.verdict or Verdict.UNKNOWN,
            job=shown(job.name if job else self.order.wanted.job),
            attempt=self.order.wanted.attempt,
            runner_id=job.runner_id if job else 0,
            runner_name=shown(job.runner_name) if job else "",
            runner_group=shown(job.runner_group) if job else "",
            approved_by=tuple(shown(login) for login in self.approved_by),
            waited_seconds=round(step.wait.queued + step.wait.busy),
            cause=shown(why),
            calls=self.calls,
            refusal=RefusalRecord.of(refusal) if refusal else None,
        )

    def end_run(self) -> None:
        """Cancel the run. Where that is not allowed, a person is told to, at once."""
        try:
            ended = cancel(self.client, self.run_id)
        except DispatchError as error:
            self.world.say(f"CANCEL THIS RUN BY HAND: gh run cancel {self.run_id}   ({error.title()}; {error.expected})")
            return
        self.world.say("run cancelled" if ended else "the run had ended already")

    def _may_make_one(self) -> bool:
        return bool(self.order.bootstrap_reason) and self.order.which == "check"

    def _look(self) -> tuple[Look, str]:
        """One look, and why there is no use in another: a token that may not look will not be allowed to later."""
        listed: tuple[JobFact, ...] | None = None
        stop = ""
        try:
            listed = jobs(self.client, self.run_id, self.order.wanted.attempt)
        except Forbidden as refusal:
            stop = f"not watched: {refusal.reason}; {refusal.expected}"
        except DispatchError as error:
            self.world.say(f"GitHub: {error.title()}")
        return Look(self.world.clock.monotonic(), listed, self.sighting), stop

    def _ask_for_the_runner(self, phase: Phase | None) -> None:
        """What the runner does, as far as a token can tell, unless that was asked a moment ago."""
        now = self.world.clock.monotonic()
        if self.asked is not None and now - self.asked < (BUSY_ASK_AGAIN if phase is Phase.BUSY else ASK_AGAIN):
            return
        shown_by = self._tried(self._shown)
        doing = self._tried(self._seen_at_work) if shown_by.presence in (Presence.BUSY, Presence.UNKNOWN) else Sighting()
        self.sighting = doing if doing.presence is Presence.BUSY else shown_by
        self.asked = self.world.clock.monotonic()

    def _tried(self, ask: Callable[[], Sighting]) -> Sighting:
        """Trouble with a question about the runner is no trouble of the watch: then it is not known."""
        try:
            return ask()
        except DispatchError as error:
            self.world.say(f"not known whether the runner is busy: {error.title()}")
            return Sighting()

    def _shown(self) -> Sighting:
        """What GitHub shows to a token that may list runners."""
        if self.runners is None:
            return Sighting()
        found = find(self.runners, names=self.order.wanted.names, labels=self.order.wanted.labels, org=self.order.org)
        ends, _ = schedules(self.runners, found)
        return sight(found, self.order.wanted.labels, ends, self.world.clock.now())

    def _seen_at_work(self) -> Sighting:
        """A job of another run of this repository that the runner is doing."""
        wanted = self.order.wanted
        for job, run_id in at_work(self.client, wanted.labels, wanted.names, self.run_id):
            return Sighting(Presence.BUSY, f"{shown(job.runner_name, 100)} is busy with run {run_id} ({shown(job.name, 100)})")
        return Sighting()

    def _approvers(self) -> tuple[str, ...]:
        try:
            said = reviews(self.client, self.run_id)
        except DispatchError as error:
            self.world.say(f"not known who approved: {error.title()}")
            return ()
        gate = self.order.gate.casefold()
        yes = [one for one in said if one.state == "approved" and (not gate or gate in map(str.casefold, one.environments))]
        return tuple(dict.fromkeys(one.person.login for one in yes))

    def _line(self, line: str, *, first: bool) -> str:
        said = shown(line)
        return (
            f"approved by {' and '.join(map(shown, self.approved_by))}. {said[:1].upper()}{said[1:]}"
            if first and self.approved_by
            else said
        )


def _pause(wait: Wait) -> float:
    """Seconds until the next look: soon while a runner may come, slower while something takes its time."""
    return POLL if wait.phase in (Phase.QUEUED, Phase.UNLISTED, Phase.NAMELESS) else SLOW


def _used_up(step: Step) -> Step:
    said = f"{MOST_CALLS} calls of GitHub are used up"
    return Step(step.wait, f"not watched any more ({said})", Verdict.UNKNOWN, step.job, said)
