"""Refusals for a job that no runner took: the expected runner, what is known of it, and a command that helps (docs/design/texts.md 5)."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

from hyops_ci.contracts.github_facts import JobFact, ReviewFact, same_environment
from hyops_ci.contracts.lanes import LANES, ON_PREM
from hyops_ci.errors import Exit, Refusal
from hyops_ci.stages.watch.queue import ExpectedJob, Poll, Presence, Progress, Verdict, stranger

NOT_KNOWN: Final = "not known whether busy or missing: a job's own token may not list runners"
_RESTART: Final = "sudo systemctl restart actions.runner.*"
_WHY: Final = {
    Presence.OFFLINE: "the service is stopped, or the host has no way to GitHub",
    Presence.OUTDATED: "install the agent anew (docs/runners.md)",
    Presence.ABSENT: "removed after 14 days offline, registered under another label, or in a group that is not for this repository",
    Presence.ONLINE: "yet it takes no job: its group is not for this repository or workflow, or its agent is too old",
}
_WHY_SINCE: Final = "the service stopped or the host lost its way to GitHub since"
_WHY_NEVER: Final = (
    "service stopped, host off, removed after 14 days offline, agent too old, label in another spelling, group not for this repository"
)


def refusal_for(progress: Progress, expected: ExpectedJob, last: Poll, runner_ref: str, lane: str = "") -> Refusal | None:
    """Return the refusal that a verdict leads to, None for a verdict that stops nothing. `last` is the last poll."""
    if progress.verdict is Verdict.MISSING:
        return _silent(expected, last, runner_ref, lane)
    if progress.verdict is Verdict.BUSY:
        return Refusal(
            "runner.busy",
            f"the runner was busy with something else for {expected.busy_limit} s",
            exit_code=Exit.RUNNER,
            found=last.runner.words,
            expected="one online runner that is free, or becomes so in time",
            fix="wait for that job, or cancel it; then a new run. A drill that must never stand in the way: lanes.<lane>.drill_runner_ref",
            docs="runners.md",
        )
    if progress.verdict is Verdict.STRANGER:
        return stranger(progress.cause, expected, runner_ref)
    return None


def not_begun(progress: Progress, expected: ExpectedJob) -> Refusal:
    """Return the refusal of a job that was to make the runner and that no runner of its own took, or a stranger."""
    return Refusal(
        "runner.not-begun",
        "the job that makes the runner was not begun",
        exit_code=Exit.RUNNER,
        found=f"labels [{', '.join(expected.labels)}]: {progress.line or progress.verdict}; {progress.cause or NOT_KNOWN}",
        expected=f"the management runner, online: {expected.label}",
        fix="repair that runner, or the lane's own by hand; then a new run",
        docs="runners.md",
    )


def not_made(job: JobFact, said: Sequence[ReviewFact], gate: str, expected: ExpectedJob) -> Refusal:
    """Return the refusal of a run whose runner was not made: somebody said no, nobody said yes, or the job failed."""
    here = [each for each in said if any(same_environment(gate, name) for name in each.environments)]
    no = next((each for each in here if each.state == "rejected"), None)
    if no is not None:
        reason, found = f"{no.person.login} said no to making the runner", f'{gate}: "{no.comment}"'
        expected_text, fix = f"a yes at {gate}", "repair the runner by hand (docs/runners.md), then a new run"
    elif not job.runner_name:
        reason, found = "nobody approved that the runner is made", f"{gate}: {expected.job} is {job.conclusion or job.status}"
        expected_text, fix = f"a yes at {gate} within {expected.until // 60} min", "a new run, and somebody who answers"
    else:
        reason, found = "the job that makes the runner failed", f"{expected.job}: {job.conclusion or job.status}, on {job.runner_name}"
        expected_text, fix = (
            "a runner that took the check",
            "look at the log of that job, and at the machine; then a new run takes up what is there",
        )
    return Refusal("runner.not-made", reason, exit_code=Exit.RUNNER, found=found, expected=expected_text, fix=fix, docs="runners.md")


def likely_cause(last: Poll, labels: Sequence[str]) -> str:
    """Return why no runner took the job, as far as it can be told from the last poll."""
    known = _WHY.get(last.runner.presence)
    if known:
        return f"{last.runner.words}; {known}"
    return _WHY_SINCE if last_finished(last.jobs or (), labels) else f"{NOT_KNOWN}; {_WHY_NEVER}"


def last_finished(jobs: Sequence[JobFact], labels: Sequence[str]) -> JobFact | None:
    """Return the job of this run that a runner with these labels finished last: when the runner was last alive, and its name."""
    expected = {label.casefold() for label in labels}
    done = [job for job in jobs if job.runner_id and job.completed_at and expected == {label.casefold() for label in job.labels}]
    return max(done, key=lambda job: job.completed_at, default=None)


def restart_command(name: str, runner_ref: str, lane: str = "") -> str:
    """Return the command that restarts the agent of a runner. Without `lane`, the lane whose default runner has this name is meant."""
    row = LANES.get(lane) or next((row for row in LANES.values() if row.runner_ref == runner_ref), ON_PREM)
    host = runner_ref if name.startswith("-") else name  # whoever registers a runner names it, also like an option of ssh
    return row.remote_command.format(name=shlex.quote(host), command=_RESTART)


def _silent(expected: ExpectedJob, last: Poll, runner_ref: str, lane: str) -> Refusal:
    done = last_finished(last.jobs or (), expected.labels)
    seen = f"answered the check at {done.completed_at[11:]}, silent since" if done else "answered nothing in this run"
    labels = ", ".join(expected.labels)
    name = (done.runner_name if done else "") or next(iter(expected.names), runner_ref)
    return Refusal(
        "runner.silent",
        f"no runner took the job in {expected.limit} s",
        exit_code=Exit.RUNNER,
        found=f"labels [{labels}]; {seen}; job state queued, not pending; likely: {likely_cause(last, expected.labels)}",
        expected=f"one online runner with {_counted(expected.labels)}",
        fix=f"{restart_command(name, runner_ref, lane)}; then a new run",
        docs="runners.md",
    )


def _counted(labels: Sequence[str]) -> str:
    if len(labels) == 1:
        return f"the label {labels[0]}"
    return "both labels" if len(labels) == 2 else f"all {len(labels)} labels"
