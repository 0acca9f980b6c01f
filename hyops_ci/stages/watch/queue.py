"""Wait for a runner: a state machine over polls of a run's jobs (docs/design/github.md 3).

Pure: polls with their times go in, a line to print and at last a verdict come out. Two rules always hold. Only time in which
GitHub calls the job `queued` counts, never `waiting` (for a review), `pending` (for a slot) or time without a poll.
And missing knowledge never stops a recovery: then the verdict is `unknown`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from hyops_ci.contracts.github_facts import JobFact, jobs_called
from hyops_ci.dataclass import dataclass, replace
from hyops_ci.errors import Exit, Refusal

LIMIT: Final = 120
"""Seconds in the queue after which no runner will come. GitHub itself takes up to 60 to offer a job again (F3)."""
BUSY_LIMIT: Final = 1800
"""Seconds that a runner may be busy with something else."""
UNTIL: Final = 3900
"""Seconds after which a watch ends, whatever it waits for: a decision lives 60 minutes."""
UNSEEN_LIMIT: Final = 600
"""Seconds without an answer of GitHub, or without a job of that name in its list."""
NAMELESS_LIMIT: Final = 60
"""Seconds in which GitHub may show a job at work without its runner."""
LONGEST_GAP: Final = 30
"""Seconds that the time between two polls may count for: an outage of GitHub says nothing about the runner."""
LINE_EVERY: Final = 30
"""Seconds between two lines that say the same."""
SELF_HOSTED: Final = "self-hosted"


class Verdict(StrEnum):
    """How a watch ends."""

    TAKEN = "taken"
    MISSING = "missing"
    STRANGER = "stranger"
    BUSY = "busy"
    UNKNOWN = "unknown"
    ENDED = "ended"
    """Over before any runner had it: skipped or cancelled."""


class Presence(StrEnum):
    """Status of the runner itself. A job's own token may not ask (docs/design/github.md 4)."""

    UNKNOWN = "unknown"
    ONLINE = "online"
    BUSY = "busy"
    OFFLINE = "offline"
    OUTDATED = "outdated"
    """Online, with an agent that GitHub gives no jobs, or none of ours."""
    ABSENT = "absent"


@dataclass(frozen=True)
class RunnerView:
    """What is known of a runner, and the text for it."""

    presence: Presence = Presence.UNKNOWN
    words: str = ""


@dataclass(frozen=True)
class ExpectedJob:
    """The job that is watched, and the runner that the plan is about."""

    job: str
    attempt: int
    labels: tuple[str, ...]
    names: tuple[str, ...] = ()
    """Runners that may take it; empty where the config lists none."""
    group: str = ""
    """Runner group that it must belong to, where one is demanded."""
    limit: int = LIMIT
    busy_limit: int = BUSY_LIMIT
    until: int = UNTIL

    @property
    def self_hosted(self) -> bool:
        """Whether a runner of one's own is waited for; of GitHub's machines there is always another."""
        return SELF_HOSTED in map(str.casefold, self.labels)

    @property
    def label(self) -> str:
        """The labels that tell the runner from others, as people say it."""
        own = [label for label in self.labels if label.casefold() != SELF_HOSTED]
        return " and ".join(own or self.labels)


def stranger(cause: str, expected: ExpectedJob, runner_ref: str) -> Refusal:
    """Return the refusal of a job that a runner took which the plan does not know; `runner_ref`: where the config lists no names."""
    group = f", group {expected.group}" if expected.group else ""
    return Refusal(
        "runner.stranger",
        "a runner that the plan does not know took the job",
        exit_code=Exit.RUNNER,
        found=cause,
        expected=f"{' or '.join(expected.names) or runner_ref}, labels [{', '.join(expected.labels)}]{group}",
        fix="take the label from that runner, or list it in lanes.<lane>.names by a pull request; then a new run",
        docs="runners.md",
    )


@dataclass(frozen=True)
class Poll:
    """One poll: when (seconds), the jobs of the attempt or None where GitHub did not answer, and the runner."""

    at: float
    jobs: tuple[JobFact, ...] | None
    runner: RunnerView = RunnerView()


class Phase(StrEnum):
    """What the latest poll showed. The value is the text that is printed."""

    QUEUED = "queued"
    BUSY = "busy"
    REVIEW = "the job waits for a review"
    SLOT = "the job waits for a concurrency slot"
    REQUESTED = "GitHub has not queued the job yet"
    UNLISTED = "GitHub does not list the job yet"
    BLIND = "GitHub does not answer"
    NAMELESS = "taken; GitHub does not say by whom yet"


_COUNTED: Final = frozenset({Phase.QUEUED, Phase.BUSY})
_HELD: Final = {"waiting": Phase.REVIEW, "pending": Phase.SLOT, "requested": Phase.REQUESTED}
_BOUNDS: Final = {Phase.UNLISTED: UNSEEN_LIMIT, Phase.BLIND: UNSEEN_LIMIT, Phase.NAMELESS: NAMELESS_LIMIT}


@dataclass(frozen=True)
class WatchState:
    """The state of a watch between two polls. Times in seconds, of a clock that never goes back."""

    began: float
    polled: float
    phase: Phase | None = None
    since: float = 0.0
    """When this phase began."""
    queued: float = 0.0
    """In the queue while no runner was known to be busy; `limit` applies to it."""
    busy: float = 0.0
    first_queued: float | None = None
    reported: float = 0.0


@dataclass(frozen=True)
class Progress:
    """What one poll led to. The line is empty where there is nothing new."""

    state: WatchState
    line: str = ""
    verdict: Verdict | None = None
    job: JobFact | None = None
    cause: str = ""


def begin(at: float) -> WatchState:
    """Return the state of a watch before its first poll."""
    return WatchState(began=at, polled=at)


def advance(expected: ExpectedJob, state: WatchState, poll: Poll) -> Progress:
    """Advance the watch by one poll of the run's jobs."""
    found = () if poll.jobs is None else candidates(poll.jobs, expected)
    if len(found) > 1:
        cause = f"{len(found)} jobs of this run are called {expected.job}: none of them is watched"
        return Progress(state, cause, Verdict.UNKNOWN, None, cause)
    job = found[0] if found else None
    if job is not None and job.status in ("in_progress", "completed") and (job.runner_id or job.runner_name):
        return _taken(expected, state, poll, job)
    if job is not None and job.status == "completed":
        cause = f"the job ended before a runner had it: {job.conclusion or 'no conclusion'}"
        return Progress(state, cause, Verdict.ENDED, job, cause)
    phase = _phase(poll, job)
    now = _counted(state, phase, poll.at)
    return _ended(expected, now, poll, job) or _reported(expected, state, now, poll, job)


def candidates(jobs: Sequence[JobFact], expected: ExpectedJob) -> tuple[JobFact, ...]:
    """Return the jobs of this attempt with exactly the expected name."""
    return jobs_called((job for job in jobs if job.attempt == expected.attempt), expected.job, expected.labels)


def mismatch(expected: ExpectedJob, job: JobFact) -> str:
    """Return why the runner that took the job is not one of the plan's, or an empty text."""
    who = f"{job.runner_name} (id {job.runner_id}{f', group {job.runner_group}' if job.runner_group else ''})"
    if expected.names and job.runner_name.casefold() not in {name.casefold() for name in expected.names}:
        return f"{who} took the job"
    if expected.group and job.runner_group.casefold() != expected.group.casefold():
        return f"{who} took the job"
    if job.labels and {label.casefold() for label in job.labels} != {label.casefold() for label in expected.labels}:
        return f"{who} took a job that asks for other labels: {', '.join(job.labels)}"
    return ""


def _phase(poll: Poll, job: JobFact | None) -> Phase:
    if poll.jobs is None:
        return Phase.BLIND
    if job is None:
        return Phase.UNLISTED
    if job.status == "queued":
        return Phase.BUSY if poll.runner.presence is Presence.BUSY else Phase.QUEUED
    return _HELD.get(job.status, Phase.NAMELESS)


def _counted(state: WatchState, phase: Phase, at: float) -> WatchState:
    """Add the time since the last poll, if the job was in the queue at both."""
    gap = min(max(at - state.polled, 0.0), LONGEST_GAP) if state.phase in _COUNTED and phase in _COUNTED else 0.0
    return replace(
        state,
        polled=at,
        phase=phase,
        since=state.since if phase is state.phase else at,
        queued=state.queued + (gap if phase is Phase.QUEUED else 0.0),
        busy=state.busy + (gap if phase is Phase.BUSY else 0.0),
        first_queued=at if state.first_queued is None and phase in _COUNTED else state.first_queued,
    )


def _taken(expected: ExpectedJob, state: WatchState, poll: Poll, job: JobFact) -> Progress:
    now = replace(state, polled=poll.at)
    if why := mismatch(expected, job):
        return Progress(now, why, Verdict.STRANGER, job, why)
    after = "at once" if state.first_queued is None else f"after {poll.at - state.first_queued:.0f} s"
    return Progress(now, f"taken by {job.runner_name} {after}", Verdict.TAKEN, job)


def _ended(expected: ExpectedJob, now: WatchState, poll: Poll, job: JobFact | None) -> Progress | None:
    """End the watch by time: the limit, the busy limit, or too long without an answer."""
    if now.phase is Phase.QUEUED and now.queued >= expected.limit:
        return Progress(now, f"no runner took the job in {expected.limit} s", Verdict.MISSING, job, poll.runner.words)
    if now.phase is Phase.BUSY and now.busy >= expected.busy_limit:
        return Progress(now, f"still busy after {expected.busy_limit} s", Verdict.BUSY, job, poll.runner.words)
    if now.phase is not None and now.polled - now.since >= _BOUNDS.get(now.phase, expected.until):
        return _given_up(now, f"for {now.polled - now.since:.0f} s: {now.phase}", job)
    if now.polled - now.began >= expected.until:
        return _given_up(now, f"{now.polled - now.began:.0f} s are over: {now.phase}", job)
    return None


def _given_up(now: WatchState, cause: str, job: JobFact | None) -> Progress:
    return Progress(now, f"not watched any more ({cause})", Verdict.UNKNOWN, job, cause)


def _reported(expected: ExpectedJob, before: WatchState, now: WatchState, poll: Poll, job: JobFact | None) -> Progress:
    """Add the line to print: after a change of phase, and every half minute without one."""
    if now.phase is before.phase and poll.at - before.reported < LINE_EVERY:
        return Progress(now, job=job)
    if now.phase is Phase.QUEUED:
        line = f"waiting for label {expected.label}: {now.queued:.0f} of {expected.limit} s"
    elif now.phase is Phase.BUSY:
        line = f"{poll.runner.words}; waited for: {now.busy:.0f} of {expected.busy_limit} s"
    else:
        line = f"{now.phase}; not counted, {now.queued:.0f} of {expected.limit} s so far"
    return Progress(replace(now, reported=poll.at), line, job=job)
