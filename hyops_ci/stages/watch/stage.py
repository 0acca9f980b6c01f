"""Watch: whether a runner takes the job, and whether it is the plan's (docs/design/workflows.md 2).

poll the jobs of this attempt -> verdict -> report it -> end the run, where no runner or the wrong one took the job

It needs no right to list runners. A watch is not on the way of a recovery: what it cannot see it says, and stops nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, Literal

from hyops_ci.contracts.base import Clean, Count, Model
from hyops_ci.contracts.github_facts import JobFact, ReviewFact, same_environment
from hyops_ci.contracts.run import RefusalRecord
from hyops_ci.dataclass import dataclass, field
from hyops_ci.errors import DispatchError, Refusal, shown
from hyops_ci.github.api.client import Client
from hyops_ci.github.api.responses import Forbidden
from hyops_ci.github.jobs import cancel, jobs, jobs_in_progress
from hyops_ci.github.reviews import reviews
from hyops_ci.github.runners import find_runners
from hyops_ci.stages.context import RunContext
from hyops_ci.stages.job import is_drill_job
from hyops_ci.stages.watch.preempting import end_drill
from hyops_ci.stages.watch.queue import (
    ExpectedJob,
    Phase,
    Poll,
    Presence,
    Progress,
    RunnerView,
    Verdict,
    WatchState,
    advance,
    begin,
    candidates,
)
from hyops_ci.stages.watch.refusals import likely_cause, not_begun, not_made, refusal_for
from hyops_ci.stages.watch.runner_status import best_of, schedules
from hyops_ci.text import shell

POLL: Final = 10.0
"""Seconds between two polls while the job is in the queue."""
SLOW: Final = 30.0
"""Seconds between two polls while it waits for something that takes its time."""
JITTER: Final = 2.0
ASK_AGAIN: Final = 50.0
"""Seconds for which the answer about the runner is taken as known; below half the limit, so that the last answer is fresh."""
BUSY_ASK_AGAIN: Final = 120.0
MAKING: Final = 3900.0
"""Seconds that the job which makes a runner may take: five minutes more than `dispatch.yml` gives it."""
MOST_CALLS: Final = 240
"""Of one watch. A job's token has 1,000 an hour for the whole repository (docs/design/github.md 8)."""


@dataclass(frozen=True)
class WatchRequest:
    """Which job is watched, and what may be done about it."""

    which: Literal["check", "execute", "bootstrap"]
    """`bootstrap`: the job that makes the runner. It is watched to its end: while nothing comes of it, the check waits for a day."""
    expected: ExpectedJob
    runner_ref: str
    lane: str = ""
    bootstrap_reason: str = ""
    """Why a runner may be made now, as the plan allowed it. Only check is worth a new runner: execute's has just answered."""
    preempts: bool = False
    """Whether a drill that its runner is busy with is ended: this run is a real one."""
    gate: str = ""
    """Environment whose reviewer is named; empty for the reviewers of any environment."""
    org: str = ""


class Watched(Model):
    """How a watch ended, as `conclude` gets it."""

    watched: Literal["check", "execute", "bootstrap"]
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
    request: WatchRequest,
    client: Client,
    context: RunContext,
    *,
    runners: Client | None = None,
    report: Callable[[Watched], None] = lambda _: None,
) -> Watched:
    """Watch one job until there is a verdict, and end the run where that is the answer.

    `runners`: GitHub with a token that may list them. `report` gets the result before the run is ended: the end reaches this job too.
    """
    watcher = _Watcher(request, client, context, runners)
    progress, last = watcher.poll_until_verdict()
    refusal = watcher.to_its_end(progress) if request.which == "bootstrap" else watcher.refusal(progress, last)
    watched = watcher.result(progress, last, refusal)
    try:
        report(watched)
    finally:
        if refusal is not None:
            watcher.end_run()
    return watched


@dataclass
class _Watcher:
    """One watch at work."""

    request: WatchRequest
    client: Client
    context: RunContext
    runners: Client | None
    approved_by: tuple[str, ...] = ()
    runner: RunnerView = field(default_factory=RunnerView)
    drills: dict[int, str] = field(default_factory=dict)
    """What became of the runs of drills that were at work."""
    runner_asked: float | None = None
    """When GitHub was last asked about the runner."""

    @property
    def run_id(self) -> int:
        return self.context.job.run_number

    @property
    def calls(self) -> int:
        return self.client.calls + (self.runners.calls if self.runners else 0)

    def poll_until_verdict(self) -> tuple[Progress, Poll]:
        """Return the verdict and the poll that led to it."""
        clock = self.context.clock
        before, at_start, first = begin(clock.monotonic()), self.calls, True
        if self.request.which == "execute":
            self.approved_by = self._approvers()
        while True:
            if before.queued + before.busy >= (POLL if self.request.preempts else self.request.expected.limit / 2):
                self._ask_about_runner(before.phase)
            poll, stop = self._poll()
            progress = Progress(before, stop, Verdict.UNKNOWN, cause=stop) if stop else advance(self.request.expected, before, poll)
            if progress.verdict is None and self.calls - at_start >= MOST_CALLS:
                progress = _used_up(progress)
            if progress.line:
                self.context.say(self._line(progress.line, first=first))
                first = False
            if progress.verdict is not None:
                return progress, poll
            before = progress.state
            clock.sleep(_pause(before) + random.uniform(0, JITTER))  # noqa: S311 - jitter, so that many watches do not knock together

    def refusal(self, progress: Progress, last: Poll) -> Refusal | None:
        """Return the refusal that stops the run, None for a verdict that stops nothing."""
        if progress.verdict is Verdict.MISSING and self._may_make_one():
            self.context.say(f"no runner: {self.request.bootstrap_reason} allows to make one")
            return None
        return refusal_for(progress, self.request.expected, last, self.request.runner_ref, self.request.lane)

    def to_its_end(self, progress: Progress) -> Refusal | None:
        """Watch the job that makes the runner until it is over. Return why there is none; None for one, and where nothing is known."""
        about, clock = self.request, self.context.clock
        if progress.verdict in (Verdict.MISSING, Verdict.BUSY, Verdict.STRANGER):
            return not_begun(progress, about.expected)
        job, until = progress.job, clock.monotonic() + MAKING
        while progress.verdict is Verdict.TAKEN and clock.monotonic() < until and (job is None or job.status != "completed"):
            clock.sleep(SLOW)
            poll, stop = self._poll()
            found = () if poll.jobs is None else candidates(poll.jobs, about.expected)
            job = found[0] if len(found) == 1 else job
            if stop:
                return None
        over = job is not None and job.status == "completed" and job.conclusion != "success"
        unanswered = job is not None and job.status == "waiting" and progress.verdict is Verdict.UNKNOWN
        return not_made(job, self._reviews(), about.gate, about.expected) if job is not None and (over or unanswered) else None

    def result(self, progress: Progress, last: Poll, refusal: Refusal | None) -> Watched:
        """Return the result of the watch."""
        job, missing = progress.job, progress.verdict is Verdict.MISSING
        why = likely_cause(last, self.request.expected.labels) if missing else progress.cause
        return Watched(
            watched=self.request.which,
            verdict=progress.verdict or Verdict.UNKNOWN,
            job=shown(job.name if job else self.request.expected.job),
            attempt=self.request.expected.attempt,
            runner_id=job.runner_id if job else 0,
            runner_name=shown(job.runner_name) if job else "",
            runner_group=shown(job.runner_group) if job else "",
            approved_by=tuple(shown(login) for login in self.approved_by),
            waited_seconds=round(progress.state.queued + progress.state.busy),
            cause=shown(why),
            calls=self.calls,
            refusal=RefusalRecord.of(refusal) if refusal else None,
        )

    def end_run(self) -> None:
        """Cancel the run. Where that is not allowed, ask a person to, at once."""
        try:
            ended = cancel(self.client, self.run_id)
        except DispatchError as error:
            by_hand = shell("gh run cancel {} --repo {}", self.run_id, self.client.repository)
            self.context.say(f"CANCEL THIS RUN BY HAND: {by_hand}   ({error.title()}; {error.expected})")
            return
        self.context.say("run cancelled" if ended else "the run had ended already")

    def _may_make_one(self) -> bool:
        return bool(self.request.bootstrap_reason) and self.request.which == "check"

    def _poll(self) -> tuple[Poll, str]:
        """Return one poll, and why another is useless: a token that may not list jobs will not be allowed to later."""
        listed: tuple[JobFact, ...] | None = None
        stop = ""
        try:
            listed = jobs(self.client, self.run_id, self.request.expected.attempt)
        except Forbidden as refusal:
            stop = f"not watched: {refusal.reason}; {refusal.expected}"
        except DispatchError as error:
            self.context.say(f"GitHub: {error.title()}")
        return Poll(self.context.clock.monotonic(), listed, self.runner), stop

    def _ask_about_runner(self, phase: Phase | None) -> None:
        """Ask what the runner does, as far as a token can tell, unless that was asked a moment ago."""
        now = self.context.clock.monotonic()
        if not self.request.expected.self_hosted:
            return
        if self.runner_asked is not None and now - self.runner_asked < (BUSY_ASK_AGAIN if phase is Phase.BUSY else ASK_AGAIN):
            return
        shown_by = self._tried(self._shown)
        doing = self._tried(self._seen_at_work) if shown_by.presence in (Presence.BUSY, Presence.UNKNOWN) else RunnerView()
        self.runner = doing if doing.presence is Presence.BUSY else shown_by
        self.runner_asked = self.context.clock.monotonic()

    def _tried(self, ask: Callable[[], RunnerView]) -> RunnerView:
        """A question about the runner that fails does not fail the watch: then the runner is not known."""
        try:
            return ask()
        except DispatchError as error:
            self.context.say(f"not known whether the runner is busy: {error.title()}")
            return RunnerView()

    def _shown(self) -> RunnerView:
        """Return what GitHub shows to a token that may list runners."""
        if self.runners is None:
            return RunnerView()
        found = find_runners(self.runners, names=self.request.expected.names, labels=self.request.expected.labels, org=self.request.org)
        ends, _ = schedules(self.runners, found)
        return best_of(found, self.request.expected.labels, ends, self.context.clock.now())

    def _seen_at_work(self) -> RunnerView:
        """Return whether the runner is doing a job of another run of this repository."""
        expected = self.request.expected
        for job, run_id in jobs_in_progress(self.client, expected.labels, expected.names, self.run_id):
            gives_way = f", {self._preempt(run_id)}" if self.request.preempts and is_drill_job(job) else ""
            return RunnerView(Presence.BUSY, f"{shown(job.runner_name, 100)} is busy with run {run_id} ({shown(job.name, 100)}){gives_way}")
        return RunnerView()

    def _preempt(self, run_id: int) -> str:
        """End the run of a drill, once. Return what became of it, in words."""
        if run_id not in self.drills:
            self.drills[run_id] = end_drill(run_id, self.client, self.context.say)
        return self.drills[run_id]

    def _reviews(self) -> tuple[ReviewFact, ...]:
        try:
            return reviews(self.client, self.run_id)
        except DispatchError as error:
            self.context.say(f"not known who approved: {error.title()}")
            return ()

    def _approvers(self) -> tuple[str, ...]:
        gate = self.request.gate
        here = [one for one in self._reviews() if not gate or any(same_environment(gate, name) for name in one.environments)]
        return tuple(dict.fromkeys(one.person.login for one in here if one.state == "approved"))

    def _line(self, line: str, *, first: bool) -> str:
        said = shown(line)
        return (
            f"approved by {' and '.join(map(shown, self.approved_by))}. {said[:1].upper()}{said[1:]}"
            if first and self.approved_by
            else said
        )


def _pause(state: WatchState) -> float:
    """Return the seconds until the next poll: few while a runner may come, more while something takes its time."""
    return POLL if state.phase in (Phase.QUEUED, Phase.UNLISTED, Phase.NAMELESS) else SLOW


def _used_up(progress: Progress) -> Progress:
    said = f"{MOST_CALLS} calls of GitHub are used up"
    return Progress(progress.state, f"not watched any more ({said})", Verdict.UNKNOWN, progress.job, said)
