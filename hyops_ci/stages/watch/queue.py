"""Waiting for a runner: what one look after another at a run's jobs comes to (docs/design/github.md 3).

Pure: looks with their times go in, a line to say and at last a verdict come out. Two rules hold whatever is seen. Only time
in which GitHub calls the job `queued` counts, never `waiting` (for a review), `pending` (for a slot) or time nobody looked.
And what cannot be seen is no reason to stop a recovery: without knowledge the verdict is `unknown`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from hyops_ci.contracts.control import JobFact

LIMIT: Final = 120
"""Seconds in the queue after which nobody will come. GitHub itself takes up to 60 to offer a job again (F3)."""
BUSY_LIMIT: Final = 1800
"""Seconds that a runner may be busy with something else."""
UNTIL: Final = 3900
"""Seconds after which a watch ends, whatever it waits for: a decision lives 60 minutes."""
UNSEEN_LIMIT: Final = 600
"""Seconds without an answer of GitHub, or without a job of that name in its list."""
NAMELESS_LIMIT: Final = 60
"""Seconds in which GitHub may show a job at work without its runner."""
LONGEST_GAP: Final = 30
"""Seconds that two looks may count for, however far apart: a pause of GitHub is no silence of the runner."""
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
    """What is known of the runner itself. A job's own token is never told (docs/design/github.md 4)."""

    UNKNOWN = "unknown"
    ONLINE = "online"
    BUSY = "busy"
    OFFLINE = "offline"
    OUTDATED = "outdated"
    """Online, with an agent that GitHub gives no jobs, or none of ours."""
    ABSENT = "absent"


@dataclass(frozen=True)
class Sighting:
    """A runner as somebody saw it, and the words for it."""

    presence: Presence = Presence.UNKNOWN
    words: str = ""


@dataclass(frozen=True)
class Wanted:
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
    def label(self) -> str:
        """The labels that tell the runner from others, as people say it."""
        own = [label for label in self.labels if label.casefold() != SELF_HOSTED]
        return " and ".join(own or self.labels)


@dataclass(frozen=True)
class Look:
    """One look: when (seconds, never going back), the jobs of the attempt or None where GitHub did not answer, and the runner."""

    at: float
    jobs: tuple[JobFact, ...] | None
    runner: Sighting = Sighting()


class Phase(StrEnum):
    """What the latest look showed. The value is what is said of it."""

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
class Wait:
    """What is remembered from look to look. Times in seconds."""

    began: float
    looked: float
    phase: Phase | None = None
    since: float = 0.0
    """When this phase began."""
    queued: float = 0.0
    """In the queue with nobody known to be busy; what `limit` is about."""
    busy: float = 0.0
    first_queued: float | None = None
    spoke: float = 0.0


@dataclass(frozen=True)
class Step:
    """What one look led to: the line is empty where there is nothing new."""

    wait: Wait
    line: str = ""
    verdict: Verdict | None = None
    job: JobFact | None = None
    cause: str = ""


def begin(at: float) -> Wait:
    """A watch that has not looked yet."""
    return Wait(began=at, looked=at)


def see(wanted: Wanted, wait: Wait, look: Look) -> Step:
    """Take one look into account."""
    found = () if look.jobs is None else named(look.jobs, wanted)
    if len(found) > 1:
        cause = f"{len(found)} jobs of this run are called {wanted.job}: none of them is watched"
        return Step(wait, cause, Verdict.UNKNOWN, None, cause)
    job = found[0] if found else None
    if job is not None and job.status in ("in_progress", "completed") and (job.runner_id or job.runner_name):
        return _taken(wanted, wait, look, job)
    if job is not None and job.status == "completed":
        cause = f"the job ended before a runner had it: {job.conclusion or 'no conclusion'}"
        return Step(wait, cause, Verdict.ENDED, job, cause)
    phase = _phase(look, job)
    now = _counted(wait, phase, look.at)
    return _ended(wanted, now, look, job) or _told(wanted, wait, now, look, job)


def named(jobs: Sequence[JobFact], wanted: Wanted) -> tuple[JobFact, ...]:
    """The jobs of this attempt with exactly this name. Below a reusable workflow GitHub writes its callers before it: `dr / Report`."""
    return tuple(job for job in jobs if job.attempt == wanted.attempt and (job.name == wanted.job or job.name.endswith(f" / {wanted.job}")))


def stranger(wanted: Wanted, job: JobFact) -> str:
    """Why the runner that took the job is none of the plan's, or empty."""
    who = f"{job.runner_name} (id {job.runner_id}{f', group {job.runner_group}' if job.runner_group else ''})"
    if wanted.names and job.runner_name.casefold() not in {name.casefold() for name in wanted.names}:
        return f"{who} took the job"
    if wanted.group and job.runner_group.casefold() != wanted.group.casefold():
        return f"{who} took the job"
    if job.labels and {label.casefold() for label in job.labels} != {label.casefold() for label in wanted.labels}:
        return f"{who} took a job that asks for other labels: {', '.join(job.labels)}"
    return ""


def _phase(look: Look, job: JobFact | None) -> Phase:
    if look.jobs is None:
        return Phase.BLIND
    if job is None:
        return Phase.UNLISTED
    if job.status == "queued":
        return Phase.BUSY if look.runner.presence is Presence.BUSY else Phase.QUEUED
    return _HELD.get(job.status, Phase.NAMELESS)


def _counted(wait: Wait, phase: Phase, at: float) -> Wait:
    """The wait one look later: the gap counts where both of its ends were in the queue."""
    gap = min(max(at - wait.looked, 0.0), LONGEST_GAP) if wait.phase in _COUNTED and phase in _COUNTED else 0.0
    return replace(
        wait,
        looked=at,
        phase=phase,
        since=wait.since if phase is wait.phase else at,
        queued=wait.queued + (gap if phase is Phase.QUEUED else 0.0),
        busy=wait.busy + (gap if phase is Phase.BUSY else 0.0),
        first_queued=at if wait.first_queued is None and phase in _COUNTED else wait.first_queued,
    )


def _taken(wanted: Wanted, wait: Wait, look: Look, job: JobFact) -> Step:
    now = replace(wait, looked=look.at)
    if why := stranger(wanted, job):
        return Step(now, why, Verdict.STRANGER, job, why)
    after = "at once" if wait.first_queued is None else f"after {look.at - wait.first_queued:.0f} s"
    return Step(now, f"taken by {job.runner_name} {after}", Verdict.TAKEN, job)


def _ended(wanted: Wanted, now: Wait, look: Look, job: JobFact | None) -> Step | None:
    """The verdict of time: the limit, the busy limit, or a watch that has seen nothing for too long."""
    if now.phase is Phase.QUEUED and now.queued >= wanted.limit:
        return Step(now, f"no runner took the job in {wanted.limit} s", Verdict.MISSING, job, look.runner.words)
    if now.phase is Phase.BUSY and now.busy >= wanted.busy_limit:
        return Step(now, f"still busy after {wanted.busy_limit} s", Verdict.BUSY, job, look.runner.words)
    if now.phase is not None and now.looked - now.since >= _BOUNDS.get(now.phase, wanted.until):
        return _given_up(now, f"for {now.looked - now.since:.0f} s: {now.phase}", job)
    if now.looked - now.began >= wanted.until:
        return _given_up(now, f"{now.looked - now.began:.0f} s are over: {now.phase}", job)
    return None


def _given_up(now: Wait, cause: str, job: JobFact | None) -> Step:
    return Step(now, f"not watched any more ({cause})", Verdict.UNKNOWN, job, cause)


def _told(wanted: Wanted, before: Wait, now: Wait, look: Look, job: JobFact | None) -> Step:
    """The line of a change, or of half a minute without one."""
    if now.phase is before.phase and look.at - before.spoke < LINE_EVERY:
        return Step(now, job=job)
    if now.phase is Phase.QUEUED:
        line = f"waiting for label {wanted.label}: {now.queued:.0f} of {wanted.limit} s"
    elif now.phase is Phase.BUSY:
        line = f"{look.runner.words}; waited for: {now.busy:.0f} of {wanted.busy_limit} s"
    else:
        line = f"{now.phase}; not counted, {now.queued:.0f} of {wanted.limit} s so far"
    return Step(replace(now, spoke=look.at), line, job=job)
